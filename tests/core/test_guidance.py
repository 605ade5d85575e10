"""Guidance: by algebra, on its interval, and what it costs."""

import pytest
import torch
from torch.testing import assert_close

from feller.core.generators import (
    Categorical,
    Diffusion,
    Flow,
    FromPosterior,
    Generator,
    Jump,
    Point,
    Product,
)
from feller.core.generators.cells import TokenCells
from feller.core.guidance import Guided, guide
from feller.core.heads import JumpHead
from feller.core.models import GeneratorModel, Model
from feller.core.paths import GaussianPath, MixturePath
from feller.core.posteriors import FiniteData
from feller.core.schedules import VariancePreserving
from feller.core.solvers import Euler, simulate
from feller.core.sources import UniformTokens
from feller.core.spaces import Tokens
from feller.core.testing.demands import table_p_value

CONDITION = torch.tensor([[3.0], [5.0]])
X = torch.zeros(2, 1)


def network(x, t, condition):
    """Velocity -1 without a condition, else the condition."""
    return torch.full_like(x, -1.0) if condition is None else condition


MODEL = GeneratorModel(network, GaussianPath())


@pytest.mark.parametrize("t", [0.5, torch.tensor([0.2, 0.9])])
@pytest.mark.parametrize(
    ("scale", "expected"),
    [(0.0, [-1.0, -1.0]), (1.0, [3.0, 5.0]), (2.0, [7.0, 11.0]), (0.5, [1.0, 2.0])],
)
def test_the_scale(scale, expected, t):
    velocity = Guided(MODEL, scale)(X, t, CONDITION).velocity
    assert_close(velocity[:, 0], torch.tensor(expected))


def test_without_a_condition_nothing_is_guided():
    assert_close(Guided(MODEL, 2.0)(X, 0.5).velocity, -torch.ones(2, 1))


@pytest.mark.parametrize(("t", "inside"), [(0.1, False), (0.2, True), (0.5, True), (0.9, False)])
def test_outside_its_interval_the_model_is_conditional(t, inside):
    guided = Guided(MODEL, 2.0, (0.2, 0.8))
    assert_close(guided(X, t, CONDITION).velocity, 2 * CONDITION + 1 if inside else CONDITION)
    assert guided.network_calls(t, CONDITION) == 1 + inside
    assert guided.network_calls(t) == 1
    clock = torch.tensor([t, 0.5])
    rows = guided(X, clock, CONDITION).velocity[:, 0]
    assert_close(rows, torch.tensor([7.0 if inside else 3.0, 11.0]))


def test_every_element_is_guided_by_its_own_clock():
    clock = torch.tensor([[0.1, 0.5], [0.5, 0.9]])
    condition = torch.full((2, 2), 3.0)
    velocity = Guided(MODEL, 2.0, (0.2, 0.8))(torch.zeros(2, 2), clock, condition).velocity
    assert_close(velocity, torch.tensor([[3.0, 7.0], [7.0, 3.0]]))


@pytest.mark.parametrize(
    ("scale", "interval", "condition", "nfe"),
    [
        (2.0, (0.0, 1.0), CONDITION, 8),
        (2.0, (0.2, 0.6), CONDITION, 6),  # of 0, 1/4, 1/2 and 3/4, two are inside
        (1.0, (0.0, 1.0), CONDITION, 4),
        (2.0, (0.0, 1.0), None, 4),
    ],
)
def test_network_calls_are_counted(scale, interval, condition, nfe):
    guided = Guided(MODEL, scale, interval)
    times = [0.0, 0.25, 0.5, 0.75, 1.0]
    assert simulate(guided, X, times, Euler(), condition=condition).nfe == nfe


def test_a_guided_model_is_a_model():
    guided = Guided(MODEL)
    assert isinstance(guided, Model)
    assert (guided.space, guided.kinds) == (MODEL.space, MODEL.kinds)


@pytest.mark.parametrize("interval", [(0.5, 0.5), (0.8, 0.2), (-0.1, 0.5), (0.0, 1.1)])
def test_an_interval_is_one(interval):
    with pytest.raises(ValueError, match="0 <= low < high <= 1"):
        Guided(MODEL, 2.0, interval)


def test_unknown_kinds_are_refused():
    class Odd(Generator):
        apply = step = average = None

    class OddModel(Model):
        space, kinds = MODEL.space, frozenset({Odd})
        path = None

        def __call__(self, x, t, condition=None):
            return Odd()

    with pytest.raises(ValueError, match="between Odd and Odd is not known"):
        Guided(OddModel())(X, 0.5, CONDITION)
    assert Flow not in OddModel.kinds


