r"""Frames: a residue's backbone as a position and a rotation.

The frame of an ideal residue stands at CA; its first axis points to C, its second towards N, at a
right angle to the first, and the third is their cross product. In it N, CA and C have the positions
of `IDEAL`. A real residue has the frame in which these come closest to it, by least squares: 0.02
Angstrom are lost. (Where CA and C alone fix the frame, as is typical, N loses 0.07, and 1.6 in 100
native C-N bonds come back shorter than 1.25 or longer than 1.42 Angstrom; by least squares 0.3.)

The oxygen lies in the plane of CA, C and the next N, 1.231 Angstrom from C, between the continued
CA-C and N-C bonds; that of the last residue is where psi is -40 degrees.

States are in nanometres, atoms in Angstrom. Source: Jumper et al., Nature 2021, supplement, table 2
and algorithm 21 (frames) and 24 (the oxygen); Kabsch, Acta Cryst. A 1976, for the fit.
"""

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor

__all__ = [
    "ANGSTROM",
    "CARBONYL",
    "IDEAL",
    "atoms_from_frames",
    "frames_from_atoms",
    "with_oxygens",
]

ANGSTROM = 0.1
"""One Angstrom, in nanometres."""

IDEAL = ((-0.525, 1.363, 0.0), (0.0, 0.0, 0.0), (1.526, 0.0, 0.0))
"""Positions of N, CA and C in their frame, in Angstrom."""

CARBONYL = 1.231
"""The length of C=O, in Angstrom."""

_LAST_PSI = math.radians(-40.0)


def frames_from_atoms(
    atoms: Float[Tensor, "*residues a 3"],
) -> tuple[Float[Tensor, "*residues 3"], Float[Tensor, "*residues 3 3"]]:
    """Return positions in nanometres and rotations of residues.

    Args:
        atoms: N, CA, C and any more, in Angstrom.

    Example:
        >>> position, rotation = frames_from_atoms(torch.tensor(IDEAL))
        >>> rotation.round(decimals=3)
        tensor([[1., 0., 0.],
                [0., 1., 0.],
                [0., 0., 1.]])
    """
    three = atoms[..., :3, :]
    middle = three.mean(-2, keepdim=True)
    n, ca, c = three.unbind(-2)
    first = _unit(c - ca)
    towards = n - ca
    second = _unit(towards - (towards * first).sum(-1, keepdim=True) * first)
    third = torch.linalg.cross(first, second)
    # All six points lie in one plane: the fit is a turn about its normal.
    ideal = atoms.new_tensor(IDEAL)
    centre = ideal.mean(0)
    x, y = ((three - middle) @ torch.stack([first, second], dim=-1)).unbind(-1)
    u, v, _ = (ideal - centre).unbind(-1)
    along, across = (u * x + v * y).sum(-1, keepdim=True), (u * y - v * x).sum(-1, keepdim=True)
    turned = _unit(along * first + across * second)
    rotation = torch.stack([turned, torch.linalg.cross(third, turned), third], dim=-1)
    return ANGSTROM * (middle[..., 0, :] - rotation @ centre), rotation


def atoms_from_frames(
    translation: Float[Tensor, "*b n 3"], rotation: Float[Tensor, "*b n 3 3"]
) -> Float[Tensor, "*b n 4 3"]:
    """Return N, CA, C and O in Angstrom, of the residues of a chain in order.

    Args:
        translation: Positions in nanometres.
        rotation: Rotations.
    """
    ideal = translation.new_tensor(IDEAL)
    three = (translation / ANGSTROM)[..., None, :] + torch.einsum(
        "...xy,ay->...ax", rotation, ideal
    )
    return with_oxygens(three, rotation)


def with_oxygens(
    three: Float[Tensor, "*b n 3 3"], rotation: Float[Tensor, "*b n 3 3"]
) -> Float[Tensor, "*b n 4 3"]:
    """Return N, CA, C and O in Angstrom.

    Args:
        three: N, CA and C of the residues of a chain in order.
        rotation: Rotations of their frames, of which that of the last is asked.
    """
    n, ca, c = three.unbind(-2)
    outward = _unit(_unit(c - ca)[..., :-1, :] + _unit(c[..., :-1, :] - n[..., 1:, :]))
    last = rotation[..., -1:, :, :] @ _last_direction(three)
    oxygen = c + CARBONYL * torch.cat([outward, last], dim=-2)
    return torch.stack([n, ca, c, oxygen], dim=-2)


def with_missing_oxygens(
    atoms: Float[Tensor, "*b n 4 3"], breaks: Bool[Tensor, "*b m"] | None = None
) -> Float[Tensor, "*b n 4 3"]:
    """Return N, CA, C and O in Angstrom, with an oxygen in each residue that has the others.

    Where the next residue has no N, or is beyond a break, it is where psi is -40 degrees.

    Args:
        atoms: N, CA, C and O of the residues of a chain in order; NaN where one is missing.
        breaks: Whether the chain is broken between a residue and the next; nowhere if None.
    """
    three, oxygen = atoms[..., :3, :], atoms[..., 3, :]
    _, rotation = frames_from_atoms(three)
    placed = with_oxygens(three, rotation)[..., 3, :]
    alone = three[..., 2, :] + CARBONYL * rotation @ _last_direction(three)
    last = placed.isnan()
    if breaks is not None:
        last[..., :-1, :] |= breaks[..., None]
    placed = torch.where(last, alone, placed)
    oxygen = torch.where(oxygen.isnan(), placed, oxygen)
    return torch.cat([three, oxygen[..., None, :]], dim=-2)


def _last_direction(like: Tensor) -> Tensor:
    """Return where the last oxygen is from C, in its frame: opposite to the next N, 120.4 degrees.

    The dihedral N-CA-C-O is psi + 180 degrees; N lies towards the second axis.
    """
    bend, turn = math.radians(180.0 - 120.4), _LAST_PSI + math.pi
    side = math.sin(bend)
    return like.new_tensor([math.cos(bend), side * math.cos(turn), side * math.sin(turn)])


def _unit(v: Tensor) -> Tensor:
    return v / v.norm(dim=-1, keepdim=True).clamp_min(1e-6)
