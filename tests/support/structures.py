"""Structures made by formula, and their files, for tests of what reads them."""

import gzip
import io

import numpy as np
from biotite.structure import AtomArray, stack
from biotite.structure.io.pdb import PDBFile
from biotite.structure.io.pdbx import BinaryCIFFile, CIFFile, set_structure

from feller.proteins.structure.amino_acids import CANONICAL
from feller.proteins.structure.atom_table import chains_of
from feller.proteins.structure.chain import ATOMS, LETTERS, Chain
from feller.proteins.structure.cif import columns_of_cif


def chain(n=60, *, name="x", seed=0, first=1):
    """A helix of residues drawn by chance, its atoms moved a little, on a grid of 0.01 Angstrom."""
    rng = np.random.default_rng(seed)
    angle = np.radians(100.0) * np.arange(n)
    ca = np.stack([2.3 * np.cos(angle), 2.3 * np.sin(angle), 1.5 * np.arange(n)], axis=-1)
    offsets = np.array([[-0.6, 0.9, -0.9], [0.0, 0.0, 0.0], [0.7, 0.9, 1.0], [0.9, 2.0, 0.7]])
    atoms = ca[:, None] + offsets + 0.02 * rng.standard_normal((n, 4, 3))
    residues = rng.integers(len(LETTERS), size=n).astype(np.uint8)
    index = np.arange(first, first + n, dtype=np.int32)
    return Chain(name, atoms.round(2).astype(np.float32), residues, index)


def atom_array(chains):
    """Biotite's array of chains by their label; NaN atoms are left out."""
    rows = [
        (label, c.index[i], CANONICAL[c.residues[i]], atom, c.atoms[i, k])
        for label, c in chains.items()
        for i in range(len(c))
        for k, atom in enumerate(ATOMS)
        if not np.isnan(c.atoms[i, k]).any()
    ]
    array = AtomArray(len(rows))
    array.coord = np.array([row[4] for row in rows], dtype=np.float32)
    array.chain_id = np.array([row[0] for row in rows], dtype="U4")
    array.res_id = np.array([row[1] for row in rows])
    array.res_name = np.array([row[2] for row in rows], dtype="U5")
    array.atom_name = np.array([row[3] for row in rows], dtype="U6")
    array.element = np.array([row[3][0] for row in rows], dtype="U2")
    return array


def write(array, file):
    """Write an array, or models, in the format that the file's name says."""
    plain = file.name.removesuffix(".gz")
    target = file.with_name(plain)
    if plain.endswith((".pdb", ".ent")):
        made = PDBFile()
        made.set_structure(array)
    else:
        made = BinaryCIFFile() if plain.endswith(".bcif") else CIFFile()
        set_structure(made, array)
    made.write(str(target))
    if file != target:
        file.write_bytes(gzip.compress(target.read_bytes()))
        target.unlink()
    return file


def binary(array, *, change=lambda table: None):
    """Write, change the table of atoms, and read."""
    file = BinaryCIFFile()
    set_structure(file, array, extra_fields=[])
    change(file.block["atom_site"])
    stream = io.BytesIO()
    file.write(stream)
    stream.seek(0)
    (columns,) = columns_of_cif(BinaryCIFFile.read(stream)).values()
    return chains_of(columns, "x")


def text_cif(array, *, change):
    """The same by way of text, where what is not told is a `?` or a `.`."""
    file = CIFFile()
    set_structure(file, array, extra_fields=[])
    change(file.block["atom_site"])
    (columns,) = columns_of_cif(CIFFile.deserialize(file.serialize())).values()
    return chains_of(columns, "x")


def models(*arrays):
    """Biotite's stack of models."""
    return stack(list(arrays))


def folder_of_chains(folder, chains, suffix=".bcif"):
    """A folder with a file for each chain, named after it."""
    folder.mkdir(parents=True, exist_ok=True)
    for one in chains:
        write(atom_array({"A": one}), folder / f"{one.name}{suffix}")
    return folder


def same(found, expected):
    """Say whether two chains hold the same, up to what 3 decimals keep."""
    return (
        found.sequence == expected.sequence
        and found.index.tolist() == expected.index.tolist()
        and np.allclose(found.atoms, expected.atoms, atol=1e-3, equal_nan=True)
    )