def test_rates_are_guided_in_their_logarithms():
    """R_c^w R_0^(1 - w), whatever the logits' constants."""
    rates = {
        "u": torch.tensor([[1.0, 2.0, 3.0]]),
        "c": torch.tensor([[4.0, 2.0, 0.0]]),
    }
    jumps = {
        name: Jump(rate.sum(-1), Categorical(rate.log() + shift))
        for (name, rate), shift in zip(rates.items(), (5.0, -3.0), strict=True)
    }
    guided = guide(jumps["u"], jumps["c"], 2.0)
    found = guided.intensity[:, None] * guided.destination.logits.softmax(-1)
    assert_close(found, torch.tensor([[16.0, 2.0, 0.0]]))
    same = guide(jumps["c"], jumps["c"], torch.tensor([3.0]))
    assert_close(same.intensity, torch.tensor([6.0]))


def test_bins_that_follow_the_state_are_guided_where_they_are():
    path, x, head = GaussianPath(), torch.tensor([[0.5, -2.0]]), JumpHead(3, follow=True)
    outputs = torch.tensor([[[0.0, 1.0, 2.0, 0.5]] * 2]), torch.tensor([[[2.0, 1.0, 0.0, 1.0]] * 2])
    start, end = (head(path, output, x, 0.5) for output in outputs)
    guided = guide(start, end, 2.0)
    rates = [
        j.intensity[..., None] * j.destination.log_masses().exp() for j in (start, end, guided)
    ]
    assert_close(rates[2], rates[1] ** 2 / rates[0])
    assert_close(guided.destination.origin, end.destination.origin)
    with pytest.raises(ValueError, match="guidance needs the same cells, not 2 and 3"):
        guide(JumpHead(2)(path, outputs[0][..., 1:], x, 0.5), end, 2.0)


def test_where_nothing_jumps_nothing_does():
    still = Jump(torch.zeros(1), Categorical(torch.zeros(1, 2)))
    guided = guide(still, still, 3.0)
    assert_close(guided.intensity, torch.zeros(1))


def test_posteriors_drifts_and_parts_are_guided():
    law = Categorical(torch.tensor([[[0.5, 0.5]]]).log())
    sure = Categorical(torch.tensor([[[0.2, 0.8]]]).log())
    pair = [FromPosterior(p, Flow) for p in (law, sure)]
    assert_close(
        guide(*pair, 2.0).posterior.logits.softmax(-1),
        torch.tensor([[[0.04, 0.64]]]) / 0.68,
    )
    x = torch.ones(1, 1)
    parts = [0.5 * Flow(a * x) + 0.5 * Diffusion(a * x, x) for a in (1.0, 3.0)]
    flow, diffusion = (part.generator for part in guide(*parts, 2.0).parts)
    assert_close(flow.velocity, 5 * x)
    assert_close(diffusion.drift, 5 * x)
    assert_close(diffusion.covariance, x)


def test_kinds_that_do_not_match_are_refused():
    x = torch.ones(1, 1)
    with pytest.raises(ValueError, match="between Flow and Jump is not known"):
        guide(Flow(x), Jump(x, Categorical(torch.zeros(1, 1, 2))), 2.0)
    with pytest.raises(ValueError, match="to a Point is not known"):
        guide(Jump(x, Point(x)), Jump(x, Point(x)), 2.0)


def test_what_one_model_leaves_out():
    """Logits of minus infinity make no numbers that are none, and the ends stay as they are."""
    never, always = (Categorical(torch.tensor([[[0.0, low]]])) for low in (-torch.inf, 0.0))

    def shares(start, end, scale):
        pair = [FromPosterior(law, Flow) for law in (start, end)]
        return guide(*pair, scale).posterior.logits.softmax(-1)[0, 0].tolist()

    for scale in (0.0, 0.5, 1.0, 2.0):
        assert shares(never, never, scale) == [1.0, 0.0]
    assert shares(always, never, 2.0) == [1.0, 0.0]
    assert shares(never, always, 0.5) == [1.0, 0.0]
    assert shares(never, always, 2.0) == pytest.approx([1 / 3, 2 / 3])  # 1/4 and 1/2, not scaled
    assert shares(never, always, 1.0) == shares(never, always, torch.ones(1, 1)) == [0.5, 0.5]
    assert shares(always, never, 0.0) == [0.5, 0.5]
    jumps = [Jump(torch.ones(1, 1), law) for law in (never, always)]
    guided = guide(*jumps, torch.ones(1, 1))
    assert_close(guided.intensity, torch.ones(1, 1))
    assert_close(guided.destination.logits.softmax(-1)[0, 0], torch.tensor([0.5, 0.5]))


