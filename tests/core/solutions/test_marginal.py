"""Marginal generators from a posterior: against exact data, and lean when simulated."""

import pytest
import torch
from scipy import stats
from torch.overrides import TorchFunctionMode
from torch.testing import assert_close

from feller.core.generators import Atoms, Categorical, Diffusion, Flow, Jump
from feller.core.paths import GaussianPath, GeometricPath, MixturePath
from feller.core.posteriors import FiniteData
from feller.core.schedules import CondOT, Cosine, Geometric, VariancePreserving
from feller.core.solutions import from_posterior
from feller.core.sources import Masked, UniformSphere, UniformTokens
from feller.core.spaces import Sphere, Tokens

D = torch.float64
POINTS, WEIGHTS = torch.tensor([[-2.0], [0.5], [2.0]], dtype=D), torch.tensor([0.3, 0.2, 0.5]).to(D)


def f(x):
    return (x.to(D) * 0.7 + 0.1).sin().sum(-1)


@pytest.mark.parametrize("kind", [Flow, Diffusion, Jump])
@pytest.mark.parametrize(
    "schedule", [CondOT(), Cosine(), VariancePreserving(), Geometric(0.2)], ids=str
)
@pytest.mark.parametrize("t", [0.1, 0.5, 0.9])
def test_it_is_the_generator_of_the_data(kind, schedule, t):
    path = GaussianPath(schedule=schedule)
    x = torch.linspace(-3, 3, 31, dtype=D)[:, None]
    exact = FiniteData(path, kind, POINTS, WEIGHTS)
    law = Atoms(exact.posterior(x, t).log()[:, None] + 5, POINTS[:, 0])
    ours = from_posterior(path, kind, x, t, law)
    assert_close(ours.apply(f, x), exact(x, t).apply(f, x), atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize(
    "path",
    [
        MixturePath(Tokens(4), Masked(3)),
        MixturePath(Tokens(4), UniformTokens(4)),
        GeometricPath(Tokens(4)),
    ],
    ids=str,
)
def test_it_is_the_generator_of_tokens(path):
    data, x = torch.tensor([[0], [1], [2]]), torch.arange(4)[:, None]
    exact = FiniteData(path, Jump, data, WEIGHTS.float())
    posterior = exact.posterior(x, 0.4)
    law = Categorical(torch.cat([posterior, torch.zeros(4, 1)], 1).log()[:, None])
    ours = from_posterior(path, Jump, x, 0.4, law)
    assert_close(ours.apply(f, x), exact(x, 0.4).apply(f, x), atol=1e-6, rtol=1e-6)


def test_what_is_not_the_mask_stays():
    """Whatever the network says of it."""
    path, x = MixturePath(Tokens(4), Masked(3)), torch.tensor([[3, 0, 2, 3]])
    jump = from_posterior(path, Jump, x, 0.5, Categorical(torch.zeros(1, 4, 4)))
    assert jump.intensity.tolist() == [[2.0, 0.0, 0.0, 2.0]]


def test_a_jump_lands_by_the_law_of_the_mean(rng):
    """Draws of the deferred destination against its points."""
    path, n = GaussianPath(), 20_000
    x, t = torch.full((n, 1), 1.5, dtype=D), 0.6
    law = Atoms(torch.tensor([0.2, 0.3, 0.5], dtype=D).log().expand(n, 1, 3), POINTS[:, 0])
    jump = from_posterior(path, Jump, x, t, law)
    landed = jump.destination.expand(x.shape).at((slice(None),)).sample(rng)
    points, weights = jump.destination.at(slice(0, 1)).quadrature()
    weights = weights.flatten()
    mean, square = ((weights * points.flatten() ** p).sum() for p in (1, 2))
    spread = float((square - mean**2).sqrt()) / n**0.5
    assert abs(float(landed.mean() - mean)) < 4 * spread


class Largest(TorchFunctionMode):
    """Remembers the largest tensor that any function returned."""

    def __init__(self):
        super().__init__()
        self.size = 0

    def __torch_function__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for value in result if isinstance(result, tuple | list) else (result,):
            if isinstance(value, torch.Tensor) and not _is_view(value):
                self.size = max(self.size, value.numel())
        return result


def _is_view(value):
    return (
        value._base is not None
        or value.numel() != value.untyped_storage().size() // value.element_size()
    )


def test_a_step_makes_no_tensor_of_elements_times_values(rng):
    path, n, k = GaussianPath(), 200_000, 64
    x = torch.randn(1, n, generator=rng)
    logits = torch.zeros(1, n, 1).expand(1, n, k).contiguous()
    law = Atoms(logits, torch.linspace(-1, 1, k))
    with Largest() as seen, torch.no_grad():
        jump = from_posterior(path, Jump, x, 0.3, law)
        moved = jump.step(path.space, x, 0.01, rng)
    fired = int((moved != x).sum())
    assert 0 < fired < n / 20
    assert seen.size < n * k / 8


def test_a_marginal_jump_has_the_moments_of_the_marginal_law(rng):
    """One small step leaves the marginal law of the path that it should."""
    path, t, h, n = GaussianPath(), 0.5, 0.02, 200_000
    z = POINTS[torch.multinomial(WEIGHTS, n, replacement=True, generator=rng)]
    x = path.sample(z, t, rng)
    exact = FiniteData(path, Jump, POINTS, WEIGHTS)
    law = Atoms(exact.posterior(x, t).log()[:, None], POINTS[:, 0])
    moved = from_posterior(path, Jump, x, t, law).step(path.space, x, h, rng)

    def cdf(y):
        return sum(
            float(w) * stats.norm.cdf(y, (t + h) * float(m), 1 - t - h)
            for w, m in zip(WEIGHTS, POINTS, strict=True)
        )

    assert stats.kstest(moved.flatten().numpy()[:20_000], cdf).pvalue > 1e-3


def test_a_posterior_over_numbers_moves_no_vectors():
    path, x = MixturePath(Sphere(), UniformSphere()), torch.eye(3)
    posterior = Atoms(torch.zeros(3, 3, 2), torch.tensor([-1.0, 1.0]))
    with pytest.raises(LookupError, match="are vectors"):
        from_posterior(path, Jump, x, 0.5, posterior)
