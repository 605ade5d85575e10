"""The records of a PDB file that a backbone takes, and the chains they are of.

A chain is known by its letter. Where letters are blank it is known by what stands for them: the
segment (columns 73 to 76, as CHARMM writes it), the records that end chains (TER), and numbers of
residues that begin again. Where one letter has a residue number twice, in two segments or before
and after a TER, it is of several chains, and those are separated in the same way; other
alternatives of a residue may come later.
"""

import math
import string
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain, islice, pairwise, product
from types import MappingProxyType

from feller.proteins.structure.amino_acids import CANONICAL
from feller.proteins.structure.chain import ATOMS

__all__ = ["SLOTS", "SPARE", "check_whole", "models_of_pdb", "records_of_pdb"]

SPARE = len(ATOMS)
"""The slot of the second oxygen of a terminus, which is its O where there is no other."""

SLOTS: Mapping[str, int] = MappingProxyType(
    {name: slot for slot, name in enumerate(ATOMS)}
    | dict.fromkeys(("OT1", "OC1", "OT"), ATOMS.index("O"))
    | dict.fromkeys(("OXT", "OT2", "OC2"), SPARE)
)
"""Names of atoms; simulations have names of their own for the oxygens of a terminus."""

_RECORDS = ("ATOM  ", "HETATM")
_OTHERS = "-"
"""The name of what has no letter and no CA, such as water."""
_PLACE = 54
"""Columns of a record up to the end of its position."""


@dataclass(frozen=True)
class _Piece:
    """What distinguishes a chain where letters do not."""

    letter: str
    segment: str
    ended: int
    restarted: int


def check_whole(text: str) -> None:
    """Reject a file that was cut off.

    Raises:
        ValueError: When a record of an atom ends before its position does, when the last line is a
            part of one, or when a file with SEQRES has nothing that ends its chains.
    """
    lines = text.splitlines()
    for number, line in enumerate(lines, 1):
        if line[:6] in _RECORDS and len(line.rstrip()) < _PLACE:
            raise ValueError(
                f"line {number} ends in the middle of an atom's record: is it cut off?"
            )
    atoms = [line for line in lines if line[:6] in _RECORDS]
    if not atoms:
        return
    last = lines[-1]
    if not text.endswith(("\n", "\r")):
        part = last.strip() and any(
            record.startswith(last.strip()) for record in ("ATOM", "HETATM")
        )
        if part or (last is atoms[-1] and len(last) < min(map(len, atoms[:-1]), default=0)):
            raise ValueError("its last line is a part of an atom's record: it was cut off")
    if any(line.startswith("SEQRES") for line in lines) and last[:6] in _RECORDS:
        raise ValueError("it has SEQRES, and ends in an atom with no TER or END: it was cut off")


def models_of_pdb(lines: list[str]) -> tuple[list[str], int]:
    """Return the lines up to the end of the first model, and how many models there are.

    A model has atoms of a backbone. It ends at ENDMDL, at END, or where the next one begins.
    """
    marks = ("MODEL", "ENDMDL", "END")
    ends = [i for i, line in enumerate(lines) if line[:6].strip() in marks]
    parts = pairwise([0, *ends, len(lines)])
    models = [end for start, end in parts if any(map(_is_backbone, lines[start:end]))]
    return lines[: models[0]] if models else lines, len(models)


def records_of_pdb(lines: list[str]) -> tuple[list[str], list[str], list[bool], float]:
    """Return complete records of backbone atoms, what is known of each, and the resolution.

    Args:
        lines: Of one model.

    Returns:
        Records without letters of chains; names of chains; which are of no chain, unless a bond
        holds them; Angstrom, NaN where it is not known.
    """
    records: list[str] = []
    pieces: list[_Piece] = []
    resolution, ended, restarted, before = math.nan, 0, 0, ("", "", "")
    for line in lines:
        kind = line[:6]
        if kind[:3] == "TER":
            ended, before = ended + 1, ("", "", "")
        if line.startswith("REMARK   2 RESOLUTION"):
            resolution = _number(line[23:30])
        if not _is_backbone(line):
            continue
        letter, segment, number = line[21:22].strip(), line[72:76].strip(), line[22:26].strip()
        if kind == "ATOM  " and line[16:17] == " ":
            restarted += before[:2] == (letter, segment) and _falls(before[2], number)
            before = letter, segment, number
        records.append(_completed(line))
        pieces.append(_Piece(letter, segment, ended, restarted))
    residues = [r[16] + r[22:27] if r.startswith("ATOM") else "" for r in records]
    central = {p for p, r in zip(pieces, records, strict=True) if r[12:16].strip() == "CA"}
    return records, _names(pieces, residues, central), _free(lines), resolution


