"""Diffusions that solve a path: drift, score and noise against their definitions."""

import pytest
import torch
from torch.testing import assert_close

from feller.core.generators import Diffusion
from feller.core.paths import GaussianPath, MixturePath
from feller.core.schedules import Cosine, VariancePreserving
from feller.core.solutions import langevin, solution
from feller.core.sources import Masked, UniformBox
from feller.core.spaces import Euclidean, Interval, Tokens


def test_the_score_is_the_gradient_of_the_log_density(rng):
    path = GaussianPath()
    x = torch.randn(20, 3, generator=rng, dtype=torch.float64, requires_grad=True)
    z = torch.randn(20, 3, generator=rng, dtype=torch.float64)
    (gradient,) = torch.autograd.grad(path.log_density(x, 0.4, z).sum(), x)
    assert_close(path.score(x.detach(), 0.4, z), gradient)


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
    drift = beta * x / 2 + (beta + noise) / 2 * path.score(x, 0.3, z)
    assert_close(diffusion.drift, drift)


def test_on_an_interval_it_is_the_formula_of_the_paper(rng):
    """Sigma = 2 hazard (r - l) {(z-l)^2 / 2(r-l) + [x-z]_+ - (x-l)^2 / 2(r-l)}, and 0 at z."""
    low, high = -0.5, 2.0
    path = MixturePath(Interval(low, high), UniformBox(low, high), Cosine())
    x, z = low + (high - low) * torch.rand(2, 50, 3, generator=rng, dtype=torch.float64)
    span, hazard = high - low, path.schedule.hazard(torch.tensor(0.4, dtype=torch.float64))
    brace = ((z - low) ** 2 - (x - low) ** 2) / (2 * span) + (x - z).clamp_min(0)
    diffusion = solution(path, Diffusion)(path, x, 0.4, z)
    assert_close(diffusion.covariance, 2 * hazard * span * brace)
    assert not diffusion.drift.any()
    assert (diffusion.covariance >= 0).all()
    assert not solution(path, Diffusion)(path, z, 0.4, z).covariance.any()


@pytest.mark.parametrize(
    "path",
    [
        MixturePath(Euclidean(), UniformBox()),
        MixturePath(Interval(), UniformBox(0.0, 1.0)),
        MixturePath(Tokens(3), Masked(2)),
    ],
    ids=str,
)
def test_elsewhere_a_mixture_does_not_diffuse(path):
    x = torch.zeros(1, 1)
    with pytest.raises(
        ValueError, match=r"on an Interval from a UniformBox with the same ends, not"
    ):
        solution(path, Diffusion)(path, x, 0.5, x)


def test_langevin_takes_the_gradient_of_the_variance():
    score, variance = torch.tensor([[-1.0, 2.0]]), torch.tensor([[4.0, 2.0]])
    part = langevin(score, variance, torch.tensor([[1.0, -1.0]]))
    assert_close(part.drift, torch.tensor([[-1.5, 1.5]]))
    assert_close(part.covariance, variance)
