"""Solutions on rotations: the forward equation, exactly in the angle and by draws in all axes."""

import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch.testing import assert_close

from feller.core.generators import Diffusion, Flow, Jump, Mixture, Point
from feller.core.grids import uniform_grid
from feller.core.paths import GeodesicPath, MixturePath
from feller.core.posteriors import FiniteData
from feller.core.solutions import from_posterior, solution
from feller.core.solvers import Euler, simulate
from feller.core.testing import check_solution
from feller.core.verify import Plan
from feller.proteins.so3.destinations import Isotropic
from feller.proteins.so3.diffusion import RotationDiffusion
from feller.proteins.so3.fisher import FISHER
from feller.proteins.so3.jumps import PosteriorJump
from feller.proteins.so3.paths import FisherPath, HeatKernelPath
from feller.proteins.so3.rotations import Rotations, angle, exp, log, relative
from feller.proteins.so3.solutions import fisher_langevin, isotropic_langevin
from feller.proteins.so3.sources import UniformRotations

PATHS = [FisherPath(), HeatKernelPath()]
every_path = pytest.mark.parametrize("path", PATHS, ids=["fisher", "heat kernel"])
every_time = pytest.mark.parametrize("t", [0.01, 0.5, 0.97])
SHARES = (0.5, 0.3, 0.2)

CELLS = 2000


def rotations(*shape, rng):
    return UniformRotations().sample((*shape, 3, 3), rng, like=torch.empty(0, dtype=torch.float64))


def shells(path, t, z, rng):
    """Rotations at the middles of equal cells of angles about z, with the mass of each cell."""
    s = path.parameter(torch.tensor(t, dtype=torch.float64))
    width = float(path.family.reach(s)) / CELLS
    w = width * (torch.arange(CELLS, dtype=torch.float64) + 0.5)
    axis = torch.randn(CELLS, 3, generator=rng, dtype=torch.float64)
    axis = axis / axis.norm(dim=-1, keepdim=True)
    x = (z @ exp(w[:, None] * axis))[:, None]
    return x, path.family.angle_density(w, s) * width


def bank(z):
    """Functions of the angle to z alone, as smooth ones of a matrix."""

    def trace(x):
        return (z.mT @ x)[:, 0].diagonal(dim1=-2, dim2=-1).sum(-1)

    return [trace, lambda x: trace(x) ** 2, lambda x: torch.sin(6 * trace(x))]


def means(path, t, z, f, rng):
    x, mass = shells(path, t, z, rng)
    return float((mass * f(x)).sum())


def change(path, t, z, f, rng):
    h = 1e-4
    after, before = (means(path, t + s, z, f, rng) for s in (h, -h))
    return (after - before) / (2 * h)


@every_path
@every_time
def test_flow_and_diffusion_solve_the_forward_equation_of_angles(path, t, rng):
    z = rotations(1, rng=rng)
    x, mass = shells(path, t, z, rng)
    noise = isotropic_langevin(path, x, t, z)
    for f in bank(z):
        due = change(path, t, z, f, rng)
        for kind in (Flow, Diffusion):
            action = float((mass * solution(path, kind)(path, x, t, z).apply(f, x)).sum())
            assert action == pytest.approx(due, rel=2e-4, abs=2e-4)
        assert float((mass * noise.apply(f, x)).sum()) == pytest.approx(0, abs=2e-4)
    assert (noise.variance > 0).all()


@every_path
@every_time
@pytest.mark.parametrize("backward", [False, True])
def test_jumps_solve_the_forward_equation_of_angles(path, t, backward, rng):
    z = rotations(1, rng=rng)
    x, mass = shells(path, t, z, rng)
    jump = solution(path, Jump, backward=backward)(path, x, t, z)
    about = jump.destination
    shares = (torch.arange(2000, dtype=torch.float64) + 0.5) / 2000
    w = path.family.landing(shares, about.parameter[0, 0], inside=about.inside)
    landed = (z @ exp(w[:, None] * torch.eye(3, dtype=torch.float64)[0]))[:, None]
    rate = mass * jump.intensity[:, 0]
    for f in bank(z):
        action = float((rate * (f(landed).mean() - f(x))).sum())
        due = change(path, t, z, f, rng) * (-1 if backward else 1)
        assert action == pytest.approx(due, rel=2e-3, abs=2e-3)


@every_path
@pytest.mark.parametrize(
    ("kind", "role"), [(Flow, "forward"), (Jump, "forward"), (Jump, "backward")]
)
def test_in_all_axes_it_solves_the_forward_equation(path, kind, role, rng):
    plan = Plan(times=(0.4,), samples=1000)
    check_solution(path, kind, rotations(1, 2, rng=rng), role=role, plan=plan)