def test_products_are_guided_factor_by_factor():
    x = {"a": torch.zeros(2, 1), "b": torch.zeros(2, 1)}

    class Flows(Model):
        path, kinds = None, frozenset({Product})

        def __call__(self, x, t, condition=None):
            value = 1.0 if condition is None else 3.0
            return Product({name: Flow(torch.full_like(v, value)) for name, v in x.items()})

    guided = Guided(Flows(), 2.0, (0.4, 1.0))
    found = guided(x, {"a": 0.5, "b": 0.1}, CONDITION).factors
    assert_close(found["a"].velocity, torch.full((2, 1), 5.0))
    assert_close(found["b"].velocity, torch.full((2, 1), 3.0))
    assert guided.network_calls({"a": 0.1, "b": 0.1}, CONDITION) == 1


def test_a_guided_model_is_part_of_a_superposition():
    both = 0.5 * Guided(MODEL, 2.0) + 0.5 * Guided(MODEL, 2.0)
    assert simulate(both, X, [0.0, 0.5], Euler(), condition=CONDITION).nfe == 4


def test_states_in_double_precision_may_have_clocks():
    x, t = torch.randn(4, 2, dtype=torch.float64), torch.full((4,), 0.5)
    path = GaussianPath()
    model = GeneratorModel(lambda x, t, condition: x, path)
    condition = torch.zeros(4, dtype=torch.int64)
    found = Guided(model, 2.0)(x, t, condition).velocity
    assert found.dtype == torch.float64
    assert found.equal(Guided(model, 2.0)(x, 0.5, condition).velocity)


@pytest.mark.parametrize("scale", [float("nan"), float("inf")])
def test_a_scale_is_a_finite_number(scale):
    model = GeneratorModel(lambda x, t, condition: x, GaussianPath())
    assert Guided(MODEL, torch.tensor(1.5)).scale == 1.5
    with pytest.raises(ValueError, match=r"one for each sample, not of shape \(2, 1\)"):
        Guided(MODEL, torch.ones(2, 1))
    with pytest.raises(ValueError, match="scale is a finite number, not"):
        Guided(model, scale=scale)


@pytest.mark.parametrize("t", [0.5, torch.tensor([0.5, 0.9])])
def test_a_scale_for_each_sample(t):
    guided = Guided(MODEL, torch.tensor([2.0, 0.5]), (0.2, 0.8))
    inside = [7.0, 2.0] if t is not torch.Tensor and not hasattr(t, "shape") else [7.0, 5.0]
    assert_close(guided(X, t, CONDITION).velocity[:, 0], torch.tensor(inside))
    assert guided.network_calls(t, CONDITION) == 2
    assert Guided(MODEL, torch.ones(2)).network_calls(t, CONDITION) == 1
    x = {"a": torch.zeros(2, 1), "b": torch.zeros(2, 3)}

    class Flows(Model):
        path, kinds = None, frozenset({Product})

        def __call__(self, x, t, condition=None):
            value = 1.0 if condition is None else 3.0
            return Product({name: Flow(torch.full_like(v, value)) for name, v in x.items()})

    found = Guided(Flows(), torch.tensor([2.0, 1.0]))(x, 0.5, CONDITION).factors
    assert_close(found["b"].velocity, torch.tensor([[5.0], [3.0]]).expand(2, 3))


def test_a_rescaled_velocity_has_the_spread_of_the_conditional_one(rng):
    u, c = torch.randn(2, 4, 6, generator=rng)

    class Two(Model):
        path, kinds = GaussianPath(), frozenset({Flow})

        def __call__(self, x, t, condition=None):
            return Flow(u if condition is None else c)

    plain = Guided(Two(), 3.0)(X, 0.5, CONDITION).velocity
    full, half = (
        Guided(Two(), 3.0, rescale=share)(X, 0.5, CONDITION).velocity for share in (1.0, 0.5)
    )
    assert_close(full.std(1), c.std(1))
    assert_close(full / full.norm(dim=1, keepdim=True), plain / plain.norm(dim=1, keepdim=True))
    assert_close(half, (full + plain) / 2)
    both = Guided(0.5 * Two() + 0.5 * Two(), 3.0, rescale=1.0)(X, 0.5, CONDITION)
    assert_close(both.split().drift, full)
    with pytest.raises(ValueError, match=r"rescale is in \[0, 1\]"):
        Guided(Two(), rescale=2.0)
    jumps = Classes(backward=False)
    with pytest.raises(ValueError, match="a Jump has no velocity to rescale"):
        Guided(jumps, rescale=0.5)(torch.zeros(2, 1, dtype=torch.int64), 0.5, ASKED)


