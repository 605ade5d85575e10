"""The oracles: posteriors and marginal velocities against Bayes' rule and closed forms."""

import pytest
import torch
from torch.distributions import Normal
from torch.testing import assert_close

from feller.core.generators import Diffusion, Flow, Jump
from feller.core.models import Model
from feller.core.paths import GaussianPath, MixturePath
from feller.core.posteriors import FiniteData, NormalMixture
from feller.core.schedules import CondOT, Cosine, Polynomial, VariancePreserving
from feller.core.solutions import solution
from feller.core.sources import Masked, UniformBox, UniformTokens
from feller.core.spaces import Euclidean, Interval, Tokens

SCHEDULES = [CondOT(), Cosine(), Polynomial(), VariancePreserving()]
every_schedule = pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda s: type(s).__name__)
PAIR = FiniteData(GaussianPath(), Flow, torch.tensor([[-2.0], [2.0]]).double())


def test_the_oracles_are_models():
    mixture = NormalMixture(GaussianPath(), torch.ones(1, 1), torch.ones(1), torch.ones(1))
    for model in (PAIR, mixture):
        assert isinstance(model, Model)
        assert model.kinds == {Flow}
        assert model.space == Euclidean()


@every_schedule
@pytest.mark.parametrize("clock", [(), (4,), (4, 3)])
def test_the_posterior_is_that_of_bayes(schedule, clock, rng):
    path = GaussianPath(schedule=schedule)
    points, x = torch.randn(5, 3, generator=rng).double(), torch.randn(4, 3, generator=rng).double()
    weights = torch.rand(5, generator=rng).double()
    t = torch.rand(clock, generator=rng).double()
    oracle = FiniteData(path, Flow, points, weights / weights.sum())
    posterior = oracle.posterior(x, t if clock else t.item())
    wide = t.reshape(*clock, *[1] * (2 - len(clock))).expand(4, 3)
    joint = torch.stack(
        [
            w * Normal(schedule.alpha(wide) * z, schedule.sigma(wide)).log_prob(x).sum(-1).exp()
            for w, z in zip(weights, points, strict=True)
        ],
        1,
    )
    assert_close(posterior, joint / joint.sum(1, keepdim=True))


@pytest.mark.parametrize("t", [0.1, 0.5, 0.9])
def test_two_points_have_a_closed_form(t):
    x = torch.linspace(-3, 3, 13, dtype=torch.float64)[:, None]
    mean = 2 * torch.tanh(2 * t * x / (1 - t) ** 2)
    assert_close(PAIR(x, t).velocity, (mean - x) / (1 - t))
    assert_close(PAIR(x, torch.full((13,), t, dtype=x.dtype)).velocity, (mean - x) / (1 - t))


def test_weights_tip_the_balance():
    weighted = FiniteData(PAIR.path, Flow, PAIR.points, torch.tensor([0.3, 0.7]).double())
    posterior = weighted.posterior(torch.zeros(1, 1).double(), 0.5)
    assert_close(posterior, torch.tensor([[0.3, 0.7]]).double())


@pytest.mark.parametrize("source", [Masked(3), UniformTokens(4)])
def test_the_posterior_of_tokens(source):
    points = torch.tensor([[0, 1], [1, 1], [2, 0]])
    oracle = FiniteData(MixturePath(Tokens(4), source), Flow, points)
    x, kappa = torch.tensor([[3, 1], [0, 3], [3, 3]]), 0.25
    arrived = (x[:, None] == points).double()
    p_0 = source.log_density(x).exp().double()[:, None]
    joint = ((1 - kappa) * p_0 + kappa * arrived).prod(-1)
    assert_close(oracle.posterior(x, kappa).double(), joint / joint.sum(1, keepdim=True))


def test_known_elements_choose_among_the_data():
    points = torch.tensor([[-2.0, -2.0], [2.0, 2.0], [2.0, 0.0]])
    oracle = FiniteData(GaussianPath(), Flow, points)
    x, t = torch.tensor([[2.0, 0.0]]), torch.tensor([[1.0, 0.0]])
    assert_close(oracle.posterior(x, t), torch.tensor([[0.0, 0.5, 0.5]]))
    assert_close(oracle(x, t).velocity[:, 1], torch.ones(1))  # E z - x, at t = 0


@every_schedule
@pytest.mark.parametrize("t", [0.2, 0.6, 0.95])
def test_one_normal_has_a_closed_form(schedule, t, rng):
    mean, std = torch.tensor([[0.5, -1.0]]).double(), torch.tensor([0.7]).double()
    one = torch.ones(1).double()
    model = NormalMixture(GaussianPath(schedule=schedule), mean, std, one)
    x_0 = torch.randn(6, 2, generator=rng).double()

    def exact(t):
        spread = (schedule.alpha(t) ** 2 * std**2 + schedule.sigma(t) ** 2).sqrt()
        return schedule.alpha(t) * mean + spread * x_0

    now = torch.tensor(t, dtype=torch.float64)
    x, velocity = torch.func.jvp(exact, (now,), (torch.ones_like(now),))
    assert_close(model(x, t).velocity, velocity)
    assert_close(model(x, torch.full((6,), t, dtype=x.dtype)).velocity, velocity)
    assert_close(model(x, torch.full((6, 2), t, dtype=x.dtype)).velocity, velocity)


