r"""Frames: a residue's backbone as a place and a rotation.

The frame of a residue stands at CA; its first axis points to C, its second towards N, at a right
angle to the first, and the third is their cross product. In it N, CA and C have the ideal places of
`IDEAL`; what real residues differ by is 0.03 to 0.05 Angstrom, and is lost.

The oxygen lies in the plane of CA, C and the next N, 1.231 Angstrom from C, between the continued
CA-C and N-C bonds; that of the last residue is where psi is -40 degrees.

States are in nanometres, atoms in Angstrom. Source: Jumper et al., Nature 2021, supplement, table 2
and algorithm 21 (frames) and 24 (the oxygen).
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor

__all__ = ["ANGSTROM", "IDEAL", "atoms_from_frames", "frames_from_atoms"]

ANGSTROM = 0.1
"""One Angstrom, in nanometres."""

IDEAL = ((-0.525, 1.363, 0.0), (0.0, 0.0, 0.0), (1.526, 0.0, 0.0))
"""Places of N, CA and C in their frame, in Angstrom."""

_CARBONYL = 1.231
_LAST_PSI = math.radians(-40.0)


def frames_from_atoms(
    atoms: Float[Tensor, "*residues a 3"],
) -> tuple[Float[Tensor, "*residues 3"], Float[Tensor, "*residues 3 3"]]:
    """Return places in nanometres and rotations of residues.

    Args:
        atoms: N, CA, C and any more, in Angstrom.

    Example:
        >>> place, rotation = frames_from_atoms(torch.tensor(IDEAL))
        >>> rotation.round(decimals=3)
        tensor([[1., 0., 0.],
                [0., 1., 0.],
                [0., 0., 1.]])
    """
    n, ca, c = atoms[..., 0, :], atoms[..., 1, :], atoms[..., 2, :]
    first = _unit(c - ca)
    towards = n - ca
    second = _unit(towards - (towards * first).sum(-1, keepdim=True) * first)
    third = torch.linalg.cross(first, second)
    return ANGSTROM * ca, torch.stack([first, second, third], dim=-1)


def atoms_from_frames(
    translation: Float[Tensor, "*b n 3"], rotation: Float[Tensor, "*b n 3 3"]
) -> Float[Tensor, "*b n 4 3"]:
    """Return N, CA, C and O in Angstrom, of the residues of a chain in order.

    Args:
        translation: Places in nanometres.
        rotation: Rotations.
    """
    ideal = translation.new_tensor(IDEAL)
    three = (translation / ANGSTROM)[..., None, :] + torch.einsum(
        "...xy,ay->...ax", rotation, ideal
    )
    n, ca, c = three.unbind(-2)
    outward = _unit(_unit(c - ca)[..., :-1, :] + _unit(c[..., :-1, :] - n[..., 1:, :]))
    last = rotation[..., -1:, :, :] @ _last_direction(translation)
    oxygen = c + _CARBONYL * torch.cat([outward, last], dim=-2)
    return torch.stack([n, ca, c, oxygen], dim=-2)


def _last_direction(like: Tensor) -> Tensor:
    """Return where the last oxygen is from C, in its frame: opposite to the next N, 120.4 degrees.

    The dihedral N-CA-C-O is psi + 180 degrees; N lies towards the second axis.
    """
    bend, turn = math.radians(180.0 - 120.4), _LAST_PSI + math.pi
    side = math.sin(bend)
    return like.new_tensor([math.cos(bend), side * math.cos(turn), side * math.sin(turn)])


def _unit(v: Tensor) -> Tensor:
    return v / v.norm(dim=-1, keepdim=True).clamp_min(1e-6)
