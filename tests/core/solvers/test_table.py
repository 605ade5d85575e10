"""Solvers: driven by an exact oracle, each returns the law of the data, on any clock."""

import pytest
import torch
from oracles import MODELS, Scaled, p_value, source
from scipy import stats
from torch.distributions import Categorical, MixtureSameFamily, Normal
from torch.testing import assert_close

from feller.core import random
from feller.core.discrete.solvers import ByFactor, TokenSolver
from feller.core.generators import Flow
from feller.core.grids import logarithmic_grid, uniform_grid
from feller.core.heads import FlowHead
from feller.core.models import GeneratorModel, Model
from feller.core.paths import GaussianPath
from feller.core.posteriors import FiniteData, NormalMixture
from feller.core.schedules import CondOT, Cosine
from feller.core.solvers import (
    SOLVERS,
    Dopri5,
    EndWithEstimate,
    Evaluation,
    KeepKnown,
    Solver,
    WithGradient,
    named_solver,
    simulate,
)
from feller.core.solvers.base import check


def accepts(name, model):
    """Whether a solver takes a model: what it says of itself before the loop."""
    try:
        check(Evaluation(model), named_solver(name), 0.0)
    except ValueError:
        return False
    return True


FLOWS = [name for name in SOLVERS if accepts(name, MODELS["flow"])]
CLOCKED = [name for name in FLOWS if not named_solver(name).shares_clock]
every_solver = pytest.mark.parametrize("name", FLOWS)
every_clocked_solver = pytest.mark.parametrize("name", CLOCKED)
B = 20_000
MIXTURE = NormalMixture(
    GaussianPath(),
    torch.tensor([[-1.5], [1.0]]),
    torch.tensor([0.3, 0.6]),
    torch.tensor([0.4, 0.6]),
)


FEW = {
    "stochastic_heun": 40,
    "midpoint": 40,
    "heun": 40,
    "rk4": 20,
    "dpm++": 60,
    "additive_heun": 40,
    "mixed": 40,
}


def grid(name):
    """A grid to t = 1, or for adaptive solvers, which would divide by zero there, to before."""
    return [0.0, 0.999] if named_solver(name).shares_clock else uniform_grid(FEW.get(name, 150))


def test_every_solver_is_tested():
    ours = {c for c in Solver.__subclasses__() if c.__module__.startswith("feller.core.")}
    ours -= {
        EndWithEstimate,
        KeepKnown,
        WithGradient,
        ByFactor,
        TokenSolver,
    }  # of other solvers, or of tokens
    assert ours == {type(named_solver(name)) for name in SOLVERS}


@every_solver
@pytest.mark.parametrize("schedule", [CondOT(), Cosine()], ids=["condot", "cosine"])
def test_two_points_come_back_with_their_weights(name, schedule, rng):
    points, weights = torch.tensor([[-2.0], [2.0]]), torch.tensor([0.3, 0.7])
    model = FiniteData(GaussianPath(schedule=schedule), Flow, points, weights)
    x = simulate(model, torch.randn(B, 1, generator=rng), grid(name), named_solver(name), rng).state
    assert abs((x > 0).double().mean() - 0.7) < 4 * (0.3 * 0.7 / B) ** 0.5  # binomial, 4 sigma
    missed = ((x.abs() - 2).abs() > 0.05).double().mean()
    assert missed < 0.002  # those that start on the watershed


def likelihood(model, name, rng):
    """How likely it is that samples of the model follow the mixture: a Kolmogorov-Smirnov test."""
    x = simulate(model, torch.randn(B, 1, generator=rng), grid(name), named_solver(name), rng).state
    parts = Normal(MIXTURE.means[:, 0], MIXTURE.stds)
    law = MixtureSameFamily(Categorical(MIXTURE.weights), parts)
    return stats.kstest(law.cdf(x[:, 0]).numpy(), "uniform").pvalue


@every_solver
def test_a_mixture_of_normals_comes_back(name, rng):
    assert likelihood(MIXTURE, name, rng) > 0.001


