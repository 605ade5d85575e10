"""Families of isotropic laws: every function of theirs against sums over a fine grid."""

import math

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from feller.proteins.so3.fisher import FISHER
from feller.proteins.so3.igso3 import IGSO3
from feller.proteins.so3.radial import RadialDistribution, inverse, uniform_cdf

LAWS = [
    *(pytest.param(FISHER, s, id=f"fisher {s}") for s in (0.0, 1e-3, 3.0, 10.0, 1e3)),
    *(pytest.param(IGSO3, s, id=f"igso3 {s}") for s in (0.0025, 1.43, 1.45, 9.0)),
]
every_law = pytest.mark.parametrize(("law", "s"), LAWS)

EDGES = torch.linspace(0, math.pi, 20_001, dtype=torch.float64)
MIDDLES, CELL = (EDGES[1:] + EDGES[:-1]) / 2, math.pi / 20_000
SHARES = torch.linspace(0.001, 0.999, 101, dtype=torch.float64)


def number(s):
    return torch.tensor(s, dtype=torch.float64)


def masses(law, s):
    return law.angle_density(MIDDLES, number(s)) * CELL


def share_below(w, masses):
    """The fraction of the masses of the cells below each angle."""
    running = np.concatenate([[0.0], masses.cumsum(0).numpy()])
    return torch.from_numpy(np.interp(w.numpy(), EDGES.numpy(), running / running[-1]))


@every_law
def test_the_density_has_mass_one(law, s):
    assert float(masses(law, s).sum()) == pytest.approx(1, abs=1e-9)


@every_law
def test_the_score_is_the_slope_in_the_angle(law, s):
    h, step = masses(law, s), 1e-5
    inner = (MIDDLES > 1e-2) & (MIDDLES < 3.13)
    found = law.score(MIDDLES, number(s))
    slope = law.log_density(MIDDLES + step, number(s)) - law.log_density(MIDDLES - step, number(s))
    error = (h * (found - slope / (2 * step)))[inner].abs().max()
    assert error <= 1e-6 * (h * found).abs().max() + 1e-12


@every_law
def test_the_rise_is_the_slope_in_the_parameter(law, s):
    if s == 0:
        pytest.skip("the parameter starts here")
    h, step = masses(law, s), 1e-6 * max(s, 1e-3)
    found = law.rise(MIDDLES, number(s))
    slope = law.log_density(MIDDLES, number(s + step)) - law.log_density(MIDDLES, number(s - step))
    error = (h * (found - slope / (2 * step))).abs().max()
    assert error <= 1e-6 * (h * found).abs().max()


@every_law
def test_mass_is_neither_made_nor_lost(law, s):
    change = masses(law, s) * law.rise(MIDDLES, number(s))
    assert abs(float(change.sum())) < 1e-6 * float(change.abs().sum())


@every_law
def test_the_velocity_carries_the_distribution(law, s):
    """h g is minus what the mass within has gained: continuity on the ball."""
    gained = (masses(law, s) * law.rise(MIDDLES, number(s))).cumsum(0)[:-1]
    w = EDGES[1:-1]
    flux = law.angle_density(w, number(s)) * law.velocity(w, number(s))
    assert (flux + gained).abs().max() < 2e-5 * gained.abs().max()


@every_law
def test_mass_gathers_inside_of_the_edge_only(law, s):
    edge, rise = law.edge(number(s)), law.rise(MIDDLES, number(s))
    assert abs(float(law.rise(edge, number(s)))) < 1e-9 * float(rise.abs().max())
    inside = edge > MIDDLES
    sign = rise[0].sign()
    assert (rise[inside] * sign > 0).all()
    assert (rise[~inside] * sign < 0).all()


@every_law
def test_nothing_lies_beyond_the_reach(law, s):
    assert float(masses(law, s)[law.reach(number(s)) < MIDDLES].sum()) < 1e-14


@every_law
def test_quantiles_are_where_the_distribution_says(law, s):
    w = law.quantile(SHARES, number(s))
    assert_close(law.cdf(w, number(s)), SHARES, rtol=0, atol=1e-6)
    assert_close(share_below(w, masses(law, s)), SHARES, rtol=0, atol=2e-5)
    assert law.quantile(torch.zeros(1), torch.tensor(s)).abs() < 1e-6


@every_law
@pytest.mark.parametrize("inside", [True, False])
def test_landings_follow_the_change(law, s, inside):
    w = law.landing(SHARES, number(s), inside=inside)
    change = (masses(law, s) * law.rise(MIDDLES, number(s))).abs()
    change = torch.where((law.edge(number(s)) > MIDDLES) == inside, change, 0.0)
    assert_close(share_below(w, change), SHARES, rtol=0, atol=1e-4)


@every_law
def test_quantiles_know_their_slopes(law, s):
    """In the share 1 / h; in the parameter the velocity, since the map of quantiles is the flow."""
    if s == 0:
        pytest.skip("the parameter starts here")
    u, s = SHARES[10:90:10], number(s)
    w = law.quantile(u, s)
    one = torch.ones_like(u)
    by_share = torch.func.jvp(lambda u: law.quantile(u, s), (u,), (one,))[1]
    assert_close(by_share, 1 / law.angle_density(w, s), rtol=1e-4, atol=0)
    by_parameter = torch.func.jvp(lambda s: law.quantile(u, s), (s,), (torch.ones_like(s),))[1]
    assert_close(by_parameter, law.velocity(w, s), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("law", [FISHER, IGSO3])
def test_single_precision_and_mixed_parameters_will_do(law):
    s = torch.tensor([0.01, 0.5, 1.4, 1.5, 8.0])
    w = torch.tensor([0.0, 1e-6, 1.0, 3.0, math.pi])
    for f in (law.log_density, law.score, law.rise, law.velocity, law.cdf, law.angle_density):
        found, exact = f(w, s), f(w.double(), s.double())
        assert found.dtype == torch.float32
        assert_close(found.double(), exact, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("law", [FISHER, IGSO3])
def test_slopes_are_finite_at_both_ends(law):
    w = torch.tensor([0.0, 1e-8, math.pi - 1e-7, math.pi], requires_grad=True)
    s = torch.full((4,), 0.8, requires_grad=True)
    total = sum(f(w, s).sum() for f in (law.log_density, law.score, law.rise, law.velocity))
    total.backward()
    assert w.grad.isfinite().all()
    assert s.grad.isfinite().all()


def test_the_fraction_of_the_uniform_distribution():
    w = torch.tensor([0.0, 1e-3, 0.049, 0.051, 1.0, math.pi], dtype=torch.float64)
    exact = (w - w.sin()) / math.pi
    assert_close(uniform_cdf(w), exact, rtol=1e-7, atol=1e-18)
    assert float(uniform_cdf(number(1e-6))) == pytest.approx(1e-18 / 6 / math.pi, rel=1e-12)


def test_an_inverse_of_a_straight_density():
    low, high = torch.zeros(9, dtype=torch.float64), torch.ones(9, dtype=torch.float64)
    u = torch.linspace(0.1, 0.9, 9, dtype=torch.float64)
    found = inverse(lambda w, s: 2 * w, low, u, (low, high))
    assert_close(found, u.sqrt())


def test_a_distribution_is_a_value():
    assert isinstance(FISHER, RadialDistribution)
    assert FISHER != IGSO3
