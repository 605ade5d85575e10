"""Solvers: driven by an exact oracle, each returns the law of the data, on any clock."""

import pytest
import torch
from scipy import stats
from torch.distributions import Categorical, MixtureSameFamily, Normal
from torch.testing import assert_close

from feller.core.generators import Flow
from feller.core.heads import FlowHead
from feller.core.models import GeneratorModel
from feller.core.paths import GaussianPath
from feller.core.posteriors import FiniteData, NormalMixture
from feller.core.schedules import CondOT, Cosine
from feller.core.solvers import SOLVERS, Dopri5, Solver, named_solver, simulate
from feller.core.times import uniform_grid

every_solver = pytest.mark.parametrize("name", SOLVERS)
every_clocked_solver = pytest.mark.parametrize("name", [n for n in SOLVERS if n != "dopri5"])
B = 20_000
MIXTURE = NormalMixture(
    GaussianPath(),
    torch.tensor([[-1.5], [1.0]]),
    torch.tensor([0.3, 0.6]),
    torch.tensor([0.4, 0.6]),
)


STEPS = {"euler": 150, "midpoint": 40, "heun": 40, "rk4": 20}


def grid(name):
    """A grid to t = 1, or for the adaptive solver, which would divide by zero there, to before."""
    return uniform_grid(STEPS[name]) if name in STEPS else [0.0, 0.999]


def test_every_solver_is_tested():
    ours = {c for c in Solver.__subclasses__() if c.__module__.startswith("feller.")}
    assert ours == {type(named_solver(name)) for name in SOLVERS}


@every_solver
@pytest.mark.parametrize("schedule", [CondOT(), Cosine()], ids=["condot", "cosine"])
def test_two_points_come_back_with_their_weights(name, schedule, rng):
    points, weights = torch.tensor([[-2.0], [2.0]]), torch.tensor([0.3, 0.7])
    model = FiniteData(GaussianPath(schedule=schedule), Flow, points, weights)
    x = simulate(model, torch.randn(B, 1, generator=rng), grid(name), named_solver(name)).state
    assert abs((x > 0).double().mean() - 0.7) < 4 * (0.3 * 0.7 / B) ** 0.5  # binomial, 4 sigma
    missed = ((x.abs() - 2).abs() > 0.05).double().mean()
    assert missed < 0.002  # those that start on the watershed


def likelihood(model, name, rng):
    """How likely it is that samples of the model follow the mixture: a Kolmogorov-Smirnov test."""
    x = simulate(model, torch.randn(B, 1, generator=rng), grid(name), named_solver(name)).state
    parts = Normal(MIXTURE.means[:, 0], MIXTURE.stds)
    law = MixtureSameFamily(Categorical(MIXTURE.weights), parts)
    return stats.kstest(law.cdf(x[:, 0]).numpy(), "uniform").pvalue


@every_solver
def test_a_mixture_of_normals_comes_back(name, rng):
    assert likelihood(MIXTURE, name, rng) > 0.001


def test_a_slow_mixture_does_not(rng):
    class Slow:
        kinds, space = MIXTURE.kinds, MIXTURE.space

        def __call__(self, x, t, condition=None):
            return Flow(0.95 * MIXTURE(x, t).velocity)

    assert likelihood(Slow(), "heun", rng) < 0.001


@every_solver
def test_a_solver_can_be_used_again(name, rng):
    solver, untouched = named_solver(name), named_solver(name)
    for b in (3, 2):
        x_0 = torch.randn(b, 1, generator=rng)
        again = simulate(MIXTURE, x_0, [0.0, 0.3, 0.9], solver)
        fresh = simulate(MIXTURE, x_0, [0.0, 0.3, 0.9], named_solver(name))
        assert torch.equal(again.state, fresh.state)
        assert again.nfe == fresh.nfe
    assert solver == untouched


@every_clocked_solver
def test_a_row_with_its_own_clock_is_that_row_alone(name, rng):
    model = GeneratorModel(lambda x, t, c: MIXTURE.x_1(x, t), MIXTURE.path, FlowHead("x_1"))
    x_0 = torch.randn(3, 1, generator=rng, dtype=torch.float64)
    grids = [[0.0, 0.1, 0.5, 1.0], [0.2, 0.3, 0.4, 0.45], [0.0, 0.9, 0.95, 0.99]]
    times = torch.tensor(grids, dtype=torch.float64).T
    x = simulate(model, x_0, times, named_solver(name)).state
    for row, alone in enumerate(grids):
        expected = simulate(model, x_0[row : row + 1], alone, named_solver(name)).state
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
    x = simulate(model, x_0, times, named_solver(name)).state
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
    x = simulate(exact if points else normals, x_0, times, named_solver(name)).state
    assert torch.equal(x[:, 0], x_0[:, 0])
    share = (x[:, 1] > 1).double().mean()  # 0.6 / (0.6 + 0.2), by Bayes
    assert abs(share - 0.75) < 4 * (0.75 * 0.25 / 2000) ** 0.5


def test_an_unknown_name_lists_the_known():
    with pytest.raises(ValueError, match="unknown solver 'rk5'; there are euler, midpoint, heun"):
        named_solver("rk5")


def test_each_call_makes_a_solver():
    assert isinstance(named_solver("dopri5"), Dopri5)
    assert named_solver("dopri5") is not named_solver("dopri5")
