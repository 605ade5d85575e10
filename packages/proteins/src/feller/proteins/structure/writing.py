"""Chains into files: PDB, mmCIF, BinaryCIF and FASTA.

A file holds one chain, under its letter; A where it has none, and in PDB files, which have one
column for it, where it has several characters. Residue 20, which is unknown or not decided yet, is
`UNK` in structures and `X` in sequences: it comes back as unknown, and is never taken for a
glycine. Atoms whose position is not known are left out. Residues that share a number have the
insertion codes that they were read with, or get some: 52, 52A, 52B. mmCIF and BinaryCIF hold 3
decimals, as PDB does.

A file is written beside its target, then moved there: readers see the old or the new one.
"""

import os
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Integer

from feller.proteins.structure.chain import ATOMS, LETTERS, UNKNOWN, Chain

__all__ = [
    "FORMATS",
    "file_stem",
    "file_stems",
    "replacing",
    "write_chains",
    "write_fasta",
    "write_trajectory",
]

FORMATS = ("pdb", "cif", "bcif")
"""Formats of structures; also the suffixes of their files."""

COLUMNS, LONGEST_STEM = 80, 120


def write_chains(
    chains: Sequence[Chain],
    target: Path,
    format: str | None = None,
    b_factors: Sequence[Float[np.ndarray, " n"]] | None = None,
) -> list[Path]:
    """Write structures, one file a chain, and return the files.

    Args:
        chains: The chains.
        target: A folder, made where it is missing; files are named after their chains, and replace
            those of the same name. For one chain also a file, `.pdb`, `.cif` or `.bcif`.
        format: `pdb` (the default), `cif` or `bcif`; a file says it by its suffix.
        b_factors: For each chain a number for each residue, written as the B factor of its atoms.

    Raises:
        ValueError: When the format is unknown, chains share a name, or a chain does not fit the
            format; nothing is written then.

    Example:
        >>> import tempfile
        >>> atoms = np.arange(12, dtype=np.float32).reshape(1, 4, 3)
        >>> chain = Chain("a", atoms, np.array([0], np.uint8), np.array([1], np.int32))
        >>> (file,) = write_chains([chain], Path(tempfile.mkdtemp()))
        >>> print(file.name, file.read_text().splitlines()[1][:54])
        a.pdb ATOM      1  N   ALA A   1       0.000   1.000   2.000
    """
    files = _targets(chains, target, format)
    each = [None] * len(chains) if b_factors is None else b_factors
    triples = zip(chains, files, each, strict=True)
    arrays = [_array(chain, file.suffix, b) for chain, file, b in triples]
    for chain, array, file in zip(chains, arrays, files, strict=True):
        _check(chain.name, array, file)
    for file, array in zip(files, arrays, strict=True):
        _write_array(array, file)
    return files


def write_fasta(chains: Sequence[Chain], path: Path) -> None:
    r"""Write sequences, 80 letters a line.

    Example:
        >>> import tempfile
        >>> atoms, residues = np.zeros((3, 4, 3), np.float32), np.array([0, 20, 19], np.uint8)
        >>> file = Path(tempfile.mkdtemp()) / "a.fasta"
        >>> write_fasta([Chain("a", atoms, residues, np.arange(3, dtype=np.int32))], file)
        >>> file.read_text()
        '>a\nAXY\n'
    """
    with replacing(path) as part, part.open("w", encoding="utf-8", newline="\n") as out:
        for chain in chains:
            out.write(f">{' '.join(chain.name.split())}\n")
            letters = chain.sequence
            for i in range(0, len(letters), COLUMNS):
                out.write(letters[i : i + COLUMNS] + "\n")


