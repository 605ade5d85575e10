"""Reading backbones out of PDB files: a folder of helices, written for the purpose."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from peers.job import Job

from feller.proteins.structure.chain import Chain, codes_of
from feller.proteins.structure.reading import read_chains
from feller.proteins.structure.writing import write_chains

__all__ = ["biopython", "biotite"]

FILES, RESIDUES = 8, 200


def folder() -> tuple[tempfile.TemporaryDirectory, list[Path]]:
    """Write the files, of random walks with the steps of a chain."""
    made = tempfile.TemporaryDirectory()
    rng = np.random.default_rng(0)
    steps = rng.normal(size=(FILES, RESIDUES, 1, 3))
    steps *= 3.8 / np.linalg.norm(steps, axis=-1, keepdims=True)
    atoms = steps.cumsum(1) + rng.normal(size=(1, 1, 4, 3))
    index, residues = np.arange(RESIDUES, dtype=np.int32), codes_of("A" * RESIDUES)
    chains = [Chain(f"a{i}", a.astype(np.float32), residues, index) for i, a in enumerate(atoms)]
    return made, write_chains(chains, Path(made.name))


def job(package: str, peer: str, files: list[Path], kept: object, read: object) -> Job:
    return Job(
        part="Structure reading",
        name=f"backbones of {FILES} PDB files of {RESIDUES} residues",
        package=package,
        peer=peer,
        ours=lambda: [chain.atoms for chain in read_chains(Path(kept.name))],
        theirs=lambda: [read(file) for file in files],
        rounds=5,
    )


def biotite() -> Iterator[Job]:
    from biotite.structure.io.pdb import PDBFile

    kept, files = folder()

    def read(file: Path) -> object:
        return PDBFile.read(file).get_structure(model=1).coord

    yield job("biotite", "PDBFile.get_structure", files, kept, read)


def biopython() -> Iterator[Job]:
    from Bio.PDB import PDBParser

    kept, files = folder()
    parser = PDBParser(QUIET=True)

    def read(file: Path) -> object:
        atoms = parser.get_structure("a", file).get_atoms()
        return np.array([atom.coord for atom in atoms])

    yield job("biopython", "PDBParser", files, kept, read)
