"""What solvers cost beside the network: the velocity is -x, the noise 1."""

from collections.abc import Iterator

import torch
from peers.job import Job
from torch import Tensor

from feller.core.generators import Diffusion, Flow
from feller.core.grids import uniform_grid
from feller.core.models import Model
from feller.core.paths import GaussianPath
from feller.core.solvers import HEUN, Dopri5, Euler, RungeKutta, simulate
from feller.core.spaces import Euclidean

__all__ = ["flow_matching", "torchdiffeq", "torchsde"]

PART, STEPS, SHAPE = "Solvers", 100, (64, 3, 32, 32)


class Decay(Model):
    """The flow of velocity -x."""

    path = GaussianPath(Euclidean(3))
    kinds = frozenset({Flow})

    def __call__(self, x: Tensor, t: float, condition: None = None) -> Flow:
        return Flow(-x)


class NoisyDecay(Model):
    """The diffusion of drift -x and unit noise."""

    space, path, kinds = Euclidean(3), None, frozenset({Diffusion})

    def __call__(self, x: Tensor, t: float, condition: None = None) -> Diffusion:
        return Diffusion(-x, torch.ones(()))


def states() -> Tensor:
    """Return the states that are moved."""
    return torch.randn(SHAPE, generator=torch.Generator().manual_seed(0))


def torchdiffeq() -> Iterator[Job]:
    from torchdiffeq import odeint

    x, ends = states(), torch.tensor([0.0, 1.0])
    fixed = {"step_size": 1 / STEPS}  # without it, every state on the way is kept
    for ours, theirs in ((Euler(), "euler"), (RungeKutta(HEUN), "heun2")):
        yield Job(
            part=PART,
            name=f"{theirs.rstrip('2')}, {STEPS} steps of 64 x 3 x 32 x 32",
            package="torchdiffeq",
            peer=f"odeint, {theirs}",
            ours=lambda ours=ours: simulate(Decay(), x, uniform_grid(STEPS), ours),
            theirs=lambda m=theirs: odeint(lambda t, y: -y, x, ends, method=m, options=fixed)[-1],
        )
    yield Job(
        part=PART,
        name="dopri5, tolerance 1e-5, 64 x 3 x 32 x 32",
        package="torchdiffeq",
        peer="odeint, dopri5",
        ours=lambda: simulate(Decay(), x, [0.0, 1.0], Dopri5()),
        theirs=lambda: odeint(lambda t, y: -y, x, ends, rtol=1e-5, atol=1e-5, method="dopri5")[-1],
    )


def flow_matching() -> Iterator[Job]:
    from flow_matching.solver import ODESolver

    x, ends = states(), torch.tensor([0.0, 1.0])
    solver = ODESolver(velocity_model=lambda x, t: -x)
    yield Job(
        part=PART,
        name=f"euler, {STEPS} steps of 64 x 3 x 32 x 32",
        package="flow-matching",
        peer="ODESolver, euler",
        ours=lambda: simulate(Decay(), x, uniform_grid(STEPS), Euler()),
        theirs=lambda: solver.sample(x, step_size=1 / STEPS, method="euler", time_grid=ends),
    )
    yield Job(
        part=PART,
        name="dopri5, tolerance 1e-5, 64 x 3 x 32 x 32",
        package="flow-matching",
        peer="ODESolver, dopri5",
        ours=lambda: simulate(Decay(), x, [0.0, 1.0], Dopri5()),
        theirs=lambda: solver.sample(
            x, step_size=None, method="dopri5", time_grid=ends, atol=1e-5, rtol=1e-5
        ),
    )


def torchsde() -> Iterator[Job]:
    from torchsde import sdeint

    class Noisy:
        noise_type, sde_type = "diagonal", "ito"

        def f(self, t: Tensor, x: Tensor) -> Tensor:
            return -x

        def g(self, t: Tensor, x: Tensor) -> Tensor:
            return torch.ones_like(x)

    x, ends = states(), torch.tensor([0.0, 1.0])
    yield Job(
        part=PART,
        name=f"Euler-Maruyama, {STEPS} steps of 64 x 3 x 32 x 32",
        package="torchsde",
        peer="sdeint, euler",
        ours=lambda: simulate(NoisyDecay(), x, uniform_grid(STEPS), Euler()),
        theirs=lambda: sdeint(Noisy(), x.flatten(1), ends, method="euler", dt=1 / STEPS),
        rounds=9,
    )
