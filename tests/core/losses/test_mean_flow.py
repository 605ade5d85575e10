"""MeanFlow: the exact average velocity has no gradient, and draws data in one step."""

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from feller.core.config import decode, encode
from feller.core.losses import MeanFlow, Objective
from feller.core.models import GeneratorModel
from feller.core.paths import GaussianPath
from feller.core.solvers import Euler, simulate
from feller.core.times import Beta

MEAN, STD = 1.5, 0.4


class Exact(nn.Module):
    """The average velocity for normal data on CondOT, times and plus parameters that are 1 and 0.

    The flow scales: x_s = s m + a_s / a_t (x_t - t m) with a_t^2 = (t std)^2 + (1 - t)^2.
    """

    takes_next = True

    def __init__(self, *, tells_next=True):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(4, dtype=torch.float64))
        self.tells_next = tells_next

    def forward(self, x, t, condition=None, s=None):
        t = t[:, None]
        s = s[:, None] if self.tells_next else t
        width = ((t * STD) ** 2 + (1 - t) ** 2).sqrt()
        later = ((s * STD) ** 2 + (1 - s) ** 2).sqrt()
        # (a_s - a_t) / (s - t), without the division: a_s^2 - a_t^2 is a polynomial.
        slope = ((s + t) * (1 + STD**2) - 2) / (later + width)
        u = MEAN + slope / width * (x - t * MEAN)
        features = torch.stack([u, 0 * u + 1, x, (s - t) * x], -1)
        target = torch.tensor([1.0, 0.0, 0.0, 0.0], dtype=x.dtype)
        return features @ (target + self.scale - 1)


def gradient(loss, network, rng, n=200_000):
    """The gradient of the loss by each parameter, in standard errors."""
    model = GeneratorModel(network, GaussianPath())
    z = MEAN + STD * torch.randn(n, 1, generator=rng, dtype=torch.float64)
    t = torch.rand(n, generator=rng, dtype=torch.float64)
    x_t = model.path.sample(z, t, rng)
    torch.manual_seed(1)  # not as rng: the times would depend on the data
    each = loss(model, model.path, z, t, x_t)
    batches = each.reshape(100, -1).mean(1)
    rows = [torch.autograd.grad(b, network.scale, retain_graph=True)[0] for b in batches]
    rows = torch.stack(rows)
    return rows.mean(0) / (rows.std(0) / 10 + 1e-5)  # rounding is none


@pytest.mark.parametrize(
    "loss",
    [
        MeanFlow(),
        MeanFlow(own_velocity=False, flow_fraction=0.25),
        MeanFlow(distil=True, flow_fraction=0.5),
        MeanFlow(flow_fraction=0.0, later=Beta(2.0, 1.0)),
    ],
)
def test_the_exact_average_velocity_is_a_minimum(loss, rng):
    assert (gradient(loss, Exact(), rng).abs() < 4.5).all()


def test_the_velocity_alone_is_none(rng):
    assert gradient(MeanFlow(), Exact(tells_next=False), rng)[:3].abs().max() > 8


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_a_step_draws_data(steps, rng):
    model = GeneratorModel(Exact(), GaussianPath()).requires_grad_(False)
    x_0 = torch.randn(50_000, 1, generator=rng, dtype=torch.float64)
    simulation = simulate(model, x_0, torch.linspace(0, 1, steps + 1), Euler())
    assert simulation.nfe == steps
    assert_close(simulation.state, MEAN + STD * x_0, rtol=0, atol=1e-6)


def test_without_later_times_it_is_flow_matching(rng):
    given = torch.rand(2, 64, 1, generator=rng, dtype=torch.float64)
    model, t = GeneratorModel(Exact(), GaussianPath()), torch.full((64,), 0.3)
    found = MeanFlow(flow_fraction=1.0)(model, model.path, given[0], t, given[1])
    assert_close(found, Objective()(model, model.path, given[0], t, given[1]))
    bounded = MeanFlow(flow_fraction=1.0, power=1.0, offset=0.5)
    again = bounded(model, model.path, given[0], t, given[1])
    assert_close(again, found / (found + 0.5))


@pytest.mark.parametrize("by_name", [False, True])
def test_each_condition_goes_with_its_row(by_name, rng):
    """A network that moves by its condition has one average velocity: it has no loss at z."""

    class Told(nn.Module):
        takes_next = True

        def forward(self, x, t, condition, s):
            told = condition["by"] if by_name else condition
            return told - x / (1 - t[:, None]) + (s - t)[:, None] * 0

    model = GeneratorModel(Told(), GaussianPath())
    z = torch.randn(64, 1, generator=rng, dtype=torch.float64)
    t = torch.full((64,), 0.5, dtype=torch.float64)
    told = {"by": 2 * z} if by_name else 2 * z
    still = MeanFlow(flow_fraction=0.5)(model, model.path, z, t, 0 * z, condition=told)
    flow = MeanFlow(flow_fraction=1.0)(model, model.path, z, t, 0 * z, condition=told)
    assert_close(flow, torch.zeros(64, dtype=torch.float64))
    # d/dt of 2 z - x / (1 - t) along 2 z is -4 z: what has two times misses by (s - t) of it.
    assert 20 < (still > 0).sum() < 44
    ratio = (still / (4 * z[:, 0]) ** 2).sqrt()
    assert ratio.max() < 0.5


def test_it_is_saved_adds_and_is_refused_where_it_means_nothing():
    loss = MeanFlow(power=0.5, later=Beta(2.0, 1.0))
    assert decode(encode(loss)) == loss
    assert [term.name for term in (loss + 0.1 * Objective()).parts] == ["mean_flow", "objective"]
    one = GeneratorModel(lambda x, t, condition: x, GaussianPath())
    x = torch.zeros(2, 1)
    with pytest.raises(ValueError, match="trains a model of two times"):
        loss(one, one.path, x, torch.full((2,), 0.5), x)
    two = GeneratorModel(Exact(), GaussianPath())
    with pytest.raises(ValueError, match="one time a sample"):
        loss(two, two.path, x, 0.5, x)
    with pytest.raises(ValueError, match="flow_fraction is in"):
        MeanFlow(flow_fraction=1.5)
    with pytest.raises(ValueError, match="power is finite and at least 0"):
        MeanFlow(power=-1.0)
