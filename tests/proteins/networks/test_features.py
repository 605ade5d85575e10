"""What a network sees: plain formulas pair by pair, and what no motion of the world changes."""

import math

import pytest
import torch
from torch.testing import assert_close

from feller.proteins.networks.features import (
    ATOMS,
    GEOMETRY,
    LINKS,
    RADIAL,
    RELATIVE,
    SURROUNDINGS,
    atom_distances,
    geometry,
    links,
    radial,
    relative_index,
    squared_distances,
    surroundings,
)
from feller.proteins.so3.rotations import exp
from feller.proteins.structure.frames import atoms_from_frames, frames_from_atoms


def frames(rng, b=2, n=6, dtype=torch.float64):
    place = torch.randn(b, n, 3, generator=rng, dtype=dtype)
    rotation = exp(2 * torch.randn(b, n, 3, generator=rng, dtype=dtype))
    return place - place.mean(1, keepdim=True), rotation


def test_geometry_is_the_plain_formula(rng):
    place, rotation = frames(rng)
    seen = geometry(place, rotation)
    assert seen.shape == (2, 6, 6, GEOMETRY)
    for i in range(6):
        for j in range(6):
            away = rotation[1, i].T @ (place[1, j] - place[1, i])
            unit = away / (away.square().sum() + 1e-4).sqrt()
            turned = (rotation[1, i].T @ rotation[1, j]).flatten()
            expected = torch.cat([unit, turned])
            assert_close(seen[1, i, j, RADIAL:], expected, rtol=0, atol=1e-12)
    bumps = radial(squared_distances(place))
    assert_close(seen[..., :RADIAL], bumps, rtol=0, atol=1e-12)


def test_distances_of_atoms_are_those_of_the_drawn_atoms(rng):
    place, rotation = frames(rng)
    index = torch.tensor([[0, 1, 2, 3, 4, 5], [10, 11, 12, 20, 21, 22]])
    seen = atom_distances(place, rotation, index)
    assert seen.shape == (2, 6, 6, ATOMS)
    n, ca, c, o = (0.1 * atoms_from_frames(place, rotation)).unbind(2)
    # The ideal CB of ProteinMPNN.
    to_ca, to_c = ca - n, c - ca
    out = torch.linalg.cross(to_ca, to_c)
    cb = ca - 0.58273431 * 10 * out + 0.56802827 * to_ca - 0.54067466 * to_c
    for b, last in ((0, {5}), (1, {2, 5})):
        for i in range(6):
            if i in last:  # no peptide
                o[b, i] = c[b, i] + 0.1231 * to_c[b, i] / to_c[b, i].norm()
        for i in range(6):
            for j in range(6):
                pairs = (cb[b, i], cb[b, j]), (o[b, i], n[b, j]), (n[b, i], o[b, j])
                expected = torch.cat([radial((one - two).square().sum()) for one, two in pairs])
                assert_close(seen[b, i, j], expected, rtol=0, atol=2e-4)


def test_bumps_stand_from_0_to_22_angstrom_and_widen():
    centres = 0.2 * torch.expm1(torch.linspace(0, math.log(1 + 11**2), RADIAL)).sqrt()
    seen = radial(centres.square())
    assert_close(seen.diagonal(), torch.ones(RADIAL))
    assert (seen.argmax(-1) == torch.arange(RADIAL)).all()
    assert_close(centres[-1], torch.tensor(2.2))
    assert (centres.diff()[3:] > centres.diff()[2:-1]).all()
    assert_close(radial(torch.tensor(100.0)), seen[-1])


def test_bumps_far_off_are_no_subnormal_numbers():
    """Processors take a hundred times as long over them."""
    seen = radial(torch.linspace(0, 9, 2_000).square())
    assert seen.min() >= torch.finfo(seen.dtype).tiny
    assert seen.min() < 1e-34


def test_the_index_counts_along_the_chain():
    ids = relative_index(torch.tensor([[5, 6, 7, 50, 51]]))[0]
    middle = RELATIVE // 4
    assert ids[0, :3].tolist() == [middle, middle + 1, middle + 2]
    assert ids[2, :3].tolist() == [middle - 2, middle - 1, middle]
    whole = RELATIVE // 2
    assert ids[0, 3] == ids[1, 4] == 2 * middle + whole
    assert ids[3, 2] == whole
    assert ids[3:, 3:].tolist() == [[middle, middle + 1], [middle - 1, middle]]


def test_the_index_sees_a_gap_of_one_in_one_residue_only():
    near, gap = relative_index(torch.tensor([[1, 2, 3, 4], [1, 2, 4, 5]]))
    assert (near[:2, :2] == gap[:2, :2]).all()
    assert (near[:2, 2:] != gap[:2, 2:]).all()