def write_trajectory(
    frames: Sequence[Float[np.ndarray, "n 4 3"]] | Float[np.ndarray, "t n 4 3"],
    residues: Integer[np.ndarray, " n"],
    path: Path,
) -> None:
    """Write the frames of one chain as the models of one file.

    Args:
        frames: N, CA, C and O in Angstrom; an atom is known in every frame or in none.
        residues: Ids 0 to 20, numbered from 1 in the file.
        path: A `.pdb`, `.cif` or `.bcif`.

    Raises:
        ValueError: When there are no frames, an atom comes or goes, or a frame has other residues.
    """
    import biotite.structure as struc

    if path.suffix[1:] not in FORMATS:
        raise ValueError(f"a trajectory is one .{', .'.join(FORMATS)} file, not {path.name}")
    if len(frames) == 0:
        raise ValueError(f"{path.name}: a trajectory has at least one frame")
    if any(len(frame) != len(residues) for frame in frames):
        raise ValueError(f"{path.name}: a frame has an entry for each of {len(residues)} residues")
    positions = np.stack([np.asarray(frame, dtype=np.float32) for frame in frames])
    known = _known(positions)
    if (known != known[0]).any():
        raise ValueError(f"{path.name}: an atom is missing from some frames and not from others")
    numbers = np.arange(1, len(residues) + 1, dtype=np.int32)
    chain = Chain(path.stem, positions[0], np.asarray(residues, dtype=np.uint8), numbers)
    stack = struc.from_template(_array(chain, path.suffix), positions[:, known[0]].round(3))
    _check(path.name, stack, path)
    _write_array(stack, path)


def file_stem(name: str) -> str:
    """Return the name of a chain as it can stand in the name of a file.

    Example:
        >>> file_stem("1abc A/2")
        '1abc-A-2'
    """
    # File systems hold 255 bytes of a name, some of which suffixes take.
    return re.sub(r"[^\w.-]+", "-", name).strip(".")[:LONGEST_STEM] or "chain"


def file_stems(names: Sequence[str], longest: int = LONGEST_STEM) -> list[str]:
    """Return a stem for each name, no two of which are one file where names have no case.

    Raises:
        ValueError: When two of the stems are the same.

    Example:
        >>> file_stems(["1abc_A", "1abc_a"])
        ['1abc_A', '1abc_a-2']
    """
    stems = [file_stem(name)[:longest] for name in names]
    for stem, times in Counter(stems).items():
        if times > 1:
            raise ValueError(f"{times} chains are called {stem}: each needs its own name")
    wanted, taken = {_caseless(stem) for stem in stems}, set[str]()
    for i, stem in enumerate(stems):
        k, found = 2, stem
        while _caseless(found) in taken or (found != stem and _caseless(found) in wanted):
            found, k = f"{stem[: longest - 6]}-{k}", k + 1
        taken.add(_caseless(found))
        stems[i] = found
    return stems


def _caseless(stem: str) -> str:
    """Return what two names share that are one file on some system."""
    return unicodedata.normalize("NFC", stem.casefold())


def _targets(chains: Sequence[Chain], target: Path, format: str | None) -> list[Path]:
    """Return where the chains go."""
    if format not in (None, *FORMATS):
        raise ValueError(f"format is {', '.join(FORMATS[:-1])} or {FORMATS[-1]}, not {format}")
    if target.suffix[1:] not in FORMATS or target.is_dir():
        return _named(chains, target, format or "pdb")
    if format not in (None, target.suffix[1:]):
        raise ValueError(f"{target.name} does not fit format {format}: end it in .{format}")
    if len(chains) != 1:
        raise ValueError(f"{target.name} holds one chain, not {len(chains)}: name a folder")
    return [target]


def _named(chains: Sequence[Chain], folder: Path, format: str) -> list[Path]:
    """Return a file in a folder for each chain, named after it."""
    return [folder / f"{stem}.{format}" for stem in file_stems([chain.name for chain in chains])]


def _known(atoms: np.ndarray) -> np.ndarray:
    return np.asarray(~np.isnan(atoms).any(-1))