@every_schedule
def test_a_mixture_is_the_limit_of_many_points(schedule, rng):
    means, stds = torch.tensor([[-1.0], [2.0]]).double(), torch.tensor([0.5, 0.3]).double()
    weights = torch.tensor([0.4, 0.6]).double()
    mixture = NormalMixture(GaussianPath(schedule=schedule), means, stds, weights)
    z = torch.linspace(-5, 5, 2001, dtype=torch.float64)
    density = (weights * Normal(means[:, 0], stds).log_prob(z[:, None]).exp()).sum(1)
    points = FiniteData(mixture.path, Flow, z[:, None], density / density.sum())
    x = torch.linspace(-3, 3, 7, dtype=torch.float64)[:, None]
    for t in (0.1, 0.5, 0.9):
        assert_close(mixture(x, t).velocity, points(x, t).velocity)


def test_a_clock_an_element_conditions_the_mixture():
    means = torch.tensor([[-2.0, -2.0], [2.0, 2.0]]).double()
    stds, weights = torch.tensor([0.1, 0.1]).double(), torch.tensor([0.5, 0.5]).double()
    mixture = NormalMixture(GaussianPath(), means, stds, weights)
    x = torch.tensor([[2.1, 0.0], [-1.9, 0.0]]).double()
    known = mixture.x_1(x, torch.tensor([[1.0, 0.0]] * 2).double())
    assert_close(known, torch.tensor([[2.1, 2.0], [-1.9, -2.0]]).double())


def test_numbers_near_a_data_value_are_at_it():
    """On a mixture path of numbers the law has atoms; the posterior is that of cells."""
    path = MixturePath(Interval(), UniformBox())
    points, weights = torch.tensor([[-0.5], [0.5]]).double(), torch.tensor([0.3, 0.7]).double()
    model = FiniteData(path, Jump, points, weights, width=0.1)
    x, kappa = torch.tensor([[0.0], [0.53], [-0.46]]).double(), 0.4
    stray = (1 - kappa) * 0.1 / 2  # the source in a cell
    at = torch.tensor([[stray, stray], [stray, stray + kappa], [stray + kappa, stray]]) * weights
    assert_close(model.posterior(x, kappa), at / at.sum(1, keepdim=True))
    jump = model(x, kappa)  # from near a value only the chance that it is elsewhere moves it
    assert_close(jump.intensity[1], model.posterior(x, kappa)[1, :1] / (1 - kappa))
    diffusion = FiniteData(path, Diffusion, points, weights, width=0.1)(x, kappa)
    other = solution(path, Diffusion)(path, points[1], kappa, points[0]).covariance
    assert_close(diffusion.covariance[1], model.posterior(x, kappa)[1, 0] * other)


def test_a_backward_oracle_has_the_backward_solution():
    path, points = MixturePath(Tokens(3), Masked(2)), torch.tensor([[0], [1]])
    back = FiniteData(path, Jump, points, backward=True)(torch.tensor([[0], [2]]), 0.25)
    assert back.intensity.tolist() == [[4.0], [0.0]]  # kappa_dot / kappa where data are


def test_where_no_data_point_explains_a_state_all_count_by_their_weights():
    path, points = MixturePath(Tokens(4), Masked(3)), torch.tensor([[0, 0], [1, 1]])
    model = FiniteData(path, Jump, points, torch.tensor([0.2, 0.8]))
    assert_close(model.posterior(torch.tensor([[0, 1]]), 0.5), torch.tensor([[0.2, 0.8]]))


@pytest.mark.parametrize(
    ("points", "weights", "message"),
    [
        (torch.tensor([-2.0, 2.0]), None, r"points are \(k, \*event\) on .*, not of shape \(2,\)"),
        (PAIR.points, torch.ones(3), r"2 points have a weight each, not \(3,\)"),
        (PAIR.points, torch.tensor([1.5, -0.5]), "weights are at least 0, not -0.5"),
    ],
)
def test_points_and_weights_that_are_none(points, weights, message):
    with pytest.raises(ValueError, match=message):
        FiniteData(GaussianPath(), Flow, points, weights)


def test_states_and_times_that_are_none():
    with pytest.raises(ValueError, match=r"a state is \(3,\), where a data point is \(1,\)"):
        PAIR(torch.zeros(4, 3).double(), 0.5)
    with pytest.raises(ValueError, match=r"t lies in \[0, 1\], not 1.5"):
        PAIR(torch.zeros(4, 1).double(), 1.5)
    one = NormalMixture(GaussianPath(), torch.ones(1, 1), torch.ones(1), torch.ones(1))
    with pytest.raises(ValueError, match=r"t lies in \[0, 1\], not -0.5"):
        one(torch.zeros(4, 1), -0.5)


def test_no_points_have_no_distribution():
    with pytest.raises(ValueError, match="there is no point"):
        FiniteData(GaussianPath(), Flow, torch.zeros(0, 2))
