"""Likelihoods: unbiased, the entropy at the optimum, the chain rule's mean over orders."""

import inspect
import itertools
import math

import pytest
import torch
from chains import SOURCES, drawn, every_sequence, exact_model, index_of, random_law
from torch.testing import assert_close

from feller.core import random
from feller.core.discrete import likelihood
from feller.core.discrete.likelihood import bits_per_byte, chain_rule
from feller.core.discrete.models import TokenModel
from feller.core.discrete.solvers import Adaptive
from feller.core.likelihood import elbo

V, N = 3, 3
POINTS, WEIGHTS = random_law(V, N)
every_source = pytest.mark.parametrize("noise", SOURCES)


class Wrong(TokenModel):
    """A model with a mask source that is right about nothing: random logits for each state."""

    def __init__(self, v=2, n=3):
        plain = exact_model("mask", every_sequence(v, n), torch.ones(v**n))
        self.path, self.vocabulary, self.parametrization = plain.path, plain.vocabulary, "posterior"
        rng = torch.Generator().manual_seed(3)
        self.table = 2 * torch.randn((v + 1) ** n, n, v, generator=rng, dtype=torch.float64)

    def logits(self, x, kappa, condition=None, *, where=None):
        logits = self.table[index_of(x, self.vocabulary.size)]
        return logits if where is None else logits[where]


def upper_bound(*asked, **how):
    return -elbo(*asked, **how).nats


def spread_mean(values):
    """The mean, and four times its standard error."""
    return float(values.mean()), 4 * float(values.std()) / len(values) ** 0.5


def masked_bound(model, x):
    """n E E (1 / |M|) sum of cross-entropies over all sets of masks, enumerated."""
    n, total = len(x), 0.0
    for size in range(1, n + 1):
        sets = list(itertools.combinations(range(n), size))
        for masks in sets:
            z = x.clone()
            z[list(masks)] = model.vocabulary.mask
            log_p = model.logits(z[None], torch.zeros(1))[0].log_softmax(-1)
            each = -sum(float(log_p[i, x[i]]) for i in masks)
            total += each / size / len(sets)
    return total


def test_the_bound_of_a_wrong_model_is_the_enumerated_one(rng):
    model, x = Wrong(), torch.tensor([0, 1, 1])
    exact = masked_bound(model, x)
    for draws in (1, 3):
        mean, error = spread_mean(upper_bound(model, x.expand(4000, 3), rng, draws=draws))
        assert abs(mean - exact) < error
        assert error < 0.2


def test_the_chain_rule_averages_over_orders_to_the_bound():
    """P11: 6 orders against 7 sets of masks, exactly."""
    model = Wrong()
    for x in (torch.tensor([0, 1, 1]), torch.tensor([1, 0, 1])):
        orders = torch.tensor(list(itertools.permutations(range(3))))
        each = chain_rule(model, x.expand(6, 3), orders)
        assert each.std() > 0.1
        assert float(each.mean()) == pytest.approx(masked_bound(model, x), abs=1e-10)


def test_sizes_are_stratified(rng):
    """Two tokens whose cost depends on the size alone: as many draws as tokens leave no noise."""
    model = Wrong(2, 2)
    costs = torch.tensor([[[0.0, 1.0]], [[0.0, 3.0]]]).double()  # of one mask, of two
    masks = (every_sequence(3, 2) == 2).sum(1)
    model.table = costs[masks.clamp_min(1) - 1].expand(9, 2, 2)
    x = torch.zeros(200, 2, dtype=torch.int64)
    assert upper_bound(model, x, rng, draws=1).std() > 0.1
    assert upper_bound(model, x, rng, draws=2).std() < 1e-12


@every_source
@pytest.mark.parametrize("form", ["posterior", "leave_one_out"])
def test_of_the_exact_model_it_is_the_entropy(noise, form, rng):
    """Texts drawn from the law: the mean of the bound is the entropy, within its noise."""
    model = exact_model(noise, POINTS, WEIGHTS, v=V, parametrization=form)
    x = POINTS[torch.multinomial(WEIGHTS, 3000, True, generator=rng)]
    mean, error = spread_mean(upper_bound(model, x, rng, draws=8) + WEIGHTS.log()[index_of(x, V)])
    assert abs(mean) < error
    assert error < 0.1  # at uniform kappas it would be ten times as much


@every_source
def test_what_is_not_counted_is_a_condition(noise, rng):
    """-log p of the middle given the ends: of one token the mean bound is its entropy."""
    model = exact_model(noise, POINTS, WEIGHTS, v=V, parametrization="leave_one_out")
    middle = WEIGHTS.view(V, V, V)[2, :, 0]
    y = torch.multinomial(middle, 2000, True, generator=rng)
    x = torch.stack([torch.full_like(y, 2), y, torch.zeros_like(y)], 1)
    counted = torch.tensor([False, True, False]).expand(2000, 3)
    nats = upper_bound(model, x, rng, draws=4, counted=counted)
    mean, error = spread_mean(nats + (middle / middle.sum()).log()[y])
    assert abs(mean) < error + 1e-9
    assert error < 0.1
    none = upper_bound(model, x[:2], rng, counted=torch.zeros_like(counted[:2]))
    assert none.tolist() == [0, 0]


