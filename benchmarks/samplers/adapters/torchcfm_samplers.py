"""What torchcfm's examples sample with: torchdyn's `NeuralODE`, and torchsde's `sdeint`.

Time runs from 0 (noise) to 1 (data). The diffusion is the flow's velocity plus (1 - t) times the
score, of noise sqrt(2 (1 - t)): it has the marginals of the flow.
"""

from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
import torchsde
from problems import Points
from sampler import Sampler
from torch import Tensor, nn
from torchcfm.utils import torch_wrapper
from torchdyn.core import NeuralODE

__all__ = ["samplers"]


class Velocity(nn.Module):
    """The exact velocity as torchcfm's networks are called: state and time in one tensor."""

    def __init__(self, problem: Points) -> None:
        super().__init__()
        self.problem = problem

    def forward(self, joined: Tensor) -> Tensor:
        """Return the velocity at (x, t)."""
        return self.problem.velocity(joined[:, :-1], joined[0, -1])


class Diffusion(nn.Module):
    """The diffusion with the marginals of the flow."""

    noise_type, sde_type = "diagonal", "ito"

    def __init__(self, problem: Points) -> None:
        super().__init__()
        self.problem = problem

    def f(self, t: Tensor, x: Tensor) -> Tensor:
        """Return the drift, v + (1 - t) score: one network call."""
        t = t.clamp(max=1 - 1e-4)
        velocity = self.problem.velocity(x, t)
        noise = x - t * velocity
        return velocity - noise

    def g(self, t: Tensor, x: Tensor) -> Tensor:
        """Return the noise, sqrt(2 (1 - t))."""
        return (2 * (1 - t).clamp_min(0)).sqrt().expand_as(x)


def samplers() -> Iterator[Sampler]:
    """Yield both."""
    for solver in ("euler", "midpoint"):
        problem = Points()
        draw = partial(ode, problem, solver)
        yield Sampler("torchcfm", f"torchdyn NeuralODE, {solver}", problem, draw, f"{solver}, flow")
    for method, settings in (("euler", {}), ("srk", {})):
        problem = Points()
        draw = partial(sde, problem, method, settings)
        like = "euler_maruyama, diffusion" if method == "euler" else "stochastic_heun, diffusion"
        yield Sampler("torchsde", f"sdeint, {method}", problem, draw, like)


def ode(problem: Points, solver: str, samples: int, steps: int) -> Tensor:
    """Integrate from 0 to 1 as the package's examples do."""
    node = NeuralODE(torch_wrapper(Velocity(problem)), solver=solver, sensitivity="adjoint")
    with torch.no_grad():
        return node.trajectory(torch.randn(samples, 2), torch.linspace(0, 1, steps + 1))[-1]


def sde(problem: Points, method: str, settings: dict[str, Any], samples: int, steps: int) -> Tensor:
    """Integrate from 0 to 1 in steps of one size."""
    times = torch.tensor([0.0, 1.0])
    with torch.no_grad():
        found = torchsde.sdeint(
            Diffusion(problem), torch.randn(samples, 2), times, method=method, dt=1 / steps
        )
    return found[-1]
