"""azula's samplers. Time runs from 1 (noise) to 0 (data); a denoiser answers with the mean of z."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import azula.sample
from azula.denoise import Denoiser, DiracPosterior
from azula.noise import VPSchedule
from problems import Points
from sampler import Sampler
from torch import Tensor

__all__ = ["samplers"]

RULES = (
    ("DDPMSampler", "ddpm, flow"),
    ("DDIMSampler", "ddim, flow"),
    ("EulerSampler", "ddim, flow"),
    ("HeunSampler", "heun, flow"),
    ("ItoSampler", "euler_maruyama, diffusion"),
    ("zABSampler", "dpm++, flow"),
    ("vABSampler", "dpm++, flow"),
    ("zEABSampler", "dpm++, flow"),
    ("xEABSampler", "dpm++, flow"),
    ("REABSampler", "dpm++, flow"),
    ("PCSampler", "ddpm, flow"),
)


class Exact(Denoiser):
    """The exact mean of the data on the variance-preserving schedule."""

    def __init__(self, problem: Points) -> None:
        super().__init__()
        self.problem, self.schedule = problem, VPSchedule()

    def forward(self, x_t: Tensor, t: Tensor, **kwargs: Any) -> DiracPosterior:
        """Return the mean."""
        alpha, sigma = self.schedule(t)
        return DiracPosterior(self.problem.mean(x_t, alpha, sigma))


def samplers() -> Iterator[Sampler]:
    """Yield the samplers with their default settings."""
    for name, like in RULES:
        problem = Points()
        yield Sampler("azula", name, problem, partial(draw, problem, name), like)


def draw(problem: Points, name: str, samples: int, steps: int) -> Tensor:
    """Sample from t = 1 to 0."""
    rule = getattr(azula.sample, name)(Exact(problem), steps=steps, silent=True)
    return rule(rule.init((samples, 2)))
