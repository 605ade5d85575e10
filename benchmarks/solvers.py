"""What the solvers cost over a trivial velocity: everything but the network.

    python benchmarks/solvers.py [--threads 2]

Floors are loops by hand with the fewest passes over the states that give the same numbers: each
state and each stage is a weighted sum of tensors, at one pass a term. What the network returns is
left alone. Peers are timed when they are installed.
"""

import argparse
import importlib.util
import math

import torch
from paired import compare, show
from torch import Tensor

from feller.core.generators import Diffusion, Flow
from feller.core.grids import uniform_grid
from feller.core.models import Model
from feller.core.paths import GaussianPath
from feller.core.schedules import CondOT, Cosine, Schedule
from feller.core.solvers import (
    DDIM,
    HEUN,
    Dopri5,
    DPMSolverPP2M,
    Euler,
    Mixed,
    RungeKutta,
    StochasticHeun,
    simulate,
)
from feller.core.solvers.adaptive import _DENSE, _ERROR, _MATRIX, _NODES  # noqa: F401
from feller.core.spaces import Euclidean

STEPS = 100


class Decay(Model):
    """The flow of velocity -x: a trivial network call."""

    kinds = frozenset({Flow})

    def __init__(self, schedule: Schedule) -> None:
        self.path = GaussianPath(Euclidean(3), schedule)

    def __call__(self, x: Tensor, t: float, condition: None = None) -> Flow:
        """Return the flow."""
        return Flow(-x)


class NoisyDecay(Model):
    """The diffusion of drift -x and unit noise."""

    space = Euclidean(3)
    kinds = frozenset({Diffusion})
    path = None

    def __call__(self, x: Tensor, t: float, condition: None = None) -> Diffusion:
        """Return the diffusion."""
        return Diffusion(-x, torch.ones(()))


def euler_floor(x: Tensor) -> Tensor:
    """Take Euler steps by hand."""
    for _ in range(STEPS):
        x = torch.add(x, -x, alpha=1 / STEPS)
    return x


def heun_floor(x: Tensor) -> Tensor:
    """Take Heun steps by hand, the last one Euler's."""
    h = 1 / STEPS
    for _ in range(STEPS - 1):
        first = -x
        second = -torch.add(x, first, alpha=h)
        x = torch.add(x, first, alpha=h / 2).add_(second, alpha=h / 2)
    return torch.add(x, -x, alpha=h)


def dopri5_floor(x: Tensor, rtol: float = 1e-5, atol: float = 1e-5) -> Tensor:
    """Dormand and Prince by hand: adaptive, out of place, no interpolation."""
    t, h, first = 0.0, 0.05, -x
    while t < 1:
        h = min(h, 1 - t)
        stages = [first]
        for row in _MATRIX:
            move = sum(a * k for a, k in zip(row, stages, strict=True) if a)
            stage = x + h * move
            stages.append(-stage)
        error = h * sum(e * k for e, k in zip(_ERROR, stages, strict=True) if e)
        scale = atol + rtol * torch.maximum(x.abs(), stage.abs())
        size = float((error / scale).square().mean().sqrt())
        if size <= 1:
            t, x, first = t + h, stage, stages[-1]
        h *= min(10.0, max(0.2, 0.9 * (size + 1e-10) ** -0.2))
    return x


def midpoint_floor(x: Tensor) -> Tensor:
    """Take midpoint steps by hand."""
    h = 1 / STEPS
    for _ in range(STEPS):
        x = torch.add(x, -torch.add(x, -x, alpha=h / 2), alpha=h)
    return x


def euler_maruyama_floor(x: Tensor) -> Tensor:
    """Take Euler-Maruyama steps by hand."""
    h = 1 / STEPS
    for _ in range(STEPS):
        x = torch.add(x, -x, alpha=h).add_(torch.randn_like(x), alpha=h**0.5)
    return x


def stochastic_heun_floor(x: Tensor) -> Tensor:
    """Take Heun steps with additive noise by hand, the last one Euler's."""
    h = 1 / STEPS
    for i in range(STEPS):
        noise, first = torch.randn_like(x), -x
        euler = torch.add(x, first, alpha=h).add_(noise, alpha=h**0.5)
        if i == STEPS - 1:
            return euler
        x = torch.add(x, first, alpha=h / 2).add_(-euler, alpha=h / 2).add_(noise, alpha=h**0.5)
    return x


def mixing(t: float, s: float, churn: float) -> tuple[float, float, float]:
    """Return the weights of x, the velocity and fresh noise in a step on the cosine path."""
    alpha, sigma = (f(math.pi / 2 * s) for f in (math.sin, math.cos))
    now = math.pi / 2 * t
    kept = math.tan(now) * sigma / alpha
    fresh = churn * sigma * math.sqrt(1 - kept**2)
    old = math.sqrt(sigma**2 - fresh**2)
    of_x = old * math.cos(now) + alpha * math.sin(now)
    return of_x, (alpha * math.cos(now) - old * math.sin(now)) * 2 / math.pi, fresh


