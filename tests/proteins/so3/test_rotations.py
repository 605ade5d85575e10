"""Rotations against scipy's, at every angle, and their slopes where other formulas have none."""

import math

import pytest
import torch
from scipy.spatial.transform import Rotation
from torch.testing import assert_close

from feller.core.config import decode, encode
from feller.core.testing import check_space
from feller.proteins.so3.rotations import (
    Rotations,
    angle,
    exp,
    from_quaternion,
    hat,
    log,
    relative,
    to_quaternion,
    vee,
)
from feller.proteins.so3.sources import UniformRotations

ANGLES = [0.0, 1e-7, 1e-5, 1e-3, 0.1, 1.0, 2.0, 3.0, math.pi - 1e-3, math.pi - 1e-4]


def axes(n, rng, dtype=torch.float64):
    axis = torch.randn(n, 3, generator=rng, dtype=torch.float64)
    return (axis / axis.norm(dim=-1, keepdim=True)).to(dtype)


def draws(n, rng, dtype=torch.float64):
    return UniformRotations().sample((n, 3, 3), rng, like=torch.empty(0, dtype=dtype))


@pytest.mark.parametrize("w", [*ANGLES, math.pi])
def test_exp_is_that_of_scipy(w, rng):
    v = w * axes(500, rng)
    expected = torch.from_numpy(Rotation.from_rotvec(v.numpy()).as_matrix())
    assert_close(exp(v), expected, rtol=0, atol=1e-14)
    assert_close(exp(v.float()).double(), expected, rtol=0, atol=1e-6)


def test_log_is_that_of_scipy(rng):
    x = draws(2000, rng)
    expected = torch.from_numpy(Rotation.from_matrix(x.numpy()).as_rotvec())
    assert_close(log(x), expected, rtol=0, atol=1e-12)
    assert_close(angle(x), expected.norm(dim=-1), rtol=0, atol=1e-12)


@pytest.mark.parametrize("w", ANGLES)
def test_log_inverts_exp_in_single_precision(w, rng):
    """As vectors, near half a turn too: axis and angle are as exact as the matrix."""
    v = w * axes(20_000, rng, torch.float32)
    assert (log(exp(v)) - v).norm(dim=-1).max() < 1e-6
    assert (angle(exp(v)) - w).abs().max() < 1e-6


@pytest.mark.parametrize("w", [*ANGLES, math.pi - 1e-6, math.pi])
def test_log_of_a_quaternion_in_single_precision(w, rng):
    """Against scipy's, in double precision, of the quaternion that was rounded."""
    v = w * axes(20_000, rng)
    q = torch.cat(
        [torch.full((len(v), 1), math.cos(w / 2)), math.sin(w / 2) * v / max(w, 1e-30)], 1
    )
    q = q.float()
    expected = torch.from_numpy(Rotation.from_quat(q.numpy(), scalar_first=True).as_rotvec())
    found = log(from_quaternion(q)).double()
    gap = relative(exp(expected), exp(found))
    assert angle(gap).max() < 1e-6
    if w <= math.pi - 1e-4:  # beyond, rounding decides which of the two logs it is
        assert (found - expected).norm(dim=-1).max() < 1e-6


@pytest.mark.parametrize("w", [1e-12, 1e-7, 1e-4, 1e-3, 1e-2])
def test_small_angles_keep_their_digits(w, rng):
    for dtype, digits in ((torch.float32, 1e-6), (torch.float64, 1e-14)):
        v = w * axes(200, rng, dtype)
        assert ((log(exp(v)) - v).norm(dim=-1) <= digits * w).all()


def test_a_half_turn_has_one_of_its_two_logs(rng):
    v = math.pi * axes(500, rng)
    back = log(exp(v))
    gap = torch.minimum((back - v).norm(dim=-1), (back + v).norm(dim=-1))
    assert gap.max() < 1e-12


def test_quaternions_are_those_of_scipy(rng):
    x = draws(1000, rng)
    expected = torch.from_numpy(Rotation.from_matrix(x.numpy()).as_quat(scalar_first=True))
    expected = expected * expected[:, :1].sign()
    assert_close(to_quaternion(x), expected, rtol=0, atol=1e-12)
    assert_close(from_quaternion(expected), x, rtol=0, atol=1e-12)
    assert_close(to_quaternion(x.float()).double(), expected, rtol=0, atol=1e-6)