def test_a_slow_mixture_does_not(rng):
    class Slow(Model):
        kinds, space = MIXTURE.kinds, MIXTURE.space
        path = None

        def __call__(self, x, t, condition=None):
            return Flow(0.95 * MIXTURE(x, t).velocity)

    assert likelihood(Slow(), "heun", rng) < 0.001


@every_solver
def test_a_solver_can_be_used_again(name, rng):
    solver, untouched = named_solver(name), named_solver(name)
    for b in (3, 2):
        x_0 = torch.randn(b, 1, generator=rng)
        again = simulate(MIXTURE, x_0, [0.0, 0.3, 0.9], solver, rng.manual_seed(1))
        fresh = simulate(MIXTURE, x_0, [0.0, 0.3, 0.9], named_solver(name), rng.manual_seed(1))
        assert torch.equal(again.state, fresh.state)
        assert again.nfe == fresh.nfe
    assert solver == untouched


@every_clocked_solver
def test_a_row_with_its_own_clock_is_that_row_alone(name, rng):
    model = GeneratorModel(lambda x, t, c: MIXTURE.x_1(x, t), MIXTURE.path, FlowHead("x_1"))
    x_0 = torch.randn(3, 1, generator=rng, dtype=torch.float64)
    grids = [[0.0, 0.1, 0.5, 1.0], [0.2, 0.3, 0.4, 0.45], [0.0, 0.9, 0.95, 0.99]]
    times = torch.tensor(grids, dtype=torch.float64).T
    x = simulate(model, x_0, times, named_solver(name), random.rows(0, 0, 3)).state
    for row, alone in enumerate(grids):
        own = random.rows(0, row, row + 1)
        expected = simulate(model, x_0[row : row + 1], alone, named_solver(name), own).state
        assert_close(x[row : row + 1], expected)


@every_clocked_solver
@pytest.mark.parametrize("prediction", ["velocity", "x_1", "noise", "score"])
def test_what_is_known_stays_bit_for_bit(name, prediction, rng):
    model = GeneratorModel(
        lambda x, t, c: x.tanh() + t[..., :1], GaussianPath(), FlowHead(prediction)
    )
    x_0 = torch.randn(4, 6, generator=rng)
    times = uniform_grid(5, start=0.1)[:, None, None].repeat(1, 4, 6)
    times[:, :, 2:4] = 1.0
    x = simulate(model, x_0, times, named_solver(name), rng).state
    assert torch.equal(x[:, 2:4], x_0[:, 2:4])
    assert x.isfinite().all()
    assert (x[:, :2] != x_0[:, :2]).all()


@every_clocked_solver
@pytest.mark.parametrize("points", [True, False], ids=["points", "normals"])
def test_what_is_known_conditions_the_rest(name, points, rng):
    means = torch.tensor([[-2.0, -2.0], [2.0, 2.0], [2.0, 0.0]])
    weights = torch.tensor([0.2, 0.6, 0.2])
    exact = FiniteData(GaussianPath(), Flow, means, weights)
    normals = NormalMixture(GaussianPath(), means, torch.full((3,), 0.01), weights)
    x_0 = torch.stack([torch.full((2000,), 2.0), torch.randn(2000, generator=rng)], 1)
    times = torch.stack([torch.ones(26), uniform_grid(25)], 1)[:, None].expand(26, 2000, 2)
    x = simulate(exact if points else normals, x_0, times, named_solver(name), rng).state
    assert torch.equal(x[:, 0], x_0[:, 0])
    share = (x[:, 1] > 1).double().mean()  # 0.6 / (0.6 + 0.2), by Bayes
    assert abs(share - 0.75) < 4 * (0.75 * 0.25 / 2000) ** 0.5


