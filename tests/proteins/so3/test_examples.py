"""`feller verify` for rotations: its rows pass, wrong ones fail, and its sums are exact."""

import json
import math
from dataclasses import replace

import pytest
import torch
from scipy import integrate
from terminal import feller
from torch.testing import assert_close

from feller.core.generators import Diffusion, Either, Flow, FromSource, Jump, Mixture, Point
from feller.core.paths import GeodesicPath, MixturePath
from feller.core.solutions import solution
from feller.core.verify import Case, Entry, Plan, Reference, Term, cases, verify, verify_case
from feller.core.verify.rows import combined
from feller.proteins.so3.destinations import About
from feller.proteins.so3.examples import examples, polynomials, with_points
from feller.proteins.so3.fisher import FISHER
from feller.proteins.so3.igso3 import IGSO3
from feller.proteins.so3.paths import FisherPath, HeatKernelPath, IsotropicPath
from feller.proteins.so3.rotations import Rotations, hat
from feller.proteins.so3.solutions import isotropic_langevin
from feller.proteins.so3.sources import UniformRotations

D = torch.float64
ROWS = [case for case in cases() if isinstance(case.path.space, Rotations)]
EXACT = [case for case in ROWS if len(case.points) == 1]
ONCE = Plan(times=(0.4,), samples=500)
FISHER_EXAMPLE = examples().paths[IsotropicPath]()[0]
Z = FISHER_EXAMPLE.points[:1]


def name(case):
    return " ".join([*case.labels().values(), case.role])


every_row = pytest.mark.parametrize("case", ROWS, ids=name)


def test_there_is_a_row_for_each_solution():
    moves = {"flow", "diffusion", "jump", "backward jump", "langevin"}
    due = {(path, move) for path in ("fisher", "heatkernel") for move in moves}
    due |= {("mixture", move) for move in ("jump", "backward jump", "corrector")}
    due |= {("geodesic", "flow")}
    labels = [case.labels() for case in EXACT]
    assert {(row["path"], row["generator"]) for row in labels} == due
    assert len({name(case) for case in ROWS}) == len(ROWS)
    assert {row["space"] for row in labels} == {"rotations 1x3x3"}


@every_row
def test_a_row_passes(case):
    found = verify_case(case, ONCE)
    assert found.passed, found.worst
    drawn = "switching" if isinstance(case.path, MixturePath) else "pathwise"
    assert found.method == ("quadrature" if len(case.points) == 1 else drawn)


@pytest.mark.parametrize("path", [FisherPath(), HeatKernelPath()], ids=["fisher", "heat kernel"])
def test_sums_are_exact_at_early_and_late_times(path):
    """All at once, so that no part makes up for another's error alone."""
    terms = Term("flow", 0.2), Term("jump", 1.1), Term("jump", 0.3, backward=True)
    case = Case(path, Z, terms, sums=FISHER_EXAMPLE.sums)
    for t in (0.02, 0.97):
        assert verify_case(case, Plan(times=(t,))).worst.size < 1e-7


@pytest.mark.parametrize("case", [c for c in EXACT if c.role != "stationary"], ids=name)
def test_a_row_off_by_one_percent_fails(case):
    (term,) = case.terms
    found = verify_case(replace(case, terms=(replace(term, weight=1.01),)), ONCE)
    assert not found.passed
    unit = max(abs(r.change) for r in found.residuals)
    assert found.worst.size == pytest.approx(0.01 * unit, rel=1e-3)


@pytest.mark.parametrize(
    "terms",
    [
        (Term("flow", 0.5), Term("jump", 0.5)),
        (Term("flow", 0.2), Term("diffusion", 0.3), Term("jump", 0.5)),
        (Term("flow"), Term("langevin", 2.0)),
        (Term("jump", 1.5), Term("jump", 0.5, backward=True)),
    ],
    ids=lambda terms: " + ".join(map(str, terms)),
)
def test_superpositions_and_correctors_pass(terms):
    case = next(combined(terms, IsotropicPath))
    found = verify_case(case, ONCE)
    assert found.passed
    assert found.method == "quadrature"
    assert found.labels["path"] == "fisher"


def test_full_weights_fail():
    both = Case(FISHER_EXAMPLE.path, Z, (Term("flow"), Term("jump")), sums=FISHER_EXAMPLE.sums)
    found = verify_case(both, ONCE)
    assert not found.passed
    assert found.relative() == pytest.approx(1, abs=1e-5)


def test_no_jump_of_the_geodesic_path_has_a_row():
    assert not list(combined((Term("jump"),), GeodesicPath))


def wrong(kind, change, *, role="forward"):
    """Whether a Fisher solution that was changed passes."""
    solve = kind if callable(kind) and not isinstance(kind, type) else solution(FisherPath(), kind)

    def bent(*given):
        return change(solve(*given))

    plan = replace(ONCE, sums=FISHER_EXAMPLE.sums)
    return verify(Entry(FisherPath(), bent, Z), Reference(Z), plan=plan, role=role).passed


def twisted(flow):
    """A turn about one axis of the frame, which no function of the angle alone would see."""
    turn = torch.tensor([0.0, 0.0, 0.01], dtype=D)
    return Flow(flow.velocity + FISHER_STATES @ hat(turn))


FISHER_SUMS = FISHER_EXAMPLE.sums.distribution
FISHER_STATES = FISHER_SUMS(FisherPath(), Z, torch.ones(1).double(), 0.4).states


