"""Losses: with the exact model their means over noise are entropies."""

from types import SimpleNamespace

import numpy as np
import pytest
import texts
import torch
from chains import SOURCES, exact_model, random_law
from torch.testing import assert_close

from feller.core.config import decode, encode
from feller.core.discrete import chunked_logits as reading
from feller.core.discrete.losses import Bound, CrossEntropy
from feller.core.heads import PosteriorHead
from feller.core.models import GeneratorModel
from feller.core.paths import GaussianPath, MixturePath
from feller.core.schedules import Cosine
from feller.core.sources import Masked
from feller.core.spaces import Tokens

V, N = 3, 2
CHAINS = ("forward", "reverse")
every_source = pytest.mark.parametrize("noise", SOURCES)


class Reader:
    """An exact model that is read as a network is."""

    def __init__(self, exact):
        self.exact, self.parametrization = exact, exact.parametrization

    def __call__(self, x, t, condition, *, reading):
        kappa = self.exact.path.schedule.alpha(torch.as_tensor(t)).expand(len(x))
        logits = self.exact.logits(x, kappa, where=reading.where)
        return reading.function(logits, slice(0, len(logits)))


def states_of(path, points, size):
    """Every pair of a data point and a state, with log q(state | point) as a function of t."""
    ids = torch.cartesian_prod(*[torch.arange(size)] * N)
    z = points.repeat_interleave(len(ids), 0)
    x = ids.repeat(len(points), 1)

    def law(t):
        kappa = path.schedule.alpha(t)
        source = path.source.log_density(x).double().exp()
        return (kappa * (z == x) + (1 - kappa) * source).prod(1)

    return z, x, law


def expected(loss, exact, points, weights):
    """The mean of a loss over data, states and times, by quadrature over the times."""
    z, x, law = states_of(exact.path, points, exact.vocabulary.size)
    prior = weights.repeat_interleave(len(x) // len(points), 0)
    total = torch.zeros((), dtype=torch.float64)
    nodes, gauss = (torch.from_numpy(array) / 2 for array in np.polynomial.legendre.leggauss(60))
    for t, weight in zip(nodes + 0.5, gauss, strict=True):
        possible = law(t) > 0
        each = torch.zeros(len(x), dtype=torch.float64)
        each[possible] = loss(
            Reader(exact), exact.path, z[possible], t.float().expand(len(x))[possible], x[possible]
        ).double()
        total += weight * (prior * law(t) * each).sum()
    return total


@every_source
@pytest.mark.parametrize("law", ["posterior", "leave_one_out"])
def test_the_reverse_bound_reaches_the_entropy(noise, law):
    points, weights = random_law(V, N)
    exact = exact_model(noise, points, weights, v=V, parametrization=law)
    entropy = -(weights * weights.log()).sum()
    bound = N * expected(Bound("reverse"), exact, points, weights)
    assert_close(bound, entropy, rtol=2e-3, atol=0)


def test_no_schedule_enters_a_bound():
    points, weights = random_law(V, N)
    linear, cosine = (
        expected(Bound(), exact_model("uniform", points, weights, v=V, schedule=s), points, weights)
        for s in (None, Cosine())
    )
    assert_close(linear, cosine, rtol=2e-3, atol=0)


@every_source
def test_the_forward_bound_is_loose_but_for_masks(noise):
    points, weights = random_law(V, N)
    exact = exact_model(noise, points, weights, v=V)
    entropy = -(weights * weights.log()).sum()
    bound = N * expected(Bound("forward"), exact, points, weights)
    if noise == "mask":
        assert_close(bound, entropy, rtol=2e-3, atol=0)
    else:
        assert 1.03 * entropy < bound < 2 * entropy


def test_the_mean_over_masks_is_the_bound():
    """Kappa is uniform, and so is the number of masks: n + 1 outcomes, of which none counts."""
    points, weights = random_law(V, N)
    exact = exact_model("mask", points, weights, v=V)
    entropy = -(weights * weights.log()).sum()
    mean = expected(CrossEntropy(), exact, points, weights)
    assert_close(N * mean * (N + 1) / N, entropy, rtol=1e-4, atol=0)


def test_the_mean_over_all_tokens():
    points, weights = random_law(V, N)
    exact = exact_model("mask", points, weights, v=V)
    z, x = torch.tensor([[0, 1]]), torch.tensor([[V, 1]])
    t = torch.tensor([0.5])
    over_masks, over_all = (
        CrossEntropy(mean)(Reader(exact), exact.path, z, t, x) for mean in ("noise", "all")
    )
    assert_close(over_masks, 2 * over_all)
    none = CrossEntropy()(Reader(exact), exact.path, z, t, z)
    assert none.tolist() == [0.0]


@pytest.mark.parametrize("loss", [CrossEntropy(), Bound("forward"), Bound("reverse")])
@pytest.mark.parametrize("noise", SOURCES)
def test_every_weight_gets_a_gradient(loss, noise, rng):
    model = texts.model(noise=noise)
    z = torch.randint(5, (3, 8), generator=rng)
    t = torch.tensor([0.2, 0.5, 0.8])
    x = model.path.sample(z, t, rng)
    each = loss(model, model.path, z, t, x)
    assert each.shape == (3,)
    each.mean().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())


