"""rectified-flow's samplers. Time runs from 0 (noise) to 1 (data); velocities are called (x, t)."""

from collections.abc import Iterator
from functools import partial
from typing import Any

from problems import Points
from rectified_flow import samplers as package
from rectified_flow.rectified_flow import RectifiedFlow
from rectified_flow.samplers.stochastic_curved_euler_sampler import StochasticCurvedEulerSampler
from sampler import Sampler
from torch import Tensor

__all__ = ["samplers"]

RULES = (
    ("EulerSampler", {}, "euler, flow"),
    ("CurvedEulerSampler", {}, "euler, flow"),
    ("SDESampler", {}, "euler_maruyama, diffusion"),
    ("OverShootingSampler", {}, "euler_maruyama, diffusion"),
    ("NoiseRefreshSampler", {}, "ddpm, flow"),
    ("StochasticCurvedEulerSampler", {}, "ddpm, flow"),
    ("StochasticCurvedEulerSampler", {"noise_replacement_rate": "ddpm"}, "ddpm, flow"),
)


def samplers() -> Iterator[Sampler]:
    """Yield the samplers with their default settings, and the one with DDPM's noise."""
    for name, settings, like in RULES:
        problem = Points()
        rule = getattr(package, name, StochasticCurvedEulerSampler)
        draw_these = partial(draw, problem, rule, settings)
        label = name + ", ".join(["", *map(str, settings.values())])
        yield Sampler("rectified-flow", label, problem, draw_these, like)


def draw(problem: Points, rule: Any, settings: dict[str, Any], samples: int, steps: int) -> Tensor:
    """Sample on the uniform grid."""
    flow = RectifiedFlow(
        data_shape=(2,), velocity_field=lambda x, t: problem.velocity(x, t.flatten()[0])
    )
    loop = rule(flow, num_steps=steps, num_samples=samples, **settings)
    return loop.sample_loop().x_t