def landing(**changes):
    return lambda jump: replace(jump, destination=replace(jump.destination, **changes))


def narrower(jump):
    law = jump.destination
    return replace(jump, destination=replace(law, parameter=1.01 * law.parameter))


@pytest.mark.parametrize(
    ("kind", "role", "right", "change"),
    [
        (Flow, "forward", lambda flow: flow, twisted),
        (Jump, "forward", lambda jump: jump, narrower),
        (Jump, "forward", lambda jump: jump, landing(inside=False)),
        (
            Jump,
            "forward",
            lambda jump: jump,
            landing(centre=Z.mT.expand(len(FISHER_STATES), 1, 3, 3)),
        ),
        (Diffusion, "forward", lambda d: d, lambda d: replace(d, variance=1.01 * d.variance)),
        (isotropic_langevin, "stationary", lambda d: d, lambda d: replace(d, drift=1.01 * d.drift)),
    ],
    ids=["twist", "spread", "side", "centre", "noise", "pull"],
)
def test_what_is_wrong_in_one_spot_fails(kind, role, right, change):
    assert wrong(kind, right, role=role)
    assert not wrong(kind, change, role=role)


def mean(law, f):
    """The mean of f over the first of the distributions, by its points."""
    points, weights = law.quadrature()
    x, masses = points[0, 0].movedim(-1, 0), weights[0, 0, 0, 0]
    assert_close(masses.sum(), torch.tensor(1.0, dtype=D))
    return torch.tensordot(masses, f(x), 1)


def test_means_over_all_rotations_are_exact():
    """Entries of a random rotation have mean 0 and variance 1/3, and are uncorrelated."""
    like = torch.eye(3, dtype=D).view(1, 1, 3, 3)
    jump = Jump(torch.ones(1, 1), FromSource(UniformRotations(), like))
    law = with_points(jump).destination
    assert isinstance(law, Mixture)
    f = polynomials(like)
    found = mean(law, lambda x: f.values(x[:, None]))
    expected = torch.tensor([0, 1 / 3, 0, 0, 1 / 3, 0], dtype=D)
    assert_close(found[[0, 1, 3, 4]], expected[[0, 1, 3, 4]], rtol=0, atol=1e-10)
    assert_close(mean(law, torch.linalg.det), torch.tensor(1.0, dtype=D))
    half = Either(torch.full((1, 1), 0.25).double(), Point(like), jump.destination)
    mixed = with_points(replace(jump, destination=half)).destination
    assert_close(mean(mixed, lambda x: x[:, 0, 0]), torch.tensor(0.25).double())


@pytest.mark.parametrize(("law", "s"), [(FISHER, 8.0), (IGSO3, 0.3), (FISHER, 300.0)])
@pytest.mark.parametrize("inside", [True, False])
def test_points_of_a_landing_have_its_mean_angle(law, s, inside):
    """By scipy's quadrature of the density of the angle, and no mean axis."""
    one = torch.tensor(s, dtype=D)
    edge = float(law.edge(one))
    low, high = (0.0, edge) if inside else (edge, float(law.reach(one)))

    def change(w, power):
        w = torch.tensor(w, dtype=D)
        return float(law.angle_density(w, one) * law.rise(w, one).abs() * w.cos() ** power)

    mass, due = (integrate.quad(change, low, high, args=(k,), epsabs=1e-13)[0] for k in (0, 1))
    about = About(Z.expand(2, 1, 3, 3), one.expand(2, 1), law, inside)
    points = with_points(Jump(torch.ones(2, 1), about)).destination
    found = mean(points, lambda x: Z[0, 0].mT @ x)
    assert_close(found.trace(), torch.tensor(1 + 2 * due / mass, dtype=D), rtol=0, atol=1e-9)
    assert_close(found, found.trace() / 3 * torch.eye(3).double(), rtol=0, atol=1e-10)


def test_landings_that_differ_by_state_keep_their_own_points():
    s = torch.tensor([[8.0], [30.0]], dtype=D)
    about = About(Z.expand(2, 1, 3, 3), s, FISHER)
    both = with_points(Jump(torch.ones(2, 1), about)).destination
    for row in (0, 1):
        alone = with_points(Jump(torch.ones(1, 1), about.at(slice(row, row + 1)))).destination
        assert_close(both.at(slice(row, row + 1)).quadrature(), alone.quadrature())


def test_states_of_several_rotations_are_drawn(rng):
    pair = UniformRotations().sample((1, 2, 3, 3), rng, like=Z)
    case = Case(FisherPath(), pair, (Term("jump"),), sums=FISHER_EXAMPLE.sums)
    found = verify_case(case, ONCE)
    assert found.method == "pathwise"
    assert found.passed


def test_the_command_shows_them():
    code, out, _ = feller(
        "verify", "--path", "fisher", "--kind", "flow=.5,jump=.5", "--times", ".5", "--json"
    )
    (row,) = json.loads(out)
    assert code == 0
    assert row["generator"] == "0.5 flow + 0.5 jump"
    assert row["method"] == "quadrature"
    code, out, _ = feller("verify", "--space", "rotations", "--kind", "flow", "--times", ".5")
    assert code == 0
    assert out.count("3 of 3 pass") == 1
    assert math.isfinite(row["residual"])