# Steps to t = 0.9 by which a method's own error is below what 20,000 samples show.
STEPS = {"rk4": 10, "midpoint": 20, "heun": 20, "dpm++": 40, "additive_heun": 30, "mixed": 50}
STEPS |= {"stochastic_heun": 60, "thinning": 8, "events": 1, "adaptive": 1, "dopri5": 1}
STRAYS = 0.02  # of what excludes each other, if tokens jump together in a step
PAIRS = [(name, kind) for name in SOLVERS for kind, model in MODELS.items() if accepts(name, model)]
QUICK = {
    ("euler", "diffusion"),
    ("stochastic_heun", "diffusion"),
    ("additive_heun", "diffusion"),
    ("ddpm", "flow"),
    ("predictor_corrector", "flow"),
    ("mixed", "flow+jump"),
    ("adaptive", "diffusion"),
    ("events", "masks"),
    ("thinning", "masks"),
}
by_name_and_kind = pytest.mark.parametrize(
    ("name", "kind"),
    [pytest.param(*p, marks=[] if p in QUICK else pytest.mark.slow) for p in PAIRS],
)


def fit_p_value(name, kind, rng, factor=1.0):
    """How likely samples follow the law when every rate is `factor` times what it should be."""
    model, steps = MODELS[kind], STEPS.get(name, 150)
    driven, grid = Scaled(model, factor), logarithmic_grid(steps, end=0.9)
    n = 2 * B if kind == "jump" else B  # slow jumps lag little behind
    x = simulate(driven, source(model, n, rng), grid, named_solver(name), rng).state
    return p_value(model, x, 0.9, STRAYS if name not in ("events", "thinning") else 0.0)


@by_name_and_kind
def test_every_kind_a_solver_takes_returns_its_law(name, kind, rng):
    assert fit_p_value(name, kind, rng) > 1e-3


@by_name_and_kind
def test_rates_ten_percent_low_do_not(name, kind, rng):
    assert fit_p_value(name, kind, rng, 0.9) < 1e-3


def test_every_solver_takes_something_and_every_kind_is_taken():
    assert {name for name, _ in PAIRS} == set(SOLVERS)
    assert {kind for _, kind in PAIRS} == set(MODELS)


def states_of(x):
    return x.values() if isinstance(x, dict) else [x]


@pytest.mark.parametrize(
    ("name", "kind"), [p for p in PAIRS if not named_solver(p[0]).shares_clock]
)
def test_a_row_with_its_own_generator_is_that_row_alone(name, kind):
    model, grid = MODELS[kind], [0.0, 0.2, 0.3, 0.35]
    x_0 = source(model, 6, torch.Generator().manual_seed(1))
    together = simulate(model, x_0, grid, named_solver(name), random.rows(0, 0, 6)).state
    for row in (0, 3, 5):
        take = slice(row, row + 1)
        one = {k: v[take] for k, v in x_0.items()} if isinstance(x_0, dict) else x_0[take]
        alone = simulate(model, one, grid, named_solver(name), random.rows(0, row, row + 1)).state
        for ours, theirs in zip(states_of(alone), states_of(together), strict=True):
            assert_close(ours, theirs[take])


ONE_GRAPH = {  # of the others control flow depends on the data
    "flow": [n for n in FLOWS if n not in ("dopri5", "adaptive")],
    "diffusion": ["euler", "stochastic_heun", "additive_heun", "mixed"],
}


@pytest.mark.compile
@pytest.mark.parametrize("kind", ONE_GRAPH)
@pytest.mark.parametrize("clocks", [False, True], ids=["one clock", "clocks"])
def test_a_step_is_one_graph(kind, clocks):
    x = torch.randn(4, 1)
    t, s = (torch.full((4,), time) if clocks else time for time in (0.3, 0.5))
    for name in ONE_GRAPH[kind]:
        torch._dynamo.reset()
        model, solver, seeded = Evaluation(MODELS[kind]), named_solver(name), []

        def step(x, solver=solver, model=model):
            return solver.step(model, x, t, s, None)

        for run in (step, torch.compile(step, fullgraph=True, backend="aot_eager")):
            torch.manual_seed(0)
            seeded.append(run(x))
        assert_close(*seeded)


def test_an_unknown_name_lists_the_known():
    with pytest.raises(
        ValueError, match=r"unknown solver 'rk5'; there are euler, .*midpoint, heun"
    ):
        named_solver("rk5")


def test_each_call_makes_a_solver():
    assert isinstance(named_solver("dopri5"), Dopri5)
    assert named_solver("dopri5") is not named_solver("dopri5")
