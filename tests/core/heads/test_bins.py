"""Heads of logits: those of an oracle's law give the generators of the oracle."""

import pytest
import torch
from few_points import POINTS, WEIGHTS, T, every_path, states
from torch.testing import assert_close

from feller.core.generators import (
    Binned,
    Diffusion,
    Flow,
    FromPosterior,
    Jump,
    Superposition,
)
from feller.core.generators.parts import check_parts
from feller.core.heads import JumpHead, PosteriorHead
from feller.core.losses.terms import rates
from feller.core.paths import GaussianPath, MixturePath
from feller.core.posteriors import FiniteData
from feller.core.solutions import event_rate, solution
from feller.core.sources import Masked, UniformBox, UniformSphere, UniformTokens
from feller.core.spaces import Interval, Sphere, Tokens
from feller.core.times import expand_time


def logits_of(oracle, x, t, values):
    """The log of the exact law of each coordinate on a list of values."""
    here = (oracle.points[..., None] == values).double()
    return torch.einsum("bk,knv->bnv", oracle.posterior(x, t).double(), here).log()


@every_path
def test_a_jump_head_reads_the_exact_jump(path, rng):
    head, oracle, x = JumpHead(40), FiniteData(path, Jump, POINTS, WEIGHTS), states(path, rng)
    exact = oracle(x, T)
    cells = head(
        path, torch.zeros(4, 2, head.channels, dtype=torch.float64), x, T
    ).destination.cells
    mass = exact.destination.masses(cells)
    scaled = exact.intensity / event_rate(path, expand_time(T, x))
    mass = mass.clamp_min(1e-300)  # where nothing leaves, no bin is a destination
    output = torch.cat([mass.log(), torch.special.expm1(scaled).log()[..., None]], -1)
    jump = head(path, output, x, T)
    assert_close(jump.intensity, exact.intensity)
    assert_close(
        rates(jump, cells, path, x, T), rates(exact, cells, path, x, T), atol=1e-9, rtol=1e-5
    )


@every_path
def test_bins_hold_all_the_mass_of_jumps(path, rng):
    """On the interval of the data alone 11% of it would be lost on CondOT, elsewhere more."""
    head, t = JumpHead(32), torch.linspace(0.001, 0.999, 301, dtype=torch.float64)
    z = torch.tensor([-1.0, -0.3, 0.7, 1.0], dtype=torch.float64)
    x = torch.zeros(301, 4, dtype=torch.float64)
    law = solution(path, Jump)(path, x, t, z).destination
    output = torch.zeros(301, 4, head.channels, dtype=torch.float64)
    ours = law.masses(head(path, output, x, t).destination.cells).sum(-1)
    # Roots more than 5 deviations out, which CondOT has none of, leave exp(-12.5) beyond.
    assert (1 - ours).max() < (1e-6 if path == GaussianPath() else 3.8e-6)
    narrow = Binned(output, torch.linspace(-1, 1, 34, dtype=torch.float64))
    assert (1 - law.masses(narrow.cells).sum(-1)).max() > 0.1


@every_path
@pytest.mark.parametrize("kind", [Flow, Diffusion, Jump])
def test_one_posterior_gives_every_exact_generator(path, kind, rng):
    """Its law of each coordinate is that of the data given all coordinates."""
    oracle, x = FiniteData(path, kind, POINTS, WEIGHTS), states(path, rng)
    head = PosteriorHead(
        3, flow=float(kind is Flow), diffusion=float(kind is Diffusion), jump=float(kind is Jump)
    )
    assert head.kinds == {kind}
    logits = logits_of(oracle, x, T, torch.linspace(-1, 1, 3, dtype=torch.float64))
    found, exact = head(path, logits, x, T).generator, oracle(x, T)
    assert isinstance(found, Superposition)
    generator = found.parts[0].generator
    if kind is Flow:
        assert_close(generator.velocity, exact.velocity)
    elif kind is Diffusion:
        assert_close(generator.drift, exact.drift)
        assert_close(generator.covariance.expand_as(x), exact.covariance.expand_as(x))
    else:
        cells = Binned(torch.zeros(1, 50).double(), torch.linspace(-4, 4, 51).double()).cells
        assert_close(generator.intensity, exact.intensity)
        assert_close(rates(generator, cells, path, x, T), rates(exact, cells, path, x, T))


@pytest.mark.parametrize("source", [Masked(3), UniformTokens(3)], ids=str)
def test_one_posterior_gives_the_exact_chain(source):
    path = MixturePath(Tokens(4 if source == Masked(3) else 3), source)
    points = torch.tensor([[0, 1], [1, 2], [2, 2]])
    oracle = FiniteData(path, Jump, points, WEIGHTS.float())
    x = torch.cartesian_prod(*[torch.arange(path.space.size)] * 2)
    possible = path.log_density(x[:, None], 0.4, points[None]).sum(-1).exp().sum(1) > 0
    x = x[possible]
    logits = logits_of(oracle, x, 0.4, torch.arange(path.space.size))
    found = PosteriorHead(path.space.size)(path, logits, x, 0.4).generator.parts[0].generator
    cells = found.destination.cells
    exact = rates(oracle(x, 0.4), cells, path, x, 0.4)
    assert_close(rates(found, cells, path, x, 0.4).float(), exact.float())


def test_a_posterior_head_is_any_superposition_of_kinds(rng):
    head = PosteriorHead(3, flow=0.5, diffusion=0.2, jump=0.3)
    path, x = GaussianPath(), torch.randn(4, 2, generator=rng)
    generator = head(path, torch.randn(4, 2, 3, generator=rng), x, 0.5)
    assert isinstance(generator, FromPosterior)
    assert head.kinds == {Flow, Diffusion, Jump}
    assert [part.weight for part in generator.generator.parts] == [0.5, 0.2, 0.3]
    check_parts(generator.leaves())


@pytest.mark.parametrize("head", [JumpHead(4), PosteriorHead(5)], ids=str)
def test_a_head_of_numbers_reads_no_vectors(head):
    path, x = MixturePath(Sphere(), UniformSphere()), torch.eye(3)[:, None]
    with pytest.raises(LookupError, match=r"the elements of Sphere\(event_dim=1\) are vectors"):
        head(path, torch.zeros(3, 1, 3, 5), x, 0.5)


@pytest.mark.parametrize("head", [JumpHead(4, (-3.0, 3.0)), PosteriorHead(5, data=(-3.0, 3.0))])
def test_a_head_stays_in_an_interval(head):
    path, x = MixturePath(Interval(), UniformBox()), torch.zeros(3, 2)
    with pytest.raises(ValueError, match=r"data lie in Interval\(.*, not between -3\.0 and 3\.0"):
        head(path, torch.zeros(3, 2, 5), x, 0.5)


def test_a_head_reads_no_more_levels_than_there_are_tokens():
    path, x = MixturePath(Tokens(3), Masked(2)), torch.zeros(3, 2, dtype=torch.int64)
    with pytest.raises(ValueError, match="levels are at most the 3 of Tokens"):
        PosteriorHead(7)(path, torch.zeros(3, 2, 7), x, 0.5)
    PosteriorHead(2)(path, torch.zeros(3, 2, 2), x, 0.5)  # all but the mask
