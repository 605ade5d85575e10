r"""What a network sees of frames: numbers that no rotation or shift of the world changes.

A residue i has a frame: a position x_i in nanometres and a rotation R_i, whose columns are its
axes. From i, the frame of j is at :math:`R_i^T (x_j - x_i)` and turned by :math:`R_i^T R_j`; both
stay as they are when the world is moved, and both change when it is mirrored.

All of it is smooth where positions coincide, and computed in single precision at least.
"""

import math

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor

from feller.proteins.structure.frames import ANGSTROM, CARBONYL, IDEAL

__all__ = [
    "ATOMS",
    "GEOMETRY",
    "LINKS",
    "RADIAL",
    "RELATIVE",
    "SURROUNDINGS",
    "atom_distances",
    "geometry",
    "links",
    "radial",
    "relative_index",
    "squared_distances",
    "surroundings",
]

RADIAL = 16
"""Bumps that a distance is seen through."""

GEOMETRY = RADIAL + 12
"""Channels of a pair: a distance, a direction and a rotation."""

ATOMS = 3 * RADIAL
"""Channels of the distances of a pair's atoms."""

_REACH = 32
RELATIVE = 2 * (2 * _REACH + 1)
"""Values of `relative_index`."""

_SIDE = 4
SURROUNDINGS = 13 * (2 * _SIDE + 1) + 3
"""Channels of a residue's surroundings."""

LINKS = 14
"""Channels of the bonds that link a residue to the one before and the one after."""

_NEAR, _FAR = 0.2, 2.2  # nanometres
_SOFT = 0.01
_EDGE = 9.0  # widths of a bump

_CB = (-0.527, -0.774, -1.212)  # Angstrom, in the frame of its residue
_PEPTIDE = (0.1329, 0.2425, 0.2431, 0.3802)  # medians of native chains
_STRAIN = 0.01


