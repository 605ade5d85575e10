"""Destinations of rotations: their draws, and what is asked of every destination."""

import pytest
import torch
from scipy import stats

from feller.core import random
from feller.core.generators import Mixture
from feller.proteins.so3.destinations import About, Isotropic
from feller.proteins.so3.fisher import FISHER
from feller.proteins.so3.igso3 import IGSO3
from feller.proteins.so3.rotations import angle, log, relative
from feller.proteins.so3.sources import UniformRotations

LAWS = [
    pytest.param(FISHER, 8.0, lambda c, s: Isotropic(c, s, FISHER), id="fisher"),
    pytest.param(IGSO3, 0.3, lambda c, s: Isotropic(c, s, IGSO3), id="heat kernel"),
    pytest.param(FISHER, 8.0, lambda c, s: About(c, s, FISHER), id="inside"),
    pytest.param(FISHER, 8.0, lambda c, s: About(c, s, FISHER, inside=False), id="outside"),
]
every_law = pytest.mark.parametrize(("law", "s", "make"), LAWS)


def centres(*shape, rng, dtype=torch.float64):
    return UniformRotations().sample((*shape, 3, 3), rng, like=torch.empty(0, dtype=dtype))


@every_law
def test_draws_follow_the_distribution(law, s, make, rng):
    centre, s = centres(1, 1, rng=rng), torch.tensor(s, dtype=torch.float64)
    law_of_each = make(centre.expand(4000, 1, 3, 3), s.expand(4000, 1))
    v = log(relative(centre, law_of_each.sample(rng))).flatten(0, 1)
    w, edge = v.norm(dim=-1), law.edge(s)
    if isinstance(law_of_each, About):
        inside = law_of_each.inside
        assert ((w < edge) == inside).all()
        grid = torch.linspace(0, torch.pi, 4001, dtype=torch.float64)
        change = law.angle_density(grid, s) * law.rise(grid, s).abs()
        change = torch.where((grid < edge) == inside, change, 0.0).cumsum(0)
        u = change[(w / grid[1]).long()] / change[-1]
    else:
        u = law.cdf(w, s)
    assert stats.kstest(u.numpy(), "uniform").pvalue > 1e-3
    for axis in (v / w[:, None]).T:
        assert stats.kstest((axis.numpy() + 1) / 2, "uniform").pvalue > 1e-3


@every_law
def test_distributions_are_chosen_and_expanded(law, s, make, rng):
    centre, s = centres(3, 2, rng=rng, dtype=torch.float32), torch.full((3, 2), s)
    several = make(centre, s)
    picked = several.at(torch.tensor([2, 0]))
    assert torch.equal(picked.centre, centre[[2, 0]])
    wide = several.at((slice(None), slice(0, 1))).expand(torch.Size([3, 5]))
    assert wide.sample(rng).shape == (3, 5, 3, 3)
    assert wide.sample(rng).dtype == torch.float32
    rows = several.sample(random.rows(0, 0, 3))
    assert torch.equal(several.at(slice(1, 2)).sample(random.rows(0, 1, 2)), rows[1:2])


@every_law
def test_no_points_stand_for_it(law, s, make, rng):
    with pytest.raises(LookupError, match="draw from it"):
        make(centres(1, rng=rng), torch.full((1,), s)).quadrature()


def test_a_mixture_of_them_is_a_posterior(rng):
    three = centres(3, rng=rng)
    weights = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
    narrow = torch.full((20_000, 1, 3), 1e5, dtype=torch.float64)
    laws = Isotropic(three.expand(20_000, 1, 3, 3, 3), narrow, FISHER)
    x = Mixture(weights.expand(20_000, 1, 3), laws).sample(rng)
    nearest = angle(relative(three, x)).argmin(-1)
    shares = torch.bincount(nearest.flatten(), minlength=3)
    assert stats.chisquare(shares.numpy(), (20_000 * weights).numpy()).pvalue > 1e-3
