"""The mixture path: each element has arrived with chance kappa, and else is at its source."""

import pytest
import torch
from scipy import stats
from torch.testing import assert_close

from feller.core.paths import MixturePath
from feller.core.schedules import CondOT, Cosine
from feller.core.sources import Gaussian, Masked, UniformBox, UniformSphere, UniformTokens
from feller.core.spaces import Euclidean, Interval, Sphere, Tokens

TOKEN_PATHS = [
    MixturePath(Tokens(5), Masked(4)),
    MixturePath(Tokens(5), UniformTokens(5), Cosine()),
    MixturePath(Tokens(5), UniformTokens(4)),
]
every_token_path = pytest.mark.parametrize("path", TOKEN_PATHS, ids=str)
CLOCK = torch.tensor([0.1, 0.5, 0.9])


@pytest.mark.parametrize("schedule", [CondOT(), Cosine()])
@pytest.mark.parametrize(
    ("space", "source", "axes"),
    [(Euclidean(), Gaussian(), ()), (Sphere(), UniformSphere(), (2,)), (Tokens(9), Masked(8), ())],
    ids=["euclidean", "sphere", "tokens"],
)
def test_elements_arrive_with_chance_kappa(space, source, axes, schedule, rng):
    path = MixturePath(space, source, schedule)
    x_0 = source.sample((20_000, 3, *axes), rng)
    z = 0 * x_0
    x = path.sample(z, CLOCK.expand(20_000, 3), rng, x_0=x_0)
    assert ((x == z) | (x == x_0)).all()
    arrived = x == z
    if axes:  # a point of the sphere arrives as a whole
        assert torch.equal(arrived.all(-1), arrived.any(-1))
        arrived = arrived.all(-1)
    kappa = schedule.alpha(CLOCK).double()
    misses = arrived.double().sum(0) - 20_000 * kappa
    square = (misses**2 / (20_000 * kappa * (1 - kappa))).sum()
    assert stats.chi2(3).sf(square.item()) > 0.001


def test_elements_arrive_independently(rng):
    path, z = MixturePath(Tokens(2), Masked(1)), torch.zeros(20_000, 2, dtype=torch.int64)
    arrived = path.sample(z, 0.5, rng).float()
    assert abs(torch.corrcoef(arrived.T)[0, 1]) < 4 / len(z) ** 0.5


@every_token_path
@pytest.mark.parametrize("t", [0.0, 0.4, 1.0])
def test_the_density_sums_to_one_over_the_vocabulary(path, t):
    x, z = torch.arange(5)[:, None, None], torch.arange(5)[None, :, None]
    density = path.log_density(x, t, z).exp()
    assert density.shape == (5, 5, 1)
    assert_close(density.sum(0), torch.ones(5, 1))


@every_token_path
def test_samples_have_the_density(path, rng):
    z = torch.tensor([0, 2, 3]).expand(20_000, 3)
    x = path.sample(z, CLOCK.expand(20_000, 3), rng)
    every = torch.arange(5)[:, None].expand(5, 3)
    density = path.log_density(every, CLOCK.expand(5, 3), z[:1]).exp()
    for i in range(3):
        counts, share = x[:, i].bincount(minlength=5), density[:, i].double()
        assert not counts[share == 0].any()
        seen = share > 0
        expected = 20_000 * share[seen] / share.sum()
        assert stats.chisquare(counts[seen].numpy(), expected.numpy()).pvalue > 0.001


def test_a_continuous_space_has_no_density():
    with pytest.raises(ValueError, match="no density"):
        MixturePath(Euclidean(), Gaussian()).log_density(torch.zeros(2), 0.5, torch.zeros(2))


def test_cells_have_the_mass_of_source_and_atom(rng):
    path, z = MixturePath(Interval(), UniformBox(), Cosine()), torch.tensor([[0.25]]).double()
    cells = torch.linspace(-0.75, 0.75, 4, dtype=torch.float64)[:, None]
    mass = path.log_mass(cells, 0.4, z, 0.5).exp()
    assert_close(mass.sum(), torch.tensor(1.0).double())
    x = path.sample(z.expand(20_000, 1), 0.4, rng)
    counts = torch.histogram(x.flatten(), torch.linspace(-1, 1, 5).double()).hist
    assert stats.chisquare(counts.numpy(), 20_000 * mass.flatten().numpy()).pvalue > 0.001


def test_cells_of_tokens_are_the_tokens_and_of_vectors_the_points(rng):
    path = TOKEN_PATHS[0]
    x, z = torch.arange(5)[:, None], torch.tensor([[2]])
    assert_close(path.log_mass(x, 0.4, z, 0.1), path.log_density(x, 0.4, z))
    sphere = MixturePath(Sphere(), UniformSphere())
    z = UniformSphere().sample((1, 2, 3), rng)
    x = torch.cat([z, UniformSphere().sample((1, 2, 3), rng)])
    mass = sphere.log_mass(x, 0.4, z, 1e-3).exp()
    assert mass.shape == (2, 2)
    assert (mass[0] >= 0.4).all()
    assert (mass[1] < 1e-6).all()


def test_what_is_not_the_mask_has_arrived():
    x = torch.tensor([[0, 4, 2]])
    assert TOKEN_PATHS[0].arrived(x).tolist() == [[True, False, True]]
    assert TOKEN_PATHS[1].arrived(x) is None