def test_a_hat_is_a_cross_product(rng):
    v, u = torch.randn(2, 7, 3, generator=rng)
    assert_close((hat(v) @ u[..., None])[..., 0], torch.linalg.cross(v, u))
    assert_close(vee(hat(v)), v)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("w", [*ANGLES, math.pi])
def test_slopes_are_finite_and_bounded(w, dtype, rng):
    v = (w * axes(200, rng, dtype)).requires_grad_()
    exp(v).pow(2).mul(torch.arange(9.0, dtype=dtype).view(3, 3)).sum().backward()
    x = exp(v.detach()).requires_grad_()
    (log(x).sum() + angle(x).sum()).backward()
    for slope in (v.grad, x.grad):
        assert slope.isfinite().all()
        assert slope.abs().max() < 100


@pytest.mark.parametrize("w", [1e-3, 1.0, 3.0])
def test_slopes_are_right(w, rng):
    v = (w * axes(3, rng)).requires_grad_()
    assert torch.autograd.gradcheck(exp, v)
    assert torch.autograd.gradcheck(lambda v: log(exp(v)), v)


def test_at_no_angle_exp_leaves_along_each_axis():
    slope = torch.autograd.functional.jacobian(exp, torch.zeros(3, dtype=torch.float64))
    assert_close(slope.movedim(-1, 0), hat(torch.eye(3, dtype=torch.float64)))


@pytest.mark.parametrize("w", [0.0, 1e-9, 5e-3, 9.9e-3, 1.1e-2, 2.0])
def test_second_derivatives_are_those_of_the_matrix_exponential(w, rng):
    v, weights = w * axes(1, rng)[0], torch.randn(3, 3, dtype=torch.float64, generator=rng)
    ours = torch.autograd.functional.hessian(lambda v: (weights * exp(v)).sum(), v)

    def series(v):
        return (weights * torch.linalg.matrix_exp(hat(v))).sum()

    assert_close(ours, torch.autograd.functional.hessian(series, v), rtol=0, atol=1e-8)


def test_the_space_keeps_its_contract(rng):
    check_space(Rotations(), draws(20, rng).view(4, 5, 3, 3))


def test_geodesics_do_not_depend_on_the_frame_of_the_world(rng):
    x, y, turn = draws(30, rng).view(3, 10, 3, 3)
    space = Rotations()
    assert_close(space.exp(turn @ x, turn @ space.log(x, y)), turn @ y)
    assert_close(space.log(turn @ x, turn @ y), turn @ space.log(x, y))
    assert_close(relative(turn @ x, turn @ y), relative(x, y))


def test_projection_finds_the_nearest_rotation(rng):
    m = torch.randn(50, 3, 3, generator=rng, dtype=torch.float64)
    near = Rotations().project(m)
    Rotations().check(near)
    best = (near - m).norm(dim=(-2, -1))
    for other in draws(200, rng):
        assert ((other - m).norm(dim=(-2, -1)) >= best).all()


def test_a_nearby_tangent_is_its_skew_part(rng):
    x, m = draws(5, rng), torch.randn(5, 3, 3, generator=rng, dtype=torch.float64)
    tangent = Rotations().project_tangent(x, m)
    rest = m - tangent
    for unit in torch.eye(3, dtype=torch.float64):
        assert_close((rest * (x @ hat(unit))).sum((-2, -1)), torch.zeros(5, dtype=torch.float64))


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (torch.eye(3).long(), r"floating point \(..., 3, 3\)"),
        (torch.eye(4), r"not \(4, 4\)"),
        (2 * torch.eye(3), "orthonormal, one of these is off by 3"),
        (torch.full((3, 3), math.nan), "orthonormal"),
        (torch.diag(torch.tensor([1.0, 1.0, -1.0])), "a reflection"),
    ],
)
def test_states_are_rotations(x, message):
    with pytest.raises(ValueError, match=message):
        Rotations().check(x)


def test_no_states_are_fine():
    Rotations().check(torch.zeros(0, 3, 3))


def test_the_space_is_plain_data():
    assert decode(encode(Rotations())) == Rotations()