def test_the_index_fits_its_table():
    assert relative_index(torch.tensor([[0, 10_000]])).max() == RELATIVE - 1
    whole = relative_index(torch.arange(100)[None])
    assert whole.unique().equal(torch.arange(RELATIVE // 2))


def test_surroundings_are_the_plain_formula(rng):
    place, rotation = frames(rng)
    index = torch.tensor([[0, 1, 2, 3, 4, 5], [10, 11, 12, 20, 21, 22]])
    seen = surroundings(place, rotation, index)
    assert seen.shape == (2, 6, SURROUNDINGS)
    for b in range(2):
        for i in range(6):
            rows = torch.zeros(13, 9, dtype=torch.float64)
            for j in range(6):
                offset = j - i
                if abs(offset) > 4 or index[b, j] - index[b, i] != offset:
                    continue
                turned = rotation[b, i].T @ rotation[b, j]
                away = rotation[b, i].T @ (place[b, j] - place[b, i])
                entries = torch.cat([turned.flatten(), away, torch.ones(1)])
                rows[:, offset + 4] = entries
            origin = -rotation[b, i].T @ place[b, i]
            expected = torch.cat([rows.flatten(), origin])
            assert_close(seen[b, i], expected, rtol=0, atol=1e-12)


def test_links_are_the_plain_formula(rng):
    place, rotation = frames(rng)
    index = torch.tensor([[0, 1, 2, 3, 4, 5], [10, 11, 12, 20, 21, 22]])
    seen = links(place, rotation, index)
    assert seen.shape == (2, 6, LINKS)
    n, ca, c, _ = (0.1 * atoms_from_frames(place, rotation)).unbind(2)
    for b in range(2):
        for i in range(6):
            expected = torch.zeros(2, LINKS // 2, dtype=torch.float64)
            for side, (j, k) in enumerate(((i - 1, i), (i, i + 1))):
                if j < 0 or k > 5 or index[b, k] - index[b, j] != 1:
                    continue
                spans = n[b, k] - c[b, j], n[b, k] - ca[b, j], ca[b, k] - c[b, j]
                spans = [*spans, ca[b, k] - ca[b, j]]
                ideal = (0.1329, 0.2425, 0.2431, 0.3802)
                strain = [float(s.norm()) - x for s, x in zip(spans, ideal, strict=True)]
                bond = rotation[b, i].T @ spans[0] * strain[0] / spans[0].norm()
                expected[side] = torch.asinh(torch.tensor([*strain, *bond]) / 0.01) / 5
            assert_close(seen[b, i], expected.flatten(), rtol=0, atol=1e-6)


def test_a_chain_with_ideal_bonds_is_not_strained():
    """A peptide in its plane: its four lengths are those of the trans peptides of native chains."""
    angle, bend = math.radians(180 - 116.6), math.radians(180 - 121.7)
    forward = lambda a: torch.tensor([math.cos(a), math.sin(a), 0.0])  # noqa: E731
    ca = torch.zeros(3)
    c = ca + 1.525 * forward(0.0)
    n = c + 1.329 * forward(angle)
    ca_next = n + 1.459 * forward(angle - bend)
    inward = math.radians(180 - 111.0)
    c_next = ca_next + 1.525 * forward(angle - bend + inward)
    n_first = ca + 1.459 * forward(math.pi - inward)
    atoms = torch.stack([torch.stack([n_first, ca, c]), torch.stack([n, ca_next, c_next])])
    seen = links(*frames_from_atoms(atoms[None]), torch.arange(2)[None])
    assert seen.abs().max() < 0.08  # 0.004 nm


def test_no_motion_of_the_world_changes_what_is_seen(rng):
    place, rotation = frames(rng)
    turn = exp(torch.randn(3, generator=rng, dtype=torch.float64))
    moved = place @ turn.T, turn @ rotation
    index = torch.arange(6).expand(2, 6)
    assert_close(geometry(*moved), geometry(place, rotation), rtol=0, atol=1e-12)
    for see in (surroundings, links, atom_distances):
        assert_close(see(place, rotation, index), see(*moved, index), rtol=0, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_slopes_are_finite_where_positions_coincide(dtype, rng):
    place, rotation = frames(rng, dtype=dtype)
    place[:, 1] = place[:, 0]
    place, rotation = place.requires_grad_(), rotation.requires_grad_()
    index = torch.arange(6).expand(2, 6)
    total = geometry(place, rotation).square().sum()
    for see in (surroundings, links, atom_distances):
        total = total + see(place, rotation, index).square().sum()
    (total + radial(squared_distances(place)).sum()).backward()
    assert place.grad.isfinite().all()
    assert place.grad.abs().max() < 1e3
    assert rotation.grad.isfinite().all()


def test_slopes_are_right(rng):
    place, rotation = frames(rng, b=1, n=3)
    inputs = place.requires_grad_(), rotation.requires_grad_()
    assert torch.autograd.gradcheck(geometry, inputs)
    index = torch.arange(3)[None]
    assert torch.autograd.gradcheck(lambda *x: surroundings(*x, index), inputs)
    assert torch.autograd.gradcheck(lambda *x: atom_distances(*x, index), inputs)
