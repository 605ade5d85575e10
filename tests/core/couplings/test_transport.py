"""Plans: entropic and unbalanced ones by what makes them optimal, and those given a condition."""

import math

import pytest
import torch
from scipy import stats
from torch.testing import assert_close

from feller.core import random
from feller.core.couplings import (
    ConditionalOT,
    EntropicOT,
    IndependentCoupling,
    MinibatchOT,
    UnbalancedOT,
    sinkhorn,
    transport,
)

D = torch.float64
TOKENS = torch.zeros(2, 1, dtype=torch.int64)


@pytest.fixture(autouse=True)
def exactly(monkeypatch):
    monkeypatch.setattr(transport, "TOLERANCE", 1e-9)


def cost(rng, b=6):
    return 4 * torch.rand(b, b, generator=rng, dtype=D)


@pytest.mark.parametrize("epsilon", [0.05, 1.0, 20.0])
def test_the_entropic_plan_is_optimal(epsilon, rng):
    """Even marginals, and log pi + C / eps a sum of a number a row and a number a column."""
    c = cost(rng)
    plan = sinkhorn(c, epsilon)
    assert_close(plan.sum(0), torch.full((6,), 1 / 6, dtype=D))
    assert_close(plan.sum(1), torch.full((6,), 1 / 6, dtype=D), rtol=0, atol=1e-8)
    assert mixed(plan.log() + c / epsilon) < 1e-9


def mixed(table):
    """How far a table is from a sum of numbers of rows and of columns."""
    return float((table - table.mean(0) - table.mean(1, keepdim=True) + table.mean()).abs().max())


def test_the_unbalanced_plan_is_optimal(rng):
    """At the optimum the potentials are minus the penalty's derivative at each marginal."""
    c, epsilon, penalty = cost(rng), 0.5, 2.0
    c[0] += 50  # far from all: used less
    plan = sinkhorn(c, epsilon, penalty)
    rows, columns = plan.sum(1), plan.sum(0)
    f, g = (-penalty * (6 * marginal).log() for marginal in (rows, columns))
    expected = ((f[:, None] + g - c) / epsilon).exp() / 36
    assert_close(plan, expected, rtol=1e-6, atol=1e-12)
    assert rows[0] < 0.2 * rows[1:].min()


def test_a_plan_that_is_not_found_is_an_error_in_one_line(monkeypatch, rng):
    monkeypatch.setattr(transport, "ROUNDS", 5)
    with pytest.raises(ValueError, match=r"epsilon 1e-06 is small .* or MinibatchOT") as caught:
        sinkhorn(cost(rng), 1e-6)
    assert "\n" not in str(caught.value)


def test_partners_are_drawn_from_the_plan(rng):
    x_0, x_1 = torch.randn(2, 4, 1, generator=rng, dtype=D)
    plan = sinkhorn((x_0 - x_1.T) ** 2, 1.0)
    counts = torch.zeros(4, 4, dtype=D)
    for _ in range(200):
        rows = EntropicOT(1.0).rows(x_0, x_1, rng, None)
        assert rows.of_1 is None
        counts[rows.of_0, torch.arange(4)] += 1
    assert stats.chisquare(counts.flatten(), plan.flatten() * counts.sum()).pvalue > 1e-3


def test_between_exact_and_independent(rng, monkeypatch):
    monkeypatch.setattr(transport, "TOLERANCE", 1e-2)
    x_0, x_1 = torch.arange(12.0).flip(0)[:, None], torch.arange(12.0)[:, None] + 0.2
    exact = MinibatchOT()(x_0, x_1).pair
    assert_close(EntropicOT(0.05)(x_0, x_1, rng).pair.x_0, exact.x_0)
    distances = (x_0 - x_1.T) ** 2
    plans = [sinkhorn(distances, epsilon) for epsilon in (0.05, 2.0, 20.0, 1e6)]
    costs = [float((plan * distances).sum()) for plan in plans]
    assert costs == sorted(costs)
    assert_close(plans[-1], torch.full((12, 12), 1 / 144, dtype=D), rtol=0.01, atol=0)


def test_entropic_pairs_of_normals_have_the_known_correlation(rng):
    """Of N(0, 1) twice, cost |x - y|^2: y given x has mean r x, r = (sqrt(16 + e^2) - e) / 4."""
    x_0, x_1 = torch.randn(2, 1500, 1, generator=rng, dtype=D)
    pair = EntropicOT(2.0)(x_0, x_1, rng).pair
    r = torch.corrcoef(torch.cat([pair.x_0, pair.x_1], 1).T)[0, 1]
    assert float(r) == pytest.approx((math.sqrt(16 + 4) - 2) / 4, abs=0.06)


def test_a_row_draws_from_its_own_generator(rng):
    x_0, x_1 = torch.randn(2, 8, 1, generator=rng, dtype=D)
    first, again = (EntropicOT()(x_0, x_1, random.rows(0, 0, 8)).pair for _ in range(2))
    assert torch.equal(first.x_0, again.x_0)


