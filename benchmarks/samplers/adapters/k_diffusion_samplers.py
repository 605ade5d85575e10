"""k-diffusion's samplers, on Karras' grid from sigma 10 to 0.01, then 0.

The state is z + sigma e; a denoiser is called (x, sigma) and answers with the mean of z.
"""

from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from k_diffusion import sampling
from problems import Points
from sampler import Sampler
from torch import Tensor

__all__ = ["samplers"]

RULES = (
    ("euler", "ddim, flow", {}),
    ("euler, s_churn 40", "ddpm, flow", {"s_churn": 40.0}),
    ("euler_ancestral", "ddpm, flow", {}),
    ("heun", "heun, flow", {}),
    ("dpm_2", "midpoint, flow", {}),
    ("dpm_2_ancestral", "ddpm, flow", {}),
    ("lms", "dpm++, flow", {}),
    ("dpmpp_2s_ancestral", "ddpm, flow", {}),
    ("dpmpp_sde", "ddpm, flow", {}),
    ("dpmpp_2m", "dpm++, flow", {}),
    ("dpmpp_2m_sde", "ddpm, flow", {}),
    ("dpmpp_3m_sde", "ddpm, flow", {}),
)


def samplers() -> Iterator[Sampler]:
    """Yield the samplers that the installed version has."""
    for name, like, settings in RULES:
        rule = getattr(sampling, f"sample_{name.split(',')[0]}", None)
        if rule is not None:
            problem = Points()
            yield Sampler(
                "k-diffusion", name, problem, partial(draw, rule, settings, problem), like
            )


def draw(rule: Any, settings: dict[str, Any], problem: Points, samples: int, steps: int) -> Tensor:
    """Sample from noise of standard deviation 10 times that of the data."""
    sigmas = sampling.get_sigmas_karras(steps, 0.01, 10.0)
    x = torch.randn(samples, 2, 1, 1) * (sigmas[0] ** 2 + 1).sqrt()  # data are of variance 1

    def denoise(x: Tensor, sigma: Tensor) -> Tensor:
        return problem.mean(x, 1.0, sigma)

    return rule(denoise, x, sigmas, disable=True, **settings)
