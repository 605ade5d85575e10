"""Predictor and corrector: correctors leave the law alone, and mend one that is off."""

from dataclasses import replace

import pytest
import torch
from oracles import GAUSSIAN, MODELS, POINTS, WEIGHTS, on_numbers, p_of_numbers, source
from scipy import stats
from torch.testing import assert_close

from feller.core.algebra import backward, stationary
from feller.core.generators import Categorical, Diffusion, Flow, Jump
from feller.core.grids import logarithmic_grid, uniform_grid
from feller.core.heads import PosteriorHead
from feller.core.models import GeneratorModel, Model
from feller.core.paths import GaussianPath, MixturePath
from feller.core.posteriors import FiniteData
from feller.core.solvers import Dopri5, Euler, PredictorCorrector, simulate
from feller.core.sources import UniformTokens
from feller.core.spaces import Tokens
from feller.core.times import expand_time

N = 20_000
FLOW = on_numbers(Flow)


def path_sample(t, rng):
    """Draw from the law at time t."""
    z = POINTS[torch.multinomial(WEIGHTS, N, replacement=True, generator=rng)]
    return GAUSSIAN.sample(z, t, rng)


class Langevin(Model):
    """A stationary diffusion: drift sigma score / 2 with noise sigma."""

    space, path, kinds = GAUSSIAN.space, GAUSSIAN, frozenset({Diffusion})

    def __call__(self, x, t, condition=None):
        posterior = FLOW.posterior(x, t)
        t = expand_time(t, x)
        score = -(x - t * posterior @ POINTS) / (1 - t) ** 2
        return Diffusion((1 - t) * score / 2, (1 - t).expand_as(x))


class Reversed(Model):
    """The flow against time: it solves the KFE backward."""

    space, path, kinds = GAUSSIAN.space, GAUSSIAN, frozenset({Flow})

    def __call__(self, x, t, condition=None):
        return Flow(-FLOW(x, t).velocity)


class Standing(Model):
    """A predictor's model that does not move."""

    space, path, kinds = GAUSSIAN.space, GAUSSIAN, frozenset({Flow})

    def __call__(self, x, t, condition=None):
        return Flow(torch.zeros_like(x))


CORRECTORS = {
    "stationary": stationary(Langevin()),
    "undoing": 0.5 * FLOW + 0.5 * backward(Reversed()),
}


@pytest.mark.parametrize("corrector", CORRECTORS)
def test_a_corrector_leaves_the_law_alone(corrector, rng):
    solver = PredictorCorrector(Euler(), CORRECTORS[corrector], time=0.01, corrections=20)
    x = path_sample(0.7, rng)
    moved = simulate(Standing(), x, [0.7 - 1e-6, 0.7], solver, rng)
    assert p_of_numbers(moved.state, 0.7) > 1e-3
    assert moved.nfe == 1 + 20 * (2 if corrector == "undoing" else 1)


def test_langevin_dynamics_leave_the_law_alone(rng):
    """By default: 20 times a twentieth of sigma^2 at one time."""
    solver = PredictorCorrector(corrections=20)
    x = path_sample(0.8, rng)
    moved = simulate(FLOW, x, [0.8 - 1e-6, 0.8], solver, rng)
    assert p_of_numbers(moved.state, 0.8) > 1e-3
    assert float((moved.state - x).abs().mean()) > 0.1  # and it did move
    assert moved.nfe == 21


@pytest.mark.parametrize("corrector", [None, stationary(Langevin())], ids=["default", "given"])
def test_a_law_that_is_off_is_mended(corrector, rng):
    """Samples twice as wide as they should be at t = 0.8."""
    z = POINTS[torch.multinomial(WEIGHTS, N, replacement=True, generator=rng)]
    wide = 0.8 * z + 0.4 * torch.randn(N, 1, generator=rng)
    time = 0.05 if corrector is None else 0.01
    solver = PredictorCorrector(Euler(), corrector, time=time, corrections=120)
    moved = simulate(FLOW, wide, [0.8 - 1e-6, 0.8], solver, rng).state
    deviation = float((moved.abs() - 1.6).std())
    assert deviation == pytest.approx(0.2, rel=0.05)


def test_one_point_is_corrected_exactly_however_far(rng):
    model = FiniteData(GAUSSIAN, Flow, torch.tensor([[3.0]]))
    start = torch.full((N, 1), 9.0)
    solver = PredictorCorrector(time=50.0)
    x = simulate(model, start, [0.5, 0.6], solver, rng).state
    assert stats.kstest(x.flatten().numpy(), stats.norm(1.8, 0.4).cdf).pvalue > 1e-3