def relative_index(index: Int[Tensor, "b n"]) -> Int[Tensor, "b n n"]:
    """Return how far j is from i along the chain, within 32, and whether the chain is whole there.

    Args:
        index: Numbers of residues. Where they do not go up by one, residues are missing.

    Example:
        >>> relative_index(torch.tensor([[7, 8, 10]]))[0, 0]
        tensor([ 32,  33, 100])
    """
    apart = (index[:, None, :] - index[:, :, None]).clamp(-_REACH, _REACH) + _REACH
    segment = F.pad((index.diff(dim=1) != 1).long(), (1, 0)).cumsum(1)
    broken = segment[:, None, :] != segment[:, :, None]
    return apart + (RELATIVE // 2) * broken


def squared_distances(
    position: Float[Tensor, "b n 3"], other: Float[Tensor, "b n 3"] | None = None
) -> Float[Tensor, "b n n"]:
    """Return the squared distances of positions from others, or from themselves if None."""
    other = position if other is None else other
    return (other[:, None, :] - position[:, :, None]).square().sum(-1)


def radial(square: Float[Tensor, "*pairs"]) -> Float[Tensor, "*pairs bumps"]:
    """See squared distances, in nm^2, through bumps from 0 to 2.2 nm that widen with the distance.

    They stand evenly on log(1 + d^2 / 0.04 nm^2): 0.08 nm apart at a bond of the chain, 0.3 nm at
    2 nm. What is farther counts as 2.2 nm. There is no root, so none without a slope at d = 0.
    """
    end = math.log1p((_FAR / _NEAR) ** 2)
    step = end / (RADIAL - 1)
    centres = torch.arange(RADIAL, dtype=square.dtype, device=square.device)
    far = (torch.log1p(square / _NEAR**2) / step).clamp_max(RADIAL - 1)
    # e^-81 changes no sum; numbers below 1e-38, of bumps farther off, cost a hundred times others.
    return (far[..., None] - centres).clamp(-_EDGE, _EDGE).square().neg_().exp_()


def geometry(
    position: Float[Tensor, "b n 3"], rotation: Float[Tensor, "b n 3 3"]
) -> Float[Tensor, "b n n geometry"]:
    """Return distance, direction and rotation of every frame as seen from every other.

    Args:
        position: Positions in nanometres, with their middle near 0 so that no digits are lost.
        rotation: Rotations.
    """
    mine = rearrange(rotation, "b i x c -> b (i c) x")
    seen = rearrange(mine @ position.mT, "b (i c) j -> b i j c", c=3)
    away = seen - (rotation.mT @ position[..., None]).mT
    square = away.square().sum(-1)
    direction = away * torch.rsqrt(square + _SOFT**2)[..., None]
    turned = mine @ rearrange(rotation, "b j x k -> b x (j k)")
    turned = rearrange(turned, "b (i c) (j k) -> b i j (c k)", c=3, k=3)
    return torch.cat([radial(square), direction, turned], dim=-1)


def atom_distances(
    position: Float[Tensor, "b n 3"],
    rotation: Float[Tensor, "b n 3 3"],
    index: Int[Tensor, "b n"],
) -> Float[Tensor, "b n n atoms"]:
    """Return distances of CB and CB, of O and N, and of N and O of every pair, through bumps.

    They tell which side chains touch and where hydrogen bonds are. The oxygen is where the next
    residue's N puts it, if there is one; otherwise it is not in a peptide, and lies along CA-C.

    Args:
        position: Positions in nanometres.
        rotation: Rotations.
        index: Numbers of residues.
    """
    inside = position.new_tensor((*IDEAL, _CB)) * ANGSTROM
    n, ca, c, cb = (rotation @ inside.mT + position[..., None]).unbind(-1)
    bond = F.pad(c[:, :-1] - n[:, 1:], (0, 0, 0, 1))
    linked = F.pad(index.diff(dim=1) == 1, (0, 1))[..., None]
    outward = _soft_unit(_soft_unit(c - ca) + torch.where(linked, _soft_unit(bond), 0.0))
    o = c + CARBONYL * ANGSTROM * outward
    bonded = radial(squared_distances(o, n))
    return torch.cat([radial(squared_distances(cb)), bonded, bonded.transpose(1, 2)], dim=-1)


def _soft_unit(v: Tensor) -> Tensor:
    return v * torch.rsqrt(v.square().sum(-1, keepdim=True) + (_SOFT / 10) ** 2)


def surroundings(
    position: Float[Tensor, "b n 3"],
    rotation: Float[Tensor, "b n 3 3"],
    index: Int[Tensor, "b n"],
) -> Float[Tensor, "b n surroundings"]:
    """Return the frames of the four residues on both sides, and the origin, as seen from each.

    Attention would have to find the neighbours first. Those beyond a gap are zeros.

    Args:
        position: Positions in nanometres, with their middle at 0.
        rotation: Rotations.
        index: Numbers of residues.
    """
    width = 2 * _SIDE + 1
    frames = torch.cat([rotation, position[..., None]], dim=-1).flatten(2)
    window = F.pad(frames, (0, 0, _SIDE, _SIDE)).unfold(1, width, 1)
    seen = rotation.mT @ rearrange(window, "b n (x v) w -> b n x (v w)", x=3)
    seen = rearrange(seen, "b n c (v w) -> b n c v w", v=4)
    here = seen[..., 3, _SIDE]
    away = seen[..., 3, :] - here[..., None]
    offsets = torch.arange(-_SIDE, _SIDE + 1, device=index.device)
    # A number that no neighbour has: beyond the ends there is nobody.
    numbers = F.pad(index, (_SIDE, _SIDE), value=torch.iinfo(torch.int64).min // 2)
    there = numbers.unfold(1, width, 1) - index[..., None] == offsets
    there = there.to(position.dtype)[:, :, None, :]
    parts = [seen[..., :3, :].flatten(2, 3) * there, away * there, there]
    return torch.cat([torch.cat(parts, dim=2).flatten(2), -here], dim=-1)


def links(
    position: Float[Tensor, "b n 3"],
    rotation: Float[Tensor, "b n 3 3"],
    index: Int[Tensor, "b n"],
) -> Float[Tensor, "b n links"]:
    """Return how the bonds of a residue to the one before, and to the one after, are strained.

    A bond is right to 0.002 nm, and positions are a thousand times that: so what a whole peptide
    bond fixes is compared with what it should be, and magnified. Of both sides: C-N, CA-N, C-CA and
    CA-CA less their lengths in a trans peptide, and C-N less its length as a vector as the residue
    sees it, each as asinh(. / 0.01 nm) / 5, which is within 1 for bonds of 0.7 nm. Beyond a gap
    they are zeros.

    Args:
        position: Positions in nanometres, with their middle at 0.
        rotation: Rotations.
        index: Numbers of residues.
    """
    n, _, c = (rotation @ position.new_tensor(IDEAL).mT * ANGSTROM).unbind(-1)
    n, c = (n + position)[:, 1:], (c + position)[:, :-1]
    ca, ca_next = position[:, :-1], position[:, 1:]
    spans = torch.stack([n - c, n - ca, ca_next - c, ca_next - ca], dim=2)
    lengths = (spans.square().sum(-1) + _STRAIN**4).sqrt()
    strain = lengths - position.new_tensor(_PEPTIDE)
    bond = spans[:, :, 0] * (strain / lengths)[:, :, :1]
    linked = (index.diff(dim=1) == 1)[..., None]
    sides = []
    for end, pad in ((slice(1, None), (1, 0)), (slice(None, -1), (0, 1))):
        seen = (bond[:, :, None] @ rotation[:, end])[:, :, 0]
        side = torch.asinh(torch.cat([strain, seen], dim=-1) / _STRAIN) / 5
        sides.append(F.pad(torch.where(linked, side, 0.0), (0, 0, *pad)))
    return torch.cat(sides, dim=-1)
