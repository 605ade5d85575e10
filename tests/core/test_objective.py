"""The objective: what it is for an oracle, in each parametrization, and for the wrong kind."""

import pytest
import torch
from torch.testing import assert_close

from feller.core.generators import Flow, Generator
from feller.core.heads import FlowHead
from feller.core.models import GeneratorModel
from feller.core.objective import Objective, coordinates
from feller.core.paths import GaussianPath
from feller.core.posteriors import FiniteData
from feller.core.schedules import CondOT, Cosine, VariancePreserving

PATH = GaussianPath()
POINTS = torch.tensor([[-2.0], [2.0]], dtype=torch.float64)
ORACLE = FiniteData(PATH, Flow, POINTS)


def expected_loss(model, t):
    """E D over data and states, by quadrature."""
    axis = torch.linspace(-9, 9, 2001, dtype=torch.float64)
    z, x = (a.reshape(-1, 1) for a in torch.meshgrid(POINTS[:, 0], axis, indexing="ij"))
    law = 0.5 * PATH.log_density(x, t, z).exp() * (axis[1] - axis[0])
    return (law * Objective()(model, PATH, z, t, x)).sum()


def irreducible(t):
    """E Var(u | x_t) = E Var(z | x_t) / (1 - t)^2, with Var(z | x) = 4 - E[z | x]^2."""
    x = torch.linspace(-9, 9, 2001, dtype=torch.float64)[:, None]
    law = PATH.log_density(x[:, None], t, POINTS).exp().mean(1) * (x[1] - x[0])
    mean = 2 * torch.tanh(2 * t * x[:, 0] / (1 - t) ** 2)
    return (law * (4 - mean**2)).sum() / (1 - t) ** 2


@pytest.mark.parametrize("t", [0.1, 0.3, 0.7])
def test_the_oracle_has_the_irreducible_loss(t):
    assert_close(expected_loss(ORACLE, t), irreducible(t))


@pytest.mark.parametrize("t", [0.1, 0.7])
def test_any_other_model_has_its_squared_distance_more(t):
    class Bent:
        kinds, space = ORACLE.kinds, ORACLE.space

        def __call__(self, x, t, condition=None):
            return Flow(ORACLE(x, t).velocity + x.sin())

    axis = torch.linspace(-9, 9, 2001, dtype=torch.float64)[:, None]
    law = PATH.log_density(axis[:, None], t, POINTS).exp().mean(1) * (axis[1] - axis[0])
    distance = (law * axis[:, 0].sin() ** 2).sum()
    assert_close(expected_loss(Bent(), t), irreducible(t) + distance)


@pytest.mark.parametrize("t", [0.5, torch.tensor([0.2, 0.5, 0.9])])
def test_the_space_of_the_loss_is_a_weight(t, rng):
    model = GeneratorModel(lambda x, t, condition: x.tanh(), PATH, FlowHead("x_1"))
    z, x_t = torch.randn(2, 3, 4, generator=rng)
    plain = (z - x_t.tanh()).square().mean(1)
    assert_close(Objective(loss_space="x_1")(model, PATH, z, t, x_t), plain)
    assert_close(Objective()(model, PATH, z, t, x_t), plain / (1 - t) ** 2)


@pytest.mark.parametrize("schedule", [CondOT(), Cosine(), VariancePreserving()])
def test_the_loss_of_the_score_is_that_of_the_noise_over_its_variance(schedule, rng):
    path = GaussianPath(schedule=schedule)
    model = GeneratorModel(lambda x, t, condition: x.tanh(), path, FlowHead("noise"))
    z, noise = torch.randn(2, 3, 4, generator=rng, dtype=torch.float64)
    t = torch.tensor([0.2, 0.5, 0.9], dtype=torch.float64)
    x_t = path.sample(z, t, x_0=noise)
    plain = (noise - x_t.tanh()).square().mean(1)
    assert_close(Objective(loss_space="noise")(model, path, z, t, x_t), plain)
    assert_close(
        Objective(loss_space="score")(model, path, z, t, x_t), plain / schedule.sigma(t) ** 2
    )


def test_the_loss_is_a_mean_over_all_axes_of_a_sample(rng):
    model = GeneratorModel(lambda x, t, condition: 0 * x, PATH)
    z, x_0 = torch.randn(2, 3, 4, 5, 2, generator=rng)
    x_t = PATH.sample(z, 0.5, x_0=x_0)
    assert_close(Objective()(model, PATH, z, 0.5, x_t), (z - x_0).square().mean((1, 2, 3)))


def test_the_condition_reaches_the_network(rng):
    model = GeneratorModel(lambda x, t, condition: condition, PATH)
    z, x_0 = torch.randn(2, 3, 4, generator=rng)
    x_t = PATH.sample(z, 0.5, x_0=x_0)
    loss = Objective()(model, PATH, z, 0.5, x_t, condition=z - x_0)
    assert_close(loss, torch.zeros(3), atol=1e-10, rtol=0)


def test_a_kind_without_coordinates_is_named():
    class Odd(Generator):
        apply = step = average = None

    with pytest.raises(LookupError, match="no coordinates for Odd"):
        coordinates(Odd)