@pytest.mark.parametrize(
    ("solve", "role"), [(Diffusion, "forward"), (isotropic_langevin, "stationary")]
)
def test_in_all_axes_a_diffusion_solves_it(solve, role, rng):
    plan = Plan(times=(0.4,), samples=1000)
    check_solution(FisherPath(), solve, rotations(1, 1, rng=rng), role=role, plan=plan)


@pytest.mark.slow
@every_path
@pytest.mark.parametrize(
    ("solve", "role"),
    [
        (Flow, "forward"),
        (Diffusion, "forward"),
        (Jump, "forward"),
        (Jump, "backward"),
        (isotropic_langevin, "stationary"),
    ],
)
def test_many_draws_in_all_axes(path, solve, role, rng):
    plan = Plan(times=(0.2, 0.7), samples=30_000)
    check_solution(path, solve, rotations(2, 1, rng=rng), role=role, plan=plan)


@pytest.mark.parametrize(
    ("path", "kind", "role"),
    [
        (GeodesicPath(Rotations(), UniformRotations()), Flow, "forward"),
        (MixturePath(Rotations(), UniformRotations()), Jump, "forward"),
        (MixturePath(Rotations(), UniformRotations()), Jump, "backward"),
    ],
)
def test_the_paths_of_the_core_solve_it_too(path, kind, role, rng):
    plan = Plan(times=(0.4,), samples=2000)
    check_solution(path, kind, rotations(1, 2, rng=rng), role=role, plan=plan)


@pytest.mark.parametrize("kind", [Jump, Diffusion])
def test_on_the_geodesic_path_only_flows_move(kind):
    with pytest.raises(LookupError, match="is refused: from a uniform source"):
        solution(GeodesicPath(Rotations(), UniformRotations()), kind)


@every_path
def test_the_flow_keeps_to_the_path_of_its_source_sample(path, rng):
    """The map of quantiles is the flow: an exact solver would give x_s to the last digit."""
    z, x_0 = rotations(2, 100, 1, rng=rng)
    x = path.sample(z, 0.2, x_0=x_0)
    flow = solution(path, Flow)
    for i in range(60):
        t, h = 0.2 + 0.6 * i / 60, 0.6 / 60
        middle = flow(path, x, t, z).step(path.space, x, h / 2, rng)
        v = log(relative(z, middle))
        ahead = flow(path, middle, t + h / 2, z).velocity
        body = relative(middle, ahead)
        x = path.space.exp(x, h * (x @ body))
        assert v.isfinite().all()
    assert angle(relative(x, path.sample(z, 0.8, x_0=x_0))).max() < 1e-3


@every_path
def test_what_has_not_jumped_survives_exactly(path, rng):
    z, x = rotations(2, 500, 1, rng=rng)
    t, h = torch.tensor(0.3, dtype=torch.float64), torch.tensor(0.1, dtype=torch.float64)
    jump = solution(path, Jump)(path, x, t, z)
    fires = jump.intensity > 0
    assert fires.any()
    lived = (jump.intensity * jump.duration(h))[fires]
    loss = path.log_density(x, t, z) - path.log_density(x, t + h, z)
    assert_close(lived, loss[fires])


@every_path
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_all_is_finite_at_no_angle_and_at_half_a_turn(path, dtype, rng):
    z = rotations(4, 1, rng=rng).to(dtype)
    x = z.clone()
    x[2:, :, :, :2] *= -1
    x.requires_grad_()
    for t in (0.0, 0.5, 1 - 1e-6):
        flow = solution(path, Flow)(path, x, t, z)
        diffusion = solution(path, Diffusion)(path, x, t, z)
        jump = solution(path, Jump)(path, x, t, z)
        values = [flow.velocity, diffusion.drift, diffusion.variance, jump.intensity]
        assert all(value.isfinite().all() for value in values)
        assert flow.velocity.abs().max() < 1e-2
        slope = torch.autograd.grad(sum(v.sum() for v in values if v.requires_grad), x)[0]
        assert slope.isfinite().all()


@every_path
def test_rates_turn_with_the_world(path, rng):
    x, z, turn = rotations(3, 5, 2, rng=rng)
    for kind in (Flow, Jump):
        one, other = (solution(path, kind)(path, g @ x, 0.4, g @ z) for g in (turn[:1, :1], turn))
        if kind is Flow:
            assert_close(turn[:1, :1].mT @ one.velocity, turn.mT @ other.velocity)
        else:
            assert_close(one.intensity, other.intensity)


