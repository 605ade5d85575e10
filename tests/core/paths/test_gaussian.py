"""The Gaussian path: its moments, and its density against torch's normal."""

import pytest
import torch
from scipy import stats
from torch.distributions import Normal
from torch.testing import assert_close

from feller.core.paths import GaussianPath
from feller.core.schedules import CondOT, Cosine, VariancePreserving
from feller.core.spaces import Euclidean

every_schedule = pytest.mark.parametrize("schedule", [CondOT(), Cosine(), VariancePreserving()])


def law(path, t, z):
    t = t.reshape(t.shape + (1,) * (z.ndim - t.ndim))
    return Normal(path.schedule.alpha(t) * z, path.schedule.sigma(t).expand_as(z))


@every_schedule
@pytest.mark.parametrize("t", [0.2, 0.7])
def test_samples_are_normal(schedule, t, rng):
    path, z = GaussianPath(schedule=schedule), torch.tensor([[-1.5, 0.5]]).expand(10_000, 2)
    x = path.sample(z, t, rng)
    uniforms = law(path, torch.tensor(t), z).cdf(x)
    assert stats.kstest(uniforms.flatten().numpy(), "uniform").pvalue > 0.001
    assert abs(torch.corrcoef(x.T)[0, 1]) < 4 / len(x) ** 0.5


@every_schedule
@pytest.mark.parametrize(("event_dim", "axes"), [(1, (-1,)), (3, (-3, -2, -1))])
def test_the_density_is_that_of_torch(schedule, event_dim, axes, rng):
    path = GaussianPath(Euclidean(event_dim), schedule)
    x, z = torch.randn(2, 5, 4, 3, 2, generator=rng, dtype=torch.float64)
    for t in (torch.rand(5, generator=rng).double(), torch.rand(5, 4, generator=rng).double()):
        expected = law(path, t, z).log_prob(x).sum(axes)
        assert_close(path.log_density(x, t, z), expected)
    assert_close(path.log_density(x, 0.3, z), law(path, torch.tensor(0.3), z).log_prob(x).sum(axes))


def test_states_and_data_broadcast(rng):
    path, x, z = GaussianPath(), torch.randn(5, 1, 2), torch.randn(1, 3, 2)
    density = path.log_density(x, 0.4, z)
    assert_close(density[4, 2], path.log_density(x[4, 0], 0.4, z[0, 2]))
    assert density.shape == (5, 3)


def test_known_elements_are_certain():
    t = torch.tensor([[1.0, 0.5]])
    x, z = torch.tensor([[2.0, 0.3]]), torch.tensor([[2.0, 1.0]])
    free = Normal(0.5, 0.5).log_prob(torch.tensor(0.3))
    assert_close(GaussianPath().log_density(x, t, z), free[None])
    assert GaussianPath().log_density(x, t, z + 1) == -torch.inf


def test_a_schedule_that_does_not_start_at_the_source_is_refused():
    class Exploding(CondOT):
        def alpha(self, t):
            return torch.ones_like(t)

        def sigma(self, t):
            return 80 * (1 - t)

    with pytest.raises(ValueError, match="starts with deviation 1, and Exploding with 80: divide"):
        GaussianPath(schedule=Exploding())