def test_a_worse_model_guides_with_and_without_a_condition():
    weak = GeneratorModel(
        lambda x, t, condition: 0 * x if condition is None else condition - 1, GaussianPath()
    )
    guided = Guided(MODEL, 3.0, (0.2, 0.8), weak=weak)
    assert_close(guided(X, 0.5, CONDITION).velocity, CONDITION + 2)
    assert_close(guided(X, 0.5).velocity, torch.full((2, 1), -3.0))
    assert_close(guided(X, 0.9).velocity, torch.full((2, 1), -1.0))
    assert [guided.network_calls(t) for t in (0.5, 0.9)] == [2, 1]
    other = GeneratorModel(network, GaussianPath(schedule=VariancePreserving()))
    with pytest.raises(ValueError, match="the weak model is on the path of the other"):
        Guided(MODEL, weak=other)


TOKENS = 4
ANY = torch.tensor([0.4, 0.3, 0.2, 0.1])
ASKED = torch.tensor([0.05, 0.15, 0.5, 0.3])  # the distribution of the class asked for


class Classes(Model):
    """The exact jumps to a token of any class, or of the class whose distribution is given."""

    path = MixturePath(Tokens(TOKENS), UniformTokens(TOKENS))
    kinds = frozenset({Jump})

    def __init__(self, *, backward):
        self.backward = backward

    def __call__(self, x, t, condition=None):
        given = ANY if condition is None else ASKED
        points = torch.arange(TOKENS)[:, None]
        jump = FiniteData(self.path, Jump, points, given, self.backward)(x, t)
        masses = jump.destination.masses(TokenCells(TOKENS))
        return Jump(jump.intensity, Categorical(masses.log()))


def matrix(model, t):
    """The rate into each token (a column) from each (a row)."""
    x = torch.arange(TOKENS)[:, None]
    jump = model(x, t, ASKED)
    rates = jump.intensity[..., None] * jump.destination.masses(TokenCells(TOKENS))
    return rates[:, 0].double().fill_diagonal_(0)


@pytest.mark.parametrize("scale", [0.0, 0.5, 1.0, 2.0, 3.0])
def test_correctors_keep_the_product_of_both_distributions(scale):
    """A jump and its reverse, guided, are in detailed balance with p_0^(1 - w) p_c^w."""
    t = 0.6
    forth, back = (matrix(Guided(Classes(backward=b), scale), t) for b in (False, True))
    marginals = (t * p.double() + (1 - t) / TOKENS for p in (ANY, ASKED))
    first, last = marginals
    product = first ** (1 - scale) * last**scale
    flux = product[:, None] * (forth + back)
    assert forth.sum() > 0.1
    assert_close(flux, flux.T, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(("scale", "expected"), [(0.0, ANY), (1.0, ASKED)])
def test_guided_jumps_at_the_ends_draw_one_or_the_other(scale, expected, rng):
    guided = Guided(Classes(backward=False), scale)
    x_0 = guided.path.sample_source((10_000, 1), rng)
    times = torch.linspace(0, 1, 41)
    drawn = simulate(guided, x_0, times, Euler(), rng, condition=ASKED).state
    assert table_p_value(drawn, expected) > 1e-3


@pytest.mark.parametrize(("corrected", "low", "high"), [(0.0, 0.02, 1.0), (4.0, 0.0, 0.002)])
def test_guided_jumps_approach_the_product_with_correctors_only(corrected, low, high):
    """The master equation of guided jumps, with time spent on a corrector at each step."""
    forth, back = (Guided(Classes(backward=b), 2.0) for b in (False, True))
    p, h = torch.full((TOKENS,), 1 / TOKENS, dtype=torch.float64), 0.04
    for t in torch.arange(0, 0.8, h):
        there = matrix(forth, float(t) + h / 2)
        p = p @ torch.linalg.matrix_exp(h * generator(there))
        both = matrix(forth, float(t) + h) + matrix(back, float(t) + h)
        p = p @ torch.linalg.matrix_exp(corrected * generator(both))
    first, last = (0.8 * law.double() + 0.2 / TOKENS for law in (ANY, ASKED))
    product = last**2 / first
    assert low < (p - product / product.sum()).abs().sum() / 2 < high


def generator(rates):
    """Rates with what leaves each token on the diagonal."""
    return rates - torch.diag(rates.sum(1))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.int64])
@pytest.mark.parametrize("states", [torch.float32, torch.float64])
def test_scales_of_samples_have_any_type(dtype, states):
    scales = torch.tensor([2, 3], dtype=dtype)
    velocity = Guided(MODEL, scales)(X.to(states), 0.5, CONDITION.to(states)).velocity
    assert_close(velocity, torch.tensor([[7.0], [17.0]], dtype=states))


def test_one_number_has_no_deviation_to_go_back_to():
    with pytest.raises(ValueError, match="rescale is of states of two numbers or more"):
        Guided(MODEL, 2.0, rescale=0.7)(X, 0.5, CONDITION)
