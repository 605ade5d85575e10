"""Adaptive steps for every kind: what the tolerances hold, what they cost, and where they end."""

import math

import pytest
import torch
from oracles import MASKED, MODELS, UNIFORM, on_numbers, on_tokens, p_value, source
from torch.testing import assert_close

from feller.core.generators import Diffusion, Flow, Jump
from feller.core.heads import FlowHead
from feller.core.models import GeneratorModel, Model
from feller.core.paths import GaussianPath
from feller.core.posteriors import FiniteData, NormalMixture
from feller.core.solvers import Adaptive, simulate

ONE = torch.ones(1, dtype=torch.float64)
NORMAL = NormalMixture(GaussianPath(), 1.5 * ONE[:, None], 0.1 * ONE, ONE)
X_0 = torch.linspace(-2, 2, 9, dtype=torch.float64)[:, None]


def test_the_error_falls_with_the_tolerance():
    exact = 0.95 * 1.5 + math.hypot(0.95 * 0.1, 0.05) * X_0
    errors, calls = [], []
    for tolerance in (1e-1, 1e-2, 1e-3, 1e-4):
        run = simulate(NORMAL, X_0, [0.0, 0.95], Adaptive(tolerance, tolerance))
        errors.append(float((run.state - exact).abs().max()))
        calls.append(run.nfe)
        assert errors[-1] < 2 * tolerance
    assert errors[-1] < errors[0] / 100
    assert 2 < calls[-1] / calls[-2] < 5  # a step is as long as the root of the tolerance


def test_steps_are_short_where_the_drift_bends():
    times = []

    def network(x, t, condition):
        times.append(float(t[0]))
        return torch.exp(-(((t[:, None] - 0.5) / 0.1) ** 2)).expand_as(x)

    model = GeneratorModel(network, GaussianPath())
    state = simulate(model, torch.zeros(4, 1), [0.0, 0.3, 1.0], Adaptive(1e-3, 1e-3)).state
    assert_close(state, torch.full((4, 1), 0.1 * math.pi**0.5), atol=2e-3, rtol=0)
    assert sum(0.3 < t < 0.7 for t in times) > 0.7 * len(times)


@pytest.mark.parametrize("events", [0.1, 0.02])
@pytest.mark.parametrize(
    "model", [on_tokens(MASKED), on_tokens(UNIFORM), on_numbers(Jump)], ids=str
)
def test_few_elements_have_an_event_in_a_step(model, events, rng):
    shares, before = [], []

    class Watched(Model):
        space, kinds, path = model.space, model.kinds, model.path

        def __call__(self, x, t, condition=None):
            if before:
                shares.append(float((x != before[-1]).double().mean()))
            before.append(x)
            return model(x, t)

    x_0 = source(model, 4000, rng)
    simulate(Watched(), x_0, [0.0, 0.8], Adaptive(events=events), rng)
    assert max(shares) < 1.2 * events + 0.01
    assert len(shares) < 3 / events  # about log(1 / .2) of events an element, in all


def test_jumps_alone_cost_one_call_a_step_and_may_reach_the_data(rng):
    model = on_tokens(MASKED)
    run = simulate(model, source(model, 2000, rng), [0.0, 1.0], Adaptive(events=0.05), rng)
    assert (run.state != 3).all()
    assert 20 < run.nfe < 100


def test_a_flow_may_reach_the_data():
    model = GeneratorModel(lambda x, t, c: torch.full_like(x, 2.0), GaussianPath(), FlowHead("x_1"))
    assert_close(
        simulate(model, torch.zeros(2, 1), [0.0, 1.0], Adaptive()).state, torch.full((2, 1), 2.0)
    )


@pytest.mark.gate
def test_a_product_is_held_to_both_tolerances(rng):
    model = MODELS["product"]
    run = simulate(model, source(model, 5000, rng), [0.0, 0.9], Adaptive(), rng)
    assert p_value(model, run.state, 0.9) > 1e-3
    assert (
        run.nfe
        > simulate(model, source(model, 100, rng), [0.0, 0.9], Adaptive(events=1.0), rng).nfe
    )


def test_it_gives_up_aloud(rng):
    model = on_tokens(UNIFORM)
    with pytest.raises(
        ValueError, match=r"no end after 5 steps at t = 0.0.....: increase a tolerance"
    ):
        simulate(model, source(model, 50, rng), [0.0, 0.9], Adaptive(max_steps=5), rng)


def test_a_batch_keeps_one_clock():
    model = FiniteData(GaussianPath(), Flow, torch.tensor([[2.0]]))
    with pytest.raises(ValueError, match="Adaptive keeps one clock for the batch"):
        simulate(model, torch.zeros(2, 1), torch.tensor([[0.0, 0.0], [0.5, 0.6]]), Adaptive())


@pytest.mark.parametrize(
    "weights",
    [
        pytest.param({Flow: 0.5, Diffusion: 0.5}),
        pytest.param({Flow: 0.3, Jump: 0.4, Diffusion: 0.3}, marks=pytest.mark.slow),
    ],
    ids=len,
)
def test_the_defaults_hold_the_law_of_a_superposition(weights):
    parts = [weight * on_numbers(kind) for kind, weight in weights.items()]
    rng = torch.Generator().manual_seed(0)
    x_0 = source(on_numbers(Flow), 20_000, rng)
    x = simulate(sum(parts[1:], start=parts[0]), x_0, [0.0, 0.95], Adaptive(), rng).state
    assert p_value(on_numbers(Flow), x, 0.95) > 1e-3
