import math

import pytest
import torch
from torch.testing import assert_close

from feller.proteins.so3.rotations import exp
from feller.proteins.structure.frames import (
    IDEAL,
    atoms_from_frames,
    frames_from_atoms,
    with_missing_oxygens,
)


def frames(n=6, dtype=torch.float64):
    rng = torch.Generator().manual_seed(1)
    place = torch.randn(2, n, 3, generator=rng, dtype=dtype)
    return place, exp(torch.randn(2, n, 3, generator=rng, dtype=dtype))


def dihedral(a, b, c, d):
    axis = (c - b) / (c - b).norm()
    u, v = a - b, d - c
    u, v = u - (u @ axis) * axis, v - (v @ axis) * axis
    return math.degrees(math.atan2(torch.linalg.cross(axis, u) @ v, u @ v))


def test_frames_of_their_atoms_come_back():
    place, rotation = frames()
    back = frames_from_atoms(atoms_from_frames(place, rotation))
    torch.testing.assert_close(back, (place, rotation), rtol=0, atol=1e-12)


def test_frames_are_the_least_squares_fit_of_the_ideal_residue():
    """The singular value decomposition of the covariance, Kabsch 1976, finds the same."""
    rng = torch.Generator().manual_seed(2)
    place, rotation = frames(40)
    atoms = atoms_from_frames(place, rotation)[..., :3, :]
    atoms = atoms + 0.3 * torch.randn(atoms.shape, generator=rng, dtype=atoms.dtype)
    found, turned = frames_from_atoms(atoms)
    ideal = torch.tensor(IDEAL).double()
    middle, centre = atoms.mean(2, keepdim=True), ideal.mean(0)
    u, _, v = torch.linalg.svd((atoms - middle).mT @ (ideal - centre))
    sign = torch.ones(2, 40, 1, 3).double()
    sign[..., 2] = torch.linalg.det(u @ v)[..., None]
    best = (u * sign) @ v
    torch.testing.assert_close(turned, best, rtol=0, atol=1e-6)
    expected = (middle[..., 0, :] - best @ centre) / 10
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)


def test_frames_are_rotations_of_the_right_hand():
    atoms = torch.randn(4, 9, 4, 3, generator=torch.Generator().manual_seed(0)).double()
    _, rotation = frames_from_atoms(atoms)
    torch.testing.assert_close(rotation.mT @ rotation, torch.eye(3).double().expand(4, 9, 3, 3))
    torch.testing.assert_close(torch.linalg.det(rotation), torch.ones(4, 9).double())


def test_units():
    atoms = atoms_from_frames(torch.tensor([[1.0, 0.0, 0.0]]), torch.eye(3)[None])
    assert atoms[0, 1].tolist() == [10.0, 0.0, 0.0]  # one nanometre
    assert (atoms[0, :3] - atoms[0, 1]).flatten().tolist() == pytest.approx(sum(IDEAL, ()))


def test_a_motion_of_the_world_moves_the_atoms():
    place, rotation = frames()
    turn, shift = (
        exp(torch.tensor([0.3, -1.2, 0.7]).double()),
        torch.tensor([1.0, 2.0, 3.0]).double(),
    )
    moved = atoms_from_frames(place @ turn.T + shift, turn @ rotation)
    expected = atoms_from_frames(place, rotation) @ turn.T + 10 * shift
    torch.testing.assert_close(moved, expected)


def test_the_oxygen_is_in_the_plane_of_the_peptide_and_the_last_has_psi_minus_40():
    place, rotation = frames()
    atoms = atoms_from_frames(place, rotation)[0]
    _, ca, c, o = atoms.unbind(1)
    torch.testing.assert_close((o - c).norm(dim=-1), torch.full((6,), 1.231).double())
    for i in range(5):
        plane = torch.linalg.cross(ca[i] - c[i], atoms[i + 1, 0] - c[i])
        assert abs(float(plane @ (o[i] - c[i]))) < 1e-9 * float(plane.norm())
    last = dihedral(*atoms[-1])
    assert last == pytest.approx(140.0, abs=1e-6)  # psi + 180


def test_oxygens_that_are_missing_are_placed_and_no_others(rng):
    atoms = atoms_from_frames(
        torch.randn(6, 3, generator=rng), exp(torch.randn(6, 3, generator=rng))
    )
    given = atoms.clone()
    given[0, 3] += 1
    given[[2, 5], 3] = torch.nan
    given[4, 0] = torch.nan
    filled = with_missing_oxygens(given)
    assert_close(filled[0], given[0])
    assert_close(filled[[2, 5]], atoms[[2, 5]], atol=1e-3, rtol=0)
    given[3, 3] = torch.nan  # its next residue has no N
    alone = with_missing_oxygens(given)[3]
    assert_close((alone[3] - alone[2]).norm(), torch.tensor(1.231), atol=1e-3, rtol=0)


def test_the_oxygen_before_a_break_does_not_see_what_follows_it(rng):
    """It was placed by the N beyond, at any angle from C."""
    atoms = atoms_from_frames(
        torch.randn(6, 3, generator=rng), exp(torch.randn(6, 3, generator=rng))
    )
    atoms[:, 3] = torch.nan
    breaks = torch.tensor([False, False, True, False, False])
    filled = with_missing_oxygens(atoms, breaks)
    parts = [with_missing_oxygens(part) for part in (atoms[:3], atoms[3:])]
    assert torch.equal(filled, torch.cat(parts))
    assert not torch.equal(filled[2], with_missing_oxygens(atoms)[2])