def test_few_steps_are_nearer_the_law_with_corrections(rng):
    def distance(solver):
        generator = torch.Generator().manual_seed(0)
        x_0 = source(FLOW, N, generator)
        x = simulate(MODELS["diffusion"], x_0, uniform_grid(8, end=0.9), solver, generator).state
        return float((x.abs() - 1.8).std()) - 0.1

    corrected = PredictorCorrector(Euler(), stationary(Langevin()), time=0.02, corrections=10)
    assert abs(distance(corrected)) < 0.5 * abs(distance(Euler()))


def test_forward_and_backward_jumps_undo_each_other(rng):
    """A corrector of tokens, to a fair draw from anywhere, at one time: no clock moves."""

    class Fair(Model):
        space = MODELS["masks"].space
        path, kinds = MODELS["masks"].path, frozenset({Jump})

        def __call__(self, x, t, condition=None):
            return Jump(
                torch.full(x.shape, 2.0), Categorical(torch.zeros(*x.shape, 2)), lambda h: 0 * h
            )

    still = replace(MODELS["masks"], points=torch.tensor([[0, 0]]), weights=None)
    x = torch.zeros(N, 2, dtype=torch.int64)
    solver = PredictorCorrector(Euler(), stationary(Fair()), time=10.0)
    ones = simulate(still, x, [0.3, 0.4], solver, rng).state.double().mean()
    assert abs(float(ones) - 0.5) < 4 * 0.5 / (2 * N) ** 0.5


def test_nothing_is_corrected_at_the_data_or_where_clocks_stand(rng):
    model = FiniteData(GaussianPath(), Flow, torch.tensor([[3.0]]))
    x = simulate(model, torch.zeros(5, 1), [0.0, 0.5, 1.0], PredictorCorrector(), rng)
    assert_close(x.state, torch.full((5, 1), 3.0))
    assert x.nfe == 3
    clocks = torch.tensor([[0.2, 0.5, 1.0], [0.2, 0.7, 1.0]])
    for corrector in (None, stationary(Langevin())):
        solver = PredictorCorrector(Euler(), corrector)
        moved = simulate(FLOW, torch.ones(3, 1), clocks, solver, rng).state.flatten()
        assert (moved == 1).tolist() == [True, False, True]


def test_a_predictor_keeps_its_own_history(rng):
    solver, x_0 = PredictorCorrector(Dopri5()), torch.ones(3, 1)
    grid = logarithmic_grid(3, end=0.9)
    runs = [simulate(FLOW, x_0, grid, solver, rng.manual_seed(0)) for _ in range(2)]
    assert torch.equal(runs[0].state, runs[1].state)
    assert runs[0].nfe == runs[1].nfe


def test_what_is_refused(rng):
    with pytest.raises(
        ValueError, match="PredictorCorrector takes Flow, but the model returns Jump"
    ):
        simulate(on_numbers(Jump), torch.zeros(1, 1), [0.0, 0.5], PredictorCorrector())
    with pytest.raises(ValueError, match="keeps one clock for the batch"):
        simulate(FLOW, torch.zeros(2, 1), torch.rand(2, 2).sort(0)[0], PredictorCorrector(Dopri5()))
    uneven = PredictorCorrector(Euler(), 0.6 * FLOW + 0.5 * backward(Reversed()))
    with pytest.raises(ValueError, match=r"sum to 0, these to 0\.1"):
        simulate(FLOW, torch.zeros(1, 1), [0.0, 0.5], uneven, rng)


@pytest.mark.parametrize("how", ["whole", "half", "stationary"])
def test_a_corrector_of_a_posterior_is_that_of_its_jumps(how, rng):
    """A head that names the posterior says what the oracle's jumps do, at any weight."""
    path = MixturePath(Tokens(3), UniformTokens(3))
    data, shares = torch.tensor([[0], [1]]), torch.tensor([0.7, 0.3])
    jump = FiniteData(path, Jump, data, shares)
    back = backward(FiniteData(path, Jump, data, shares, backward=True))

    def network(x, t, condition):
        known = jump.posterior(x, t).log()
        return torch.cat([known, torch.full((len(x), 1), -40.0)], 1)[:, None]

    named = GeneratorModel(network, path, PosteriorHead(3))
    z = data[torch.multinomial(shares, N, replacement=True, generator=rng)]
    x = path.sample(z, 0.98, rng)

    def counts(one, weight):
        pair = weight * one + weight * back if how != "stationary" else stationary(1.0 * one + back)
        solver = PredictorCorrector(Euler(), pair, time=0.05 / weight)
        return simulate(jump, x, [0.98, 0.981], solver, rng).state.flatten().bincount(minlength=3)

    table = torch.stack([counts(named, 0.5 if how == "half" else 1.0), counts(jump, 1.0)])
    assert stats.chi2_contingency(table.numpy()).pvalue > 1e-4
