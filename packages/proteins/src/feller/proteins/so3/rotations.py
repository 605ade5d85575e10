r"""Rotations: the space SO(3), its exponential and logarithm, and quaternions.

A rotation is a matrix in the last two axes; its columns are the axes of a frame. A tangent vector
at R is written R hat(v) with v in R^3, in the frame's own coordinates: **body** vectors. Rotations
are relative to R, so a global rotation, which multiplies R from the left, changes no body vector.
Angles are in radians, and lie in [0, pi].

Everything is finite, with finite gradients, at angle 0 and at angle pi, in float32 as in float64.
The logarithm goes through the quaternion with the largest of its four entries in front, so no root
of a small number is taken (the usual formula by the trace loses half of the digits near 0 and
pi).
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from feller.core.config import tagged
from feller.core.spaces import Manifold

__all__ = [
    "Rotations",
    "angle",
    "exp",
    "from_quaternion",
    "hat",
    "log",
    "relative",
    "to_quaternion",
    "vee",
]

Matrix = Float[Tensor, "*batch 3 3"]
Vector = Float[Tensor, "*batch 3"]
Quaternion = Float[Tensor, "*batch 4"]


def hat(v: Vector) -> Matrix:
    """Return the skew matrix that acts as the cross product with `v`."""
    x, y, z = v.unbind(-1)
    o = torch.zeros_like(x)
    return torch.stack([o, -z, y, z, o, -x, -y, x, o], -1).unflatten(-1, (3, 3))


def vee(m: Matrix) -> Vector:
    """Return the vector of the skew part of a matrix: the inverse of `hat`."""
    return torch.stack(
        [m[..., 2, 1] - m[..., 1, 2], m[..., 0, 2] - m[..., 2, 0], m[..., 1, 0] - m[..., 0, 1]], -1
    ).mul(0.5)


def exp(v: Vector) -> Matrix:
    """Return the rotation about `v` by the angle |v|.

    Example:
        >>> exp(torch.tensor([0.0, 0.0, torch.pi / 2])).round(decimals=3)[0]
        tensor([ 0., -1.,  0.])
    """
    square = (v * v).sum(-1, keepdim=True)
    small = square < 1e-4
    half = torch.where(small, 1.0, square).sqrt() / 2
    # Near 0 the series in |v|^2: |v| itself has no slope at 0, and its square has every one.
    cosine = torch.where(small, 1 - square / 8 * (1 - square / 48), half.cos())
    sine = torch.where(small, (1 - square / 24 * (1 - square / 80)) / 2, half.sin() / half / 2)
    return from_quaternion(torch.cat([cosine, sine * v], -1))


def log(m: Matrix) -> Vector:
    """Return the body vector of a rotation: its axis times its angle, at most pi.

    Example:
        >>> log(exp(torch.tensor([0.0, 3.0, 0.0]))).round(decimals=4)
        tensor([0., 3., 0.])
    """
    q = to_quaternion(m)
    w, v = q[..., :1], q[..., 1:]
    square = (v * v).sum(-1, keepdim=True)
    small = square < 1e-8
    sine = torch.where(small, 1.0, square).sqrt()
    turn = 2 * torch.atan2(sine, w) / sine
    # Of atan2(s, w) / s the series, with w near 1: the slope of s has none at 0.
    near = 2 / torch.where(small, w, 1.0) * (1 - square / 3)
    return torch.where(small, near, turn) * v


def angle(m: Matrix) -> Float[Tensor, " *batch"]:
    """Return the angle of a rotation, in [0, pi], to full precision at both ends."""
    q = to_quaternion(m)
    return 2 * torch.atan2(q[..., 1:].norm(dim=-1), q[..., 0])


def relative(base: Float[Tensor, "*#batch 3 3"], m: Float[Tensor, "*#batch 3 3"]) -> Tensor:
    """Return base^T m: the rotation from `base` to `m`, in the frame of `base`; they broadcast."""
    return base.mT @ m


def from_quaternion(q: Quaternion) -> Matrix:
    """Return the rotation of a unit quaternion (w, x, y, z); q and -q are the same."""
    w, x, y, z = q.unbind(-1)
    x2, y2, z2 = x * x, y * y, z * z
    xy, xz, yz, wx, wy, wz = x * y, x * z, y * z, w * x, w * y, w * z
    rows = [
        1 - 2 * (y2 + z2), 2 * (xy - wz), 2 * (xz + wy),
        2 * (xy + wz), 1 - 2 * (x2 + z2), 2 * (yz - wx),
        2 * (xz - wy), 2 * (yz + wx), 1 - 2 * (x2 + y2),
    ]  # fmt: skip
    return torch.stack(rows, -1).unflatten(-1, (3, 3))


def to_quaternion(m: Matrix) -> Quaternion:
    """Return the unit quaternion (w, x, y, z) of a rotation, with w >= 0.

    Row i of the symmetric matrix below is 4 q_i q. The row with the largest q_i, at least 1/2,
    gives q without loss (Shepperd, J. Guidance and Control 1, 1978).
    """
    a, b, c, d, e, f, g, h, i = m.flatten(-2).unbind(-1)
    wx, wy, wz, xy, xz, yz = h - f, c - g, d - b, b + d, c + g, f + h
    squares = torch.stack([1 + a + e + i, 1 + a - e - i, 1 - a + e - i, 1 - a - e + i], -1)
    rows = torch.stack(
        [
            squares[..., 0], wx, wy, wz,
            wx, squares[..., 1], xy, xz,
            wy, xy, squares[..., 2], yz,
            wz, xz, yz, squares[..., 3],
        ],
        -1,
    ).unflatten(-1, (4, 4))  # fmt: skip
    largest = squares.argmax(-1, keepdim=True)
    row = rows.gather(-2, largest[..., None].expand(*largest.shape, 4)).squeeze(-2)
    q = row / row.norm(dim=-1, keepdim=True)
    return torch.where(q[..., :1] < 0, -q, q)


@tagged("rotations")
@dataclass(frozen=True)
class Rotations(Manifold):
    """SO(3)^n: rotation matrices in the last two axes, n of them to a state.

    Tangent vectors at R are matrices R hat(v), in the shape of their base point as in every
    manifold. The metric is |v|: the length of a geodesic is its angle.

    Example:
        >>> eye, turned = torch.eye(3)[None], exp(torch.tensor([[0.0, 0.0, 1.0]]))
        >>> Rotations().exp(eye, Rotations().log(eye, turned)).allclose(turned)
        True
    """

    event_dim: int = 3
    element_dim: ClassVar[int] = 2

    def check(self, x: Tensor) -> None:
        """Raise unless the last two axes hold rotations, to 1e-3."""
        if not x.is_floating_point() or x.shape[-2:] != (3, 3):
            raise ValueError(f"rotations are floating point (..., 3, 3), not {tuple(x.shape)}")
        eye = torch.eye(3, dtype=x.dtype, device=x.device)
        error = (x.mT @ x - eye).abs().max() if x.numel() else torch.zeros(())
        if not error <= 1e-3:
            raise ValueError(f"columns are orthonormal, one of these is off by {error:.2g}")
        if x.numel() and not torch.linalg.det(x).min() > 0:
            raise ValueError("rotations have determinant 1, one of these is a reflection")

    def exp(self, x: Tensor, v: Tensor) -> Tensor:
        """Turn each frame by its body vector."""
        return x @ exp(vee(x.mT @ v))

    def log(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the tangent at `x` of the shortest turn to `y`."""
        return x @ hat(log(relative(x, y)))

    def project(self, x: Tensor) -> Tensor:
        """Return the rotation nearest to each matrix (Kabsch, Acta Cryst. A 32, 1976)."""
        u, _, vt = torch.linalg.svd(x)
        sign = torch.linalg.det(u @ vt).sign()
        flip = torch.stack([torch.ones_like(sign), torch.ones_like(sign), sign], -1)
        return (u * flip[..., None, :]) @ vt

    def project_tangent(self, x: Tensor, v: Tensor) -> Tensor:
        """Return the tangent part of a matrix at `x`."""
        return x @ hat(vee(x.mT @ v))