def test_the_chain_rule_of_the_exact_model_is_exact_in_any_order(rng):
    model = exact_model("mask", POINTS, WEIGHTS, v=V)
    for order in ("left_to_right", "random", "confidence"):
        assert_close(chain_rule(model, POINTS, order, rng), -WEIGHTS.log())


def test_the_order_of_confidence_is_that_of_adaptive_reveals(rng):
    """exp(-chain rule) are the chances with which Adaptive draws, whatever the model."""
    model = Wrong()
    x = drawn(model, Adaptive("confidence"), torch.zeros(8000, 3, dtype=int), rng).x
    shares = index_of(x, 2).bincount(minlength=8) / 8000
    chances = (-chain_rule(model, every_sequence(2, 3), "confidence")).exp()
    assert_close(chances.sum(), torch.ones(()).double())
    assert_close(shares.double(), chances, atol=0.025, rtol=0)


def test_left_to_right_reveals_from_the_left():
    model, x = Wrong(), torch.tensor([[0, 1, 1]])
    z, expected = torch.full((1, 3), 2), 0.0
    for i in range(3):
        expected -= float(model.logits(z, None)[0, i].log_softmax(-1)[x[0, i]])
        z[0, i] = x[0, i]
    assert float(chain_rule(model, x, "left_to_right")) == pytest.approx(expected)


@every_source
def test_a_row_is_the_same_alone_and_in_parts(noise, monkeypatch):
    model = exact_model(noise, POINTS, WEIGHTS, v=V, parametrization="leave_one_out")
    x = POINTS[:7]
    together = upper_bound(model, x, random.rows(1, 0, 7), draws=3)
    some = upper_bound(model, x[3:5], random.rows(1, 3, 5), draws=3)
    assert_close(some, together[3:5], rtol=1e-13, atol=0)  # the same noise, to the last digits
    monkeypatch.setattr(likelihood, "CHUNK", V * N * 2)
    parts = upper_bound(model, x, random.rows(1, 0, 7), draws=3)
    assert_close(parts, together, rtol=1e-13, atol=0)


def test_the_interval_is_over_documents():
    nats = torch.tensor([1.0, 3.0, 2.0, 2.0, 6.0]).double() * math.log(2)
    apart = bits_per_byte(nats, [1.0] * 5, [0, 1, 2, 3, 4])
    joined = bits_per_byte(nats, [1.0] * 5, [0, 0, 1, 1, 2])
    assert apart.value == joined.value == pytest.approx(14 / 5)
    residuals = torch.tensor([4 - 2 * 2.8, 4 - 2 * 2.8, 6 - 2.8])
    spread = float((residuals.square().sum() * 3 / 2).sqrt()) / 5
    assert joined.high - joined.value == pytest.approx(1.959964 * spread)
    assert bits_per_byte(nats[:2], [2.0, 2.0], [0, 1]).value == 1


def test_the_interval_covers(rng):
    """Of 400 corpora of 30 documents about 95% of intervals hold the truth."""
    size = torch.randint(1, 5, (400, 30), generator=rng).double()
    nats = size * (2 + torch.randn(400, 30, generator=rng)) * math.log(2)
    found = [bits_per_byte(n, s.tolist(), [*range(30)]) for n, s in zip(nats, size, strict=True)]
    assert 0.90 < sum(e.low < 2 < e.high for e in found) / 400 < 0.98


def test_what_has_no_answer_is_refused(rng):
    model = exact_model("uniform", POINTS, WEIGHTS, v=V)
    with pytest.raises(ValueError, match="asks for a mask source"):
        chain_rule(model, POINTS)
    with pytest.raises(ValueError, match="at least one draw, not 0"):
        upper_bound(model, POINTS, rng, draws=0)
    assert upper_bound(model, POINTS[:0], rng).shape == (0,)


def test_orders_that_are_none():
    model = exact_model("mask", POINTS, WEIGHTS)
    with pytest.raises(ValueError, match="ranks of a text are 0"):
        chain_rule(model, POINTS, 1 + torch.arange(POINTS.shape[1]).expand(POINTS.shape))


@pytest.mark.parametrize(
    ("x", "counted", "reason"),
    [
        (POINTS[0], None, r"states are a batch \(b, \.\.\.\) of Tokens"),
        (POINTS[:2], torch.ones(N, dtype=torch.bool), r"counted is of each token, \(2, 3\), not"),
        (torch.full((2, N), V), None, r"data are tokens 0 \.\.\. 2, and 3 is the mask"),
    ],
)
def test_what_is_no_batch_of_data_is_refused(x, counted, reason):
    model = exact_model("mask", POINTS, WEIGHTS)
    with pytest.raises(ValueError, match=reason):
        inspect.unwrap(likelihood.drawn_bounds)(model, x, counted=counted)


def test_ids_of_any_width_are_data():
    model = exact_model("mask", POINTS, WEIGHTS)
    bounds = inspect.unwrap(likelihood.drawn_bounds)  # types are checked in tests: users' are not
    wide, narrow = (
        bounds(model, POINTS[:2].to(kind), random.rows(0, 0, 2), draws=2)
        for kind in (torch.int64, torch.uint8)
    )
    assert narrow.equal(wide)
