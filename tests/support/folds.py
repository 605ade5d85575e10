"""Backbones made of their angles, for tests of what measures them."""

import math

import numpy as np

from feller.proteins.structure.chain import Chain

LENGTHS = {"N-CA": 1.46, "CA-C": 1.525, "C-N": 1.33}
ANGLES = {"N-CA-C": 111.0, "CA-C-N": 116.6, "C-N-CA": 121.5}
HELIX, STRAND = (-57.0, -47.0), (-120.0, 130.0)


def place(a, b, c, length, angle, turn):
    """The atom after a, b, c (NeRF: Parsons et al., J. Comput. Chem. 26, 2005)."""
    angle, turn = math.radians(angle), math.radians(turn)
    forth = unit(c - b)
    side = unit(cross(b - a, forth))
    up = cross(side, forth)
    x, y, z = -math.cos(angle), math.sin(angle) * math.cos(turn), math.sin(angle) * math.sin(turn)
    return c + length * (x * forth + y * up + z * side)


def cross(a, b):
    """The cross product of two vectors; numpy's own is slow for so few."""
    (p, q, r), (x, y, z) = a.tolist(), b.tolist()
    return np.array([q * z - r * y, r * x - p * z, p * y - q * x])


def unit(a):
    """The vector at length 1."""
    return a / math.hypot(*a.tolist())


def backbone(phi, psi, omega=None, *, lengths=LENGTHS, angles=ANGLES):
    """N, CA, C and O of residues with these angles in degrees."""
    n = len(phi)
    omega = [180.0] * n if omega is None else omega
    atoms = np.zeros((n, 4, 3))
    atoms[0, 1, 0] = lengths["N-CA"]
    bend = math.radians(180 - angles["N-CA-C"])
    step = np.array([math.cos(bend), math.sin(bend), 0.0])
    atoms[0, 2] = atoms[0, 1] + lengths["CA-C"] * step
    for i in range(n - 1):
        at, to = atoms[i], atoms[i + 1]
        to[0] = place(*at[:3], lengths["C-N"], angles["CA-C-N"], psi[i])
        to[1] = place(*at[1:3], to[0], lengths["N-CA"], angles["C-N-CA"], omega[i])
        to[2] = place(at[2], *to[:2], lengths["CA-C"], angles["N-CA-C"], phi[i + 1])
    for i in range(n):
        atoms[i, 3] = place(*atoms[i, :3], 1.231, 120.4, psi[i] + 180)
    return atoms


def chain_of(atoms, *, name="x", index=None, residues=None):
    """A chain of unknown residues with these atoms."""
    n = len(atoms)
    index = np.arange(1, n + 1) if index is None else np.asarray(index)
    residues = np.full(n, 20) if residues is None else residues
    return Chain(
        name, np.asarray(atoms, np.float32), residues.astype(np.uint8), index.astype(np.int32)
    )


def regular(n, turns=HELIX, **kwargs):
    """A chain in which every residue has the same phi and psi."""
    phi, psi = turns
    return chain_of(backbone([phi] * n, [psi] * n, **kwargs))


def wiggly(n, seed=0, turns=HELIX, spread=20.0):
    """A chain whose phi and psi scatter about some."""
    rng = np.random.default_rng(seed)
    phi, psi = (a + spread * rng.standard_normal(n) for a in turns)
    return chain_of(backbone(phi, psi), name=f"x{seed}")


def mixed(n, seed=0):
    """A chain of helices and strands of chance lengths, with loops between."""
    rng = np.random.default_rng(seed)
    angles = []
    while len(angles) < n:
        kind = (HELIX, STRAND)[rng.integers(2)]
        angles += [kind] * int(rng.integers(5, 14))
        angles += [tuple(rng.uniform(-150, -40, 2)) for _ in range(int(rng.integers(2, 5)))]
    scatter = 8 * rng.standard_normal((n, 2))
    phi, psi = (np.array(angles[:n]) + scatter).T
    return chain_of(backbone(phi, psi), name=f"mixed{seed}")


def mirrored(one):
    """Its mirror image."""
    return chain_of(one.atoms * np.array([1, 1, -1]), name=one.name, index=one.index)
