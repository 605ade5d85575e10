"""Maps of manifolds: the exponential and the logarithm of rotations, and of the sphere."""

import math
from collections.abc import Iterator

import torch
from peers.job import Job
from torch import Tensor

from feller.core.spaces import Sphere
from feller.proteins.so3 import rotations

__all__ = ["flow_matching", "geoopt", "roma", "scipy"]

COUNT = 50_000


def vectors() -> Tensor:
    """Return rotation vectors of all angles."""
    rng = torch.Generator().manual_seed(0)
    axes = torch.nn.functional.normalize(torch.randn(COUNT, 3, generator=rng), dim=-1)
    return axes * torch.linspace(1e-4, math.pi - 1e-4, COUNT)[:, None]


def roma() -> Iterator[Job]:
    import roma as peer

    v = vectors()
    m = rotations.exp(v)
    for name, ours, theirs in (
        ("exp", lambda: rotations.exp(v), lambda: peer.rotvec_to_rotmat(v)),
        ("log", lambda: rotations.log(m), lambda: peer.rotmat_to_rotvec(m)),
    ):
        yield Job(
            part="SO(3) maps",
            name=f"{name} of {COUNT:,} rotations",
            package="roma",
            peer="rotvec_to_rotmat" if name == "exp" else "rotmat_to_rotvec",
            ours=ours,
            theirs=theirs,
        )


def scipy() -> Iterator[Job]:
    from scipy.spatial.transform import Rotation

    v = vectors()
    m = rotations.exp(v)
    vs, ms = v.numpy(), m.numpy()
    for name, ours, theirs in (
        ("exp", lambda: rotations.exp(v), lambda: Rotation.from_rotvec(vs).as_matrix()),
        ("log", lambda: rotations.log(m), lambda: Rotation.from_matrix(ms).as_rotvec()),
    ):
        yield Job(
            part="SO(3) maps",
            name=f"{name} of {COUNT:,} rotations",
            package="scipy",
            peer="Rotation (float64)",
            ours=ours,
            theirs=theirs,
        )


def points() -> tuple[Tensor, Tensor, Tensor]:
    """Return points of the sphere and tangents there."""
    rng = torch.Generator().manual_seed(0)
    x, y = (
        torch.nn.functional.normalize(torch.randn(COUNT, 3, generator=rng), dim=-1) for _ in "xy"
    )
    return x, y, Sphere().log(x, y)


def geoopt() -> Iterator[Job]:
    import geoopt as peer

    yield from sphere("geoopt", peer.Sphere())


def flow_matching() -> Iterator[Job]:
    from flow_matching.utils.manifolds import Sphere as Peer

    yield from sphere("flow-matching", Peer())


def sphere(package: str, peer: object) -> Iterator[Job]:
    """Yield the maps of the sphere beside those of an object with `expmap` and `logmap`."""
    space, (x, y, v) = Sphere(), points()
    for name, ours, theirs in (
        ("exp", lambda: space.exp(x, v), lambda: peer.expmap(x, v)),
        ("log", lambda: space.log(x, y), lambda: peer.logmap(x, y)),
    ):
        yield Job(
            part="Sphere maps",
            name=f"{name} of {COUNT:,} points",
            package=package,
            peer=f"Sphere.{name}map",
            ours=ours,
            theirs=theirs,
        )