def _free(lines: list[str]) -> list[bool]:
    """Return which backbone records are hetero atoms after the chain, or not in its SEQRES.

    A chain that goes on after a TER had not ended. A TER is of the chain before it, as some tools
    write another letter there, or none.
    """
    free: list[bool] = []
    listed: dict[str, set[str]] = {}
    ended: set[str] = set()
    letter = ""
    for line in lines:
        if line.startswith("SEQRES"):
            listed.setdefault(line[11:12].strip(), set()).update(line[19:].split())
        elif line.startswith("TER"):
            ended.add(letter)
        elif _is_backbone(line):
            letter, name = line[21:22].strip(), line[17:20].strip()
            hetero = line.startswith("HETATM")
            if not hetero:
                ended.discard(letter)
            free.append(hetero and (letter in ended or name not in listed.get(letter, {name})))
    return free


def _is_backbone(line: str) -> bool:
    """Return whether a line is of an atom of a backbone."""
    kind, name = line[:6], line[17:20]
    if kind not in _RECORDS or line[12:16].strip() not in SLOTS:
        return False
    return kind == "ATOM  " or name not in CANONICAL


def _completed(line: str) -> str:
    """Return a record with what the parser asks for: occupancy and element are often left out."""
    occupancy, element = line[54:60].strip() or "1.00", line[12:16].strip()[0]
    head = f"{line[:21]:21} {line[22:54]}"
    return f"{head:54}{occupancy:>6}  0.00{element:>12}  "


def _falls(before: str, number: str) -> bool:
    try:
        return int(number) < int(before)
    except ValueError:  # of hexadecimal numbers, or none
        return False


def _names(pieces: list[_Piece], residues: list[str], central: set[_Piece]) -> list[str]:
    """Return the name of the chain of each record; `central` are the pieces that have a CA."""
    several = _several(pieces, residues) | {""}
    distinct = [piece for piece in dict.fromkeys(pieces) if piece in central]
    spare = _spare({piece.letter for piece in distinct}, len(distinct))
    names: dict[_Piece, str] = {}
    for letter in dict.fromkeys(piece.letter for piece in distinct):
        some = [piece for piece in distinct if piece.letter == letter]
        segments = {piece.segment for piece in some}
        if letter not in several:
            names.update(dict.fromkeys(some, letter))
        elif "" not in segments and len(segments) == len(some) > 1:
            names.update((piece, piece.segment) for piece in some)
        else:
            first = letter or distinct[0] is some[0]
            names.update((piece, spare[distinct.index(piece)]) for piece in some)
            names.update({some[0]: letter} if first else {})
    return [names.get(piece, piece.letter or _OTHERS) for piece in pieces]


def _several(pieces: list[_Piece], residues: list[str]) -> set[str]:
    """Return the letters that have a residue, by number and alternative, in several pieces."""
    seen: dict[tuple[str, str], _Piece] = {}
    for piece, residue in zip(pieces, residues, strict=True):
        if residue:
            seen.setdefault((piece.letter, residue), piece)
    pairs = zip(pieces, residues, strict=True)
    return {p.letter for p, residue in pairs if residue and seen[p.letter, residue] != p}


def _spare(taken: set[str], count: int) -> list[str]:
    """Return names that no chain has."""
    letters = string.ascii_uppercase + string.ascii_lowercase
    longer = ("".join(pair) for pair in product(letters, repeat=2))
    return list(islice((name for name in chain(letters, longer) if name not in taken), count))


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