@pytest.mark.parametrize("noise", SOURCES)
def test_chunks_change_nothing(noise, rng, monkeypatch):
    model = texts.model(noise=noise)
    z = torch.randint(5, (3, 8), generator=rng)
    t = torch.tensor([0.2, 0.5, 0.8])
    x = model.path.sample(z, t, rng)
    whole = Bound()(model, model.path, z, t, x)
    (expected,) = torch.autograd.grad(whole.sum(), model.network.head.weight)
    monkeypatch.setattr(reading, "CHUNK", 20)
    parts = Bound()(model, model.path, z, t, x)
    assert_close(parts, whole)
    (found,) = torch.autograd.grad(parts.sum(), model.network.head.weight)
    assert_close(found, expected, rtol=1e-4, atol=1e-6)


def test_the_wrapper_of_a_process_group_is_seen_through(rng):
    model = texts.model()
    wrapped = SimpleNamespace(module=model)
    z = torch.randint(5, (2, 8), generator=rng)
    x = model.path.sample(z, 0.5, rng)

    class Wrapper:
        module = model

        def __call__(self, *arguments, **options):
            return wrapped.module(*arguments, **options)

    t = torch.full((2,), 0.5)
    assert_close(
        CrossEntropy()(Wrapper(), model.path, z, t, x), CrossEntropy()(model, model.path, z, t, x)
    )


@pytest.mark.parametrize("loss", [CrossEntropy("all"), Bound("forward")])
def test_losses_survive_json(loss):
    assert decode(encode(loss)) == loss


@pytest.mark.parametrize("noise", ["uniform", "mask+uniform"])
def test_losses_are_finite_to_the_last_time_that_is_drawn(noise):
    """There the cosine rounds 1 - kappa to 0 in float32."""
    model = texts.model(noise, parametrization="leave_one_out", schedule=Cosine())
    z = torch.zeros(4, 8, dtype=torch.int64)
    t = torch.tensor([0.9998, 0.9999, 0.99999, 1 - 1e-6])
    for loss in (CrossEntropy(), Bound(), Bound("forward")):
        found = loss(model, model.path, z, t, torch.randint(5, z.shape))
        assert found.isfinite().all()
        found.sum().backward()
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)


def test_a_model_of_generators_has_the_cross_entropy_of_its_posterior(rng):
    """Pixels as well as sequences; what is not noise does not count."""
    network = torch.nn.Embedding(5, 4)
    path = MixturePath(Tokens(5, event_dim=2), Masked(4))
    model = GeneratorModel(lambda x, t, condition: network(x), path, PosteriorHead(4))
    z = torch.randint(4, (2, 3, 2), generator=rng)
    x = torch.where(torch.rand(z.shape, generator=rng) < 0.5, 4, z)
    loss = CrossEntropy()(model, path, z, torch.tensor([0.3, 0.6]), x)
    each = torch.nn.functional.cross_entropy(
        network(x).flatten(0, 2), z.flatten(), reduction="none"
    )
    hidden = (x == 4).flatten(1)
    assert_close(loss, (each.view(2, -1) * hidden).sum(1) / hidden.sum(1))
    loss.sum().backward()
    assert network.weight.grad is not None
    assert network.weight.grad[4].count_nonzero() == 4  # of the mask alone
    assert network.weight.grad[:4].count_nonzero() == 0
    bounds = [Bound(chain)(model, path, z, torch.tensor([0.3, 0.6]), x) for chain in CHAINS]
    assert_close(*bounds)  # of masks both chains have one bound


def test_states_that_are_no_tokens_are_refused():
    model = GeneratorModel(lambda x, t, condition: x, GaussianPath())
    z = torch.zeros(2, 3)
    with pytest.raises(ValueError, match=r"CrossEntropy is a loss of Tokens, not of Euclidean"):
        CrossEntropy()(model, model.path, z, torch.tensor([0.3, 0.6]), z)


@pytest.mark.parametrize("token", [-1, 99])
def test_tokens_outside_of_the_vocabulary_are_refused(token):
    model, z = texts.model("mask"), torch.zeros(1, 8, dtype=torch.int64)
    wrong = torch.full_like(z, token)
    for data, state in ((wrong, z), (z, wrong)):
        with pytest.raises(ValueError, match=rf"tokens are 0 \.\.\. \d+, these {token}"):
            CrossEntropy()(model, model.path, data, torch.tensor([0.5]), state)


def test_names_and_times_that_are_none():
    with pytest.raises(ValueError, match="chain is forward or reverse, not 'Forward'"):
        texts.misspelt(Bound(), chain="Forward")
    with pytest.raises(ValueError, match="mean is noise or all, not 'noisy'"):
        texts.misspelt(CrossEntropy(), mean="noisy")
    model, z = texts.model("mask"), torch.zeros(1, 8, dtype=torch.int64)
    with pytest.raises(ValueError, match=r"t lies in \[0, 1\]"):
        CrossEntropy()(model, model.path, z, torch.tensor([1.5]), z)