@every_path
def test_elements_have_their_own_clocks(path, rng):
    x, z = rotations(2, 2, 3, rng=rng)
    t = torch.tensor([[0.1, 0.5, 0.9], [0.3, 0.3, 0.6]], dtype=torch.float64)
    flow, jump = (solution(path, kind)(path, x, t, z) for kind in (Flow, Jump))
    for b, n in ((0, 2), (1, 1)):
        place = (slice(b, b + 1), slice(n, n + 1))
        alone = solution(path, Flow)(path, x[place], float(t[b, n]), z[place]).velocity
        assert_close(flow.velocity[place], alone)
        alone = solution(path, Jump)(path, x[place], float(t[b, n]), z[place]).intensity
        assert_close(jump.intensity[place], alone)


def modes(rng):
    return rotations(3, 1, rng=rng).float()


def shares(model, points, n, steps, rng):
    """The fractions of modes that a simulation comes back to, by the nearest."""
    x_0 = model.path.sample_source((n, 1, 3, 3), rng, like=points)
    x = simulate(model, x_0, uniform_grid(steps), Euler(), rng).state
    Rotations().check(x)
    gaps = angle(relative(points[None], x[:, None]))[..., 0]
    assert math.degrees(gaps.min(1).values.square().mean().sqrt()) == pytest.approx(5, abs=1)
    return gaps.argmin(1).bincount(minlength=3)


def driven(path, kinds, points):
    models = [FiniteData(path, kind, points, torch.tensor(SHARES)) for kind in kinds]
    return models[0] if len(models) == 1 else 0.5 * models[0] + 0.5 * models[1]


KINDS = [(Flow,), (Jump,), (Flow, Jump), (Diffusion,)]
every_kind = pytest.mark.parametrize("kinds", KINDS, ids=lambda k: "+".join(c.__name__ for c in k))


@every_kind
def test_the_exact_posterior_leads_back_to_three_modes(kinds, rng):
    points = modes(rng)
    found = shares(driven(FisherPath(), kinds, points), points, 1000, 40, rng)
    assert stats.chisquare(found.numpy(), 1000 * np.array(SHARES)).pvalue > 1e-3


@pytest.mark.slow
@every_path
@every_kind
def test_three_modes_to_a_hundredth(path, kinds, rng):
    points = modes(rng)
    found = shares(driven(path, kinds, points), points, 30_000, 100, rng) / 30_000
    assert (found - torch.tensor(SHARES)).abs().max() < 0.01


def test_a_posterior_is_a_jump(rng):
    points, x = modes(rng), rotations(4, 1, rng=rng).float()
    weights = torch.tensor(SHARES).expand(4, 1, 3)
    posterior = Mixture(weights, Point(points[:, 0].expand(4, 1, 3, 3, 3)))
    found = from_posterior(FisherPath(), Jump, x, 0.5, posterior)
    assert isinstance(found, PosteriorJump)
    assert isinstance(solution(FisherPath(), Diffusion)(FisherPath(), x, 0.5, x), RotationDiffusion)


@every_time
def test_the_marginal_pull_is_the_posterior_mean_of_the_conditional_ones(t, rng):
    path, draws = FisherPath(), 20_000
    x, centres = rotations(1, rng=rng), rotations(1, 3, rng=rng)
    spread = torch.tensor([[0.1, 3.0, 40.0]], dtype=torch.float64)
    shares = torch.tensor([[1.0, 0.6, 0.4]], dtype=torch.float64)  # they need not sum to one
    posterior = Mixture(shares, Isotropic(centres, spread, FISHER))
    found = fisher_langevin(path, x, t, posterior)
    many = posterior.map(lambda value: value.expand(draws, *value.shape[1:]))
    each = isotropic_langevin(path, x.expand(draws, 3, 3), t, many.sample(rng))
    error = each.drift.std(0) / math.sqrt(draws)
    assert ((each.drift.mean(0) - found.drift[0]).abs() < 4.5 * error + 1e-12).all()
    assert_close(found.variance[0], each.variance[0])


@every_time
def test_the_pull_of_one_rotation_is_its_own(t, rng):
    x, z = rotations(5, rng=rng), rotations(5, rng=rng)
    one = torch.ones(5, 1, dtype=torch.float64)
    sharp = Mixture(one, Isotropic(z[:, None], 1e9 * one, FISHER))
    found, expected = (
        fisher_langevin(FisherPath(), x, t, sharp),
        isotropic_langevin(FisherPath(), x, t, z),
    )
    assert_close(found.drift, expected.drift, rtol=1e-6, atol=1e-8)
    assert_close(found.variance, expected.variance)
