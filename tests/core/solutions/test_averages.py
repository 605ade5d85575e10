"""Averages over a posterior: those of the conditional generators, a few elements at a time."""

import pytest
import torch
from torch.testing import assert_close

from feller.core.generators import Atoms, Binned, Categorical, Diffusion, Flow, Jump
from feller.core.paths import GaussianPath, GeodesicPath, GeometricPath, MixturePath
from feller.core.solutions import averages, from_posterior, solution
from feller.core.solutions.averages import average_over, expect
from feller.core.sources import UniformBox, UniformSphere
from feller.core.spaces import Interval, Sphere, Tokens, Torus

D = torch.float64
VALUES = torch.tensor([-0.9, -0.1, 0.4], dtype=D)


def posterior_of(rng, shape=(4, 2)):
    return Atoms(torch.randn(*shape, 3, generator=rng, dtype=D), VALUES)


def f(x):
    return (x * torch.tensor([0.7, -1.3], dtype=x.dtype) + 0.2).sin().sum(-1)


def sides(e):
    return slice(None, e), slice(e + 1, None)


def mean_of_conditionals(path, kind, x, t, posterior, backward=False):
    """Element by element: one-element states, each conditional generator by itself."""
    weights, total = posterior.logits.softmax(-1), []
    for b in range(len(x)):
        change = torch.zeros((), dtype=D)
        for e in range(x.shape[1]):
            for k in range(weights.shape[-1]):
                z = posterior.values[k].view(1, 1)

                def along(y, e=e, b=b):
                    left, right = (x[b, part].expand(len(y), -1) for part in sides(e))
                    return f(torch.cat([left, y, right], 1))

                one = x[b : b + 1, e : e + 1]
                each = solution(path, kind, backward=backward)(path, one, t, z)
                change += weights[b, e, k] * each.apply(along, one)[0]
        total.append(change)
    return torch.stack(total)


CASES = [
    (GaussianPath(), Flow, False),
    (GaussianPath(), Diffusion, False),
    (GaussianPath(), Jump, False),
    (GaussianPath(), Jump, True),
    (GeodesicPath(Torus(), UniformBox(-torch.pi, torch.pi)), Flow, False),
    (MixturePath(Interval(), UniformBox()), Diffusion, False),
    (MixturePath(Interval(), UniformBox()), Jump, False),
    (MixturePath(Interval(), UniformBox()), Jump, True),
]


@pytest.mark.parametrize(("path", "kind", "backward"), CASES, ids=lambda v: str(v)[:40])
def test_from_a_posterior_is_the_mean_of_the_conditionals(path, kind, backward, rng):
    x = 0.8 * (2 * torch.rand(4, 2, generator=rng, dtype=D) - 1)
    posterior = posterior_of(rng)
    mean = mean_of_conditionals(path, kind, x, 0.4, posterior, backward)
    ours = from_posterior(path, kind, x, 0.4, posterior, backward=backward)
    assert_close(ours.apply(f, x), mean)
    generic = average_over(solution(path, kind, backward=backward), path, x, 0.4, posterior)
    assert_close(generic.apply(f, x), mean)
    rows = torch.full((4,), 0.4, dtype=D)
    clocks = torch.full((4, 2), 0.4, dtype=D)
    for t in (rows, clocks):
        ours = from_posterior(path, kind, x, t, posterior, backward=backward)
        assert_close(ours.apply(f, x), mean)


def test_tokens_have_averages_too(rng):
    path = GeometricPath(Tokens(4))
    x, logits = torch.tensor([[0, 3]]), torch.randn(1, 2, 4, generator=rng)
    ours = from_posterior(path, Jump, x, 0.3, Categorical(logits))
    generic = average_over(solution(path, Jump), path, x, 0.3, Categorical(logits))
    assert_close(ours.apply(f_tokens, x), generic.apply(f_tokens, x))


def f_tokens(x):
    return (x.float() ** 2 * 0.3).sum(-1).sin()


def test_an_average_stays_with_the_mean_chance(rng):
    path, x = GaussianPath(), 3 * torch.randn(4, 2, generator=rng, dtype=D)
    posterior = posterior_of(rng)
    generic = average_over(solution(path, Jump), path, x, 0.4, posterior)
    h = torch.full((4, 1), 0.2, dtype=D)
    stays = torch.zeros(4, 2, dtype=D)
    for k in range(3):
        jump = solution(path, Jump)(path, x, 0.4, VALUES[k].expand(4, 2))
        stays += posterior.logits.softmax(-1)[..., k] * (-jump.intensity * jump.duration(h)).exp()
    assert_close((-generic.intensity * generic.duration(h)).exp(), stays)


def test_vectors_are_refused():
    path = GeodesicPath(Sphere(), UniformSphere())
    law = Atoms(torch.zeros(1, 3, 2), torch.tensor([0.0, 1.0]))
    with pytest.raises(LookupError, match="the elements of Sphere"):
        from_posterior(path, Flow, torch.eye(3)[:1], 0.5, law)


@pytest.mark.parametrize("at_once", [1, 10, 1 << 18])
def test_an_expectation_is_the_same_however_many_at_once(at_once, monkeypatch, rng):
    monkeypatch.setattr(averages, "_AT_ONCE", at_once)
    x, t = torch.randn(5, 3, generator=rng, dtype=D), torch.tensor(0.5, dtype=D)
    posterior = posterior_of(rng, (5, 3))
    found = expect(lambda z, x, t: t * (z - x) ** 2, posterior, (x, t), x.shape)
    truth = 0.5 * (posterior.logits.softmax(-1) * (VALUES - x[..., None]) ** 2).sum(-1)
    assert_close(found, truth)


def test_bins_count_with_their_places(rng):
    bins = Binned(torch.randn(2, 3, 4, generator=rng, dtype=D), torch.linspace(-1, 1, 5, dtype=D))
    square = expect(lambda z: z**2, bins, (), torch.Size([2, 3]))
    a, b = bins.edges[:-1], bins.edges[1:]
    exact = (b**3 - a**3) / 3 / (b - a)
    assert_close(square, (bins.logits.softmax(-1) * exact).sum(-1))
    assert expect(lambda z: z, bins.at(slice(0, 0)), (), torch.Size([0, 3])).shape == (0, 3)