def ddim_floor(x: Tensor) -> Tensor:
    """Take DDIM steps on the cosine path by hand."""
    for i in range(STEPS):
        of_x, of_velocity, _ = mixing(i / STEPS, (i + 1) / STEPS, 0.0)
        x = (x * of_x).add_(-x, alpha=of_velocity)
    return x


def ddpm_floor(x: Tensor) -> Tensor:
    """Take DDPM's ancestral steps on the cosine path by hand."""
    for i in range(STEPS):
        of_x, of_velocity, fresh = mixing(i / STEPS, (i + 1) / STEPS, 1.0)
        x = (x * of_x).add_(-x, alpha=of_velocity).add_(torch.randn_like(x), alpha=fresh)
    return x


def dpm_floor(x: Tensor) -> Tensor:
    """Take DPM-Solver++(2M) steps on the CondOT path by hand."""
    before, level_before = x, -math.inf
    for i in range(STEPS):
        t, s = i / STEPS, (i + 1) / STEPS
        velocity = -x
        data = torch.add(x, velocity, alpha=1 - t)
        level = math.log(t / (1 - t)) if t else -math.inf
        scale, x = (1 - s) / (1 - t), x * ((1 - s) / (1 - t))
        of_data, bend = s - t * scale, 0.0
        if s < 1 and level_before > -math.inf:
            bend = (math.log(s / (1 - s)) - level) / (2 * (level - level_before))
        x = x.add_(data, alpha=of_data * (1 + bend))
        if bend:
            x = x.add_(before, alpha=-of_data * bend)
        before, level_before = data, level
    return x


def peers(x: Tensor) -> dict[str, object]:
    """Return what the installed peers do for the same jobs."""
    found: dict[str, object] = {}
    grid = torch.linspace(0, 1, STEPS + 1)
    if importlib.util.find_spec("torchdiffeq"):
        from torchdiffeq import odeint

        found["torchdiffeq euler"] = lambda: odeint(lambda t, x: -x, x, grid, method="euler")[-1]
        found["torchdiffeq dopri5"] = lambda: odeint(
            lambda t, x: -x, x, grid[[0, -1]], rtol=1e-5, atol=1e-5, method="dopri5"
        )[-1]
    if importlib.util.find_spec("flow_matching"):
        from flow_matching.solver import ODESolver

        solver = ODESolver(velocity_model=lambda x, t: -x)
        found["flow_matching euler"] = lambda: solver.sample(
            x, step_size=1 / STEPS, method="euler", time_grid=grid[[0, -1]]
        )
        found["flow_matching dopri5"] = lambda: solver.sample(
            x, step_size=None, method="dopri5", time_grid=grid[[0, -1]], atol=1e-5, rtol=1e-5
        )
    return found


def main() -> None:
    """Time each method against its floor."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    torch.set_num_threads(parser.parse_args().threads)
    x = torch.randn(64, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    flow, turn, noisy = Decay(CondOT()), Decay(Cosine()), NoisyDecay()
    grid, others = uniform_grid(STEPS), peers(x)
    jobs = {
        "euler": (euler_floor, Euler(), flow, grid, 1.2),
        "heun": (heun_floor, RungeKutta(HEUN), flow, grid, 1.2),
        "dopri5": (dopri5_floor, Dopri5(), flow, [0.0, 1.0], 2.0),
        "ddim": (ddim_floor, DDIM(), turn, grid, 1.2),
        "ddim, condot": (euler_floor, DDIM(), flow, grid, 1.2),
        "ddpm": (ddpm_floor, DDIM(churn=1.0), turn, grid, 1.2),
        "dpm++": (dpm_floor, DPMSolverPP2M(), flow, grid, 1.2),
        "mixed": (midpoint_floor, Mixed(), flow, grid, 1.2),
        "euler-maruyama": (euler_maruyama_floor, Euler(), noisy, grid, 1.2),
        "additive heun": (stochastic_heun_floor, StochasticHeun(additive=True), noisy, grid, 1.2),
    }
    with torch.no_grad():
        for name, (floor, solver, model, times, bar) in jobs.items():
            torch.manual_seed(0)
            ours = simulate(model, x, times, solver)
            torch.manual_seed(0)
            torch.testing.assert_close(ours.state, floor(x), rtol=1e-4, atol=1e-4)

            def run(
                model: object = model, times: object = times, solver: object = solver
            ) -> object:
                return simulate(model, x, times, solver)

            contestants = {
                "by hand": lambda floor=floor: floor(x),
                "feller": run,
                **{key: peer for key, peer in others.items() if key.endswith(name)},
            }
            results = compare(contestants, rounds=15)
            show(f"{name}, {tuple(x.shape)}, {ours.nfe} calls, ms", 1e-3, results, bar)


if __name__ == "__main__":
    main()