def test_unbalanced_pairs_leave_out_what_is_far(rng):
    x_0, x_1 = torch.randn(2, 100, 1, generator=rng, dtype=D)
    x_0[:50] += 30
    batch = UnbalancedOT(1.0, 5.0)(x_0, x_1, rng)
    assert float((batch.pair.x_0 > 15).double().mean()) < 0.05
    assert len(batch.pair) == 100


@pytest.mark.parametrize("inner", [MinibatchOT(), EntropicOT(0.5)], ids=str)
def test_within_a_condition_the_source_stays_what_it_is(inner, rng):
    """Each condition keeps the very source samples that were drawn beside it."""
    label = torch.arange(60) % 3
    x_1 = torch.randn(60, 1, generator=rng, dtype=D) + 10 * label[:, None]
    x_0 = torch.randn(60, 1, generator=rng, dtype=D)
    batch = ConditionalOT(inner)(x_0, x_1, rng, label)
    assert torch.equal(batch.condition, label)
    assert torch.equal(batch.pair.x_1, x_1)
    for each in range(3):
        here = label == each
        assert set(batch.pair.x_0[here].flatten().tolist()) <= set(x_0[here].flatten().tolist())
    if isinstance(inner, MinibatchOT):  # the best within each
        best = MinibatchOT()(x_0[label == 1], x_1[label == 1]).pair.x_0
        assert torch.equal(batch.pair.x_0[label == 1], best)
        plain = MinibatchOT()(x_0, x_1).pair.x_0  # sorts the source by condition
        assert float(plain[label == 2].mean()) > 0.8
        assert abs(float(batch.pair.x_0[label == 2].mean())) < 0.6


def test_unbalanced_pairs_within_a_condition_bring_their_condition(rng):
    label = torch.arange(40) % 2
    x_1 = torch.randn(40, 1, generator=rng, dtype=D) + 10 * label[:, None]
    batch = ConditionalOT(UnbalancedOT())(torch.randn(40, 1).double(), x_1, rng, label)
    assert torch.equal((batch.pair.x_1[:, 0] > 5).long(), batch.condition)


@pytest.mark.parametrize("kind", ["label", "number"])
def test_a_change_of_condition_has_a_price(kind, rng):
    label = torch.arange(40) % 2
    condition = label if kind == "label" else label[:, None].double()
    x_1 = torch.randn(40, 1, generator=rng, dtype=D) + 10 * label[:, None]
    x_0 = torch.randn(40, 1, generator=rng, dtype=D)
    dear = ConditionalOT(MinibatchOT(), 1e6)(x_0, x_1, rng, condition).pair.x_0
    within = ConditionalOT(MinibatchOT())(x_0, x_1, rng, label).pair.x_0
    cheap = ConditionalOT(MinibatchOT(), 1e-6)(x_0, x_1, rng, condition).pair.x_0
    assert torch.equal(dear, within)
    assert torch.equal(cheap, MinibatchOT()(x_0, x_1).pair.x_0)


@pytest.mark.parametrize("weight", [None, 1.0])
@pytest.mark.parametrize("shape", [(40,), (40, 1)])
def test_rows_without_their_condition_are_paired_among_themselves(weight, shape, rng):
    condition = (torch.arange(40) % 3 / 10).double().reshape(shape)
    condition[::4] = torch.nan
    x_0, x_1 = torch.randn(2, 40, 1, generator=rng, dtype=D)
    batch = ConditionalOT(weight=weight)(x_0, x_1, rng, condition)
    best = MinibatchOT()(x_0[::4], x_1[::4]).pair.x_0
    assert torch.equal(batch.pair.x_0[::4], best)
    assert not torch.equal(best, x_0[::4])


def test_without_conditions_it_is_the_inner_coupling(rng):
    x_0, x_1 = torch.randn(2, 8, 1, generator=rng, dtype=D)
    assert torch.equal(ConditionalOT()(x_0, x_1).pair.x_0, MinibatchOT()(x_0, x_1).pair.x_0)
    independent = ConditionalOT(IndependentCoupling())
    assert torch.equal(independent(x_0, x_1, rng, torch.arange(8)).pair.x_0, x_0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: EntropicOT(0.0), "epsilon is positive"),
        (lambda: UnbalancedOT(1.0, math.inf), "penalty is positive and finite"),
        (lambda: ConditionalOT(weight=-1.0), "weight is positive"),
        (
            lambda: ConditionalOT().rows(torch.zeros(2, 1), torch.zeros(2, 1), None, "cats"),
            "a tensor with one for each row",
        ),
        (
            lambda: EntropicOT().rows(
                torch.zeros(2, 1).long(), torch.zeros(2, 1).long(), None, None
            ),
            "EntropicOT pairs numbers by their distance",
        ),
    ],
)
def test_what_makes_no_plan_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("coupling", [EntropicOT(0.5), UnbalancedOT(0.5, 1.0), MinibatchOT()])
def test_a_batch_may_be_empty(coupling):
    none = torch.zeros(0, 2)
    assert coupling(none, none).pair.shape == (0, 2)