def _array(chain: Chain, suffix: str, b_factors: np.ndarray | None = None) -> Any:
    """Return a chain as the `AtomArray` of biotite for a file of some suffix."""
    import biotite.structure as struc
    from biotite.sequence import ProteinSequence

    if (chain.residues > UNKNOWN).any():
        raise ValueError(f"{chain.name}: residues are 0 to {UNKNOWN}, not {chain.residues.max()}")
    if b_factors is not None and len(b_factors) != len(chain.residues):
        counts = f"{len(b_factors)} B factors for {len(chain.residues)} residues"
        raise ValueError(f"{chain.name}: {counts}: give one for each")
    known = _known(chain.atoms)
    residue, atom = np.nonzero(known)
    names = np.array([*map(ProteinSequence.convert_letter_1to3, LETTERS), "UNK"])
    array = struc.AtomArray(len(residue))
    array.coord = chain.atoms[known].round(3)
    fits = suffix != ".pdb" or len(chain.letter) == 1
    array.chain_id = np.full(len(residue), chain.letter if chain.letter and fits else "A")
    array.res_id = chain.index[residue]
    array.ins_code = np.array(chain.insertion_codes)[residue]
    array.res_name = names[chain.residues][residue]
    array.atom_name = np.array(ATOMS)[atom]
    array.element = np.array([name[0] for name in ATOMS])[atom]
    array.set_annotation("occupancy", np.ones(len(residue)))
    values = np.zeros(len(chain.residues)) if b_factors is None else np.asarray(b_factors)
    array.set_annotation("b_factor", values[residue].astype(float).round(2))
    return array


def _check(name: str, array: Any, file: Path) -> None:
    """Reject a chain that would be written wrong."""
    if array.array_length() == 0:
        raise ValueError(f"{name}: there is no atom to write")
    if not np.isfinite(array.coord).all() or not np.isfinite(array.b_factor).all():
        raise ValueError(f"{name}: a position or B factor is infinite or not a number")
    limits = (
        ("a residue number", array.res_id, -999, 9999),
        ("a coordinate", array.coord, -999.999, 9999.999),
        ("a B factor", array.b_factor, -99.99, 999.99),
    )
    for what, values, low, high in limits if file.suffix == ".pdb" else ():
        if values.min() < low or values.max() > high:
            raise ValueError(f"{name}: {what} is outside of {low} to {high}: write cif or bcif")


def _write_array(array: Any, file: Path) -> None:
    write: dict[str, Callable[[Any, Path, str], None]] = {
        ".pdb": _write_pdb,
        ".cif": _write_cif,
        ".bcif": _write_bcif,
    }
    with replacing(file) as part:
        write[file.suffix](array, part, file.stem)


def _write_pdb(array: Any, file: Path, name: str) -> None:
    from biotite.structure.io.pdb import PDBFile

    pdb = PDBFile()
    pdb.set_structure(array)
    last = array.array_length() - 1
    number = f"{array.chain_id[last]}{array.res_id[last]:>4}{array.ins_code[last]:1}"
    serial = (last + 1) % 99999 + 1
    end = f"TER   {serial:>5}      {array.res_name[last]:>3} {number}".ljust(80)
    # mkdssp 4 takes a file whose first letter is no H for mmCIF. XXXX is the id of no PDB entry.
    lines = ["HEADER    PROTEIN MODEL".ljust(62) + "XXXX".ljust(18)]
    for line in pdb.lines:
        lines.extend([end, line] if line.startswith("ENDMDL") else [line])
    lines.extend([] if lines[-1].startswith("ENDMDL") else [end])
    file.write_text("\n".join([*lines, "END".ljust(80), ""]), encoding="ascii", newline="\n")


def _write_cif(array: Any, file: Path, name: str) -> None:
    from biotite.structure.io import pdbx

    cif = pdbx.CIFFile()
    pdbx.set_structure(cif, array, data_block=name)
    cif.write(file)


def _write_bcif(array: Any, file: Path, name: str) -> None:
    from biotite.structure.io import pdbx

    cif = pdbx.BinaryCIFFile()
    pdbx.set_structure(cif, array, data_block=name)
    small: Any = pdbx.compress(cif)
    small.write(file)


@contextmanager
def replacing(file: Path) -> Iterator[Path]:
    """Give a file to write beside another, which it replaces in one move at the end."""
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(f".{file.name}.partial")
    try:
        yield part
        os.replace(part, file)  # noqa: PTH105  (atomic, the point of it)
    finally:
        part.unlink(missing_ok=True)
