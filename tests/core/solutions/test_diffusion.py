"""Diffusions that solve a path: drift, score and noise against their definitions."""

import torch
from torch.testing import assert_close

from feller.core.generators import Diffusion
from feller.core.paths import GaussianPath
from feller.core.schedules import VariancePreserving
from feller.core.solutions import solution
from feller.core.solutions.diffusion import gaussian_score


def test_the_score_is_the_gradient_of_the_log_density(rng):
    path = GaussianPath()
    x = torch.randn(20, 3, generator=rng, dtype=torch.float64, requires_grad=True)
    z = torch.randn(20, 3, generator=rng, dtype=torch.float64)
    (gradient,) = torch.autograd.grad(path.log_density(x, 0.4, z).sum(), x)
    assert_close(gaussian_score(path, x.detach(), 0.4, z), gradient)


def test_with_the_variance_preserving_schedule_it_is_the_reverse_sde_of_ddpm(rng):
    """dx = (beta x / 2 + beta score) dt + sqrt(beta) dw in our time, arXiv 2011.13456."""
    path = GaussianPath(schedule=VariancePreserving())
    x, z = torch.randn(2, 20, 3, generator=rng, dtype=torch.float64)
    t = torch.tensor(0.3, dtype=torch.float64)
    beta = 0.1 + (1 - t) * 19.9
    alpha2 = path.schedule.alpha(t) ** 2
    diffusion = solution(path, Diffusion)(path, x, 0.3, z)
    assert_close(diffusion.covariance, (alpha2 * beta).expand_as(x))
    noise = beta * alpha2
    drift = beta * x / 2 + (beta + noise) / 2 * gaussian_score(path, x, 0.3, z)
    assert_close(diffusion.drift, drift)
