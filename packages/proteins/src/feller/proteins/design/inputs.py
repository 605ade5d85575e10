"""What a user names on the command line: structures, sequences and lengths, read or refused.

An error is one line that says which file, residue or letter it is about.
"""

import re
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np

from feller.proteins.design.contigs import Contigs
from feller.proteins.structure.chain import (
    LETTERS,
    MOST_RESIDUES,
    Chain,
    check_frames,
    check_whole,
    codes_of,
)
from feller.proteins.structure.reading import MODELS, Refusal, entries, read_entries, sorted_out

__all__ = [
    "TRAJECTORIES",
    "length_range",
    "read_backbones",
    "read_motif",
    "read_sequences",
    "read_structures",
]

TRAJECTORIES = "trajectories"
"""The folder beside samples that holds how they came."""

SHOWN = 60  # characters of what is not a sequence


def read_structures(path: Path) -> tuple[list[Chain], list[Refusal]]:
    """Read the chains of a file, a folder or a `.zip`, and what there is none of.

    Trajectories beside samples, which begin at noise, structures that were read in another format,
    and all models but the first are skipped and reported.

    Raises:
        ValueError: When there is no chain at all.
    """
    found = entries(path)
    alone = len(found) == 1 and found[0].path == path and not found[0].member
    wanted = [e for e in found if alone or TRAJECTORIES not in Path(e.name).parts]
    every, refusals = sorted_out(read_entries(wanted))
    named: dict[str, Chain] = {}
    for chain in every:
        if named.setdefault(chain.name, chain) is not chain:
            refusals.append(Refusal(chain.name, "another file of this name was read", "twice"))
    chains = list(named.values())
    if len(wanted) < len(found):
        count = len(found) - len(wanted)
        reason = f"{count} trajectories: their ends are the samples"
        refusals.append(Refusal(TRAJECTORIES, reason, TRAJECTORIES))
    if not chains:
        more = f" ({len(refusals)} such files)" if len(refusals) > 1 else ""
        what = f"{refusals[0].name}: {refusals[0].reason}"
        raise ValueError(f"{path} has no chain that can be read: {what}{more}")
    return chains, refusals


def read_backbones(path: Path) -> list[Chain]:
    """Read the chains of structures, each of which must be whole.

    Raises:
        ValueError: When a file cannot be read, or a chain lacks an atom or is broken.
    """
    chains, refusals = read_structures(path)
    for refusal in refusals:
        if refusal.kind not in (TRAJECTORIES, MODELS):
            raise ValueError(f"{path}: {refusal.name}: {refusal.reason}")
    _tell(refusals)
    for chain in chains:
        check_frames(chain)
        check_whole(chain)
    return chains


def read_motif(path: Path | None, contigs: Contigs) -> dict[str, Chain]:
    """Read the chains that contigs name, by their letters.

    A chain without a letter answers to whichever the contigs name, where it is the only one.

    Raises:
        ValueError: When there is no file, it cannot be read, or its chains cannot be distinguished.
    """
    letters = sorted({s.chain for s in contigs.kept})
    if path is None:
        if letters:
            raise ValueError(
                f"contig {contigs.kept[0]} is of a structure: give its file with --motif"
            )
        return {}
    if path.is_dir() or path.suffix.lower() == ".zip":
        raise ValueError(f"--motif is one structure file, not {path}")
    chains, refusals = read_structures(path)
    _tell(refusals)
    for letter, count in Counter(chain.letter or "_" for chain in chains).items():
        if count > 1:
            raise ValueError(f"{path} has {count} chains {letter}: give a file of one structure")
    if len(chains) > 1 or chains[0].letter:
        return {chain.letter or "_": chain for chain in chains}
    if len(letters) > 1:
        raise ValueError(f"{path} has one chain, the contigs name {' and '.join(letters)}")
    return dict.fromkeys(letters, chains[0])


def read_sequences(text: str) -> list[Chain]:
    """Read letters, or a FASTA file, as chains whose residues alone are known.

    Args:
        text: Letters, of which `X` is an unknown residue; or the path of a file.

    Raises:
        ValueError: When it is neither, a letter is unknown, or a sequence is empty.

    Example:
        >>> read_sequences("mkxl")[0].sequence
        'MKXL'
    """
    file = Path(text)
    if text and _is(Path.is_dir, file):
        raise ValueError(f"{file} is a folder: --fold takes letters or a FASTA file")
    if not text or not _is(Path.is_file, file):
        letters = text.strip()
        if not re.fullmatch(r"[A-Za-z*\s]+", letters):
            shown = letters if len(letters) <= SHOWN else letters[:SHOWN] + "..."
            raise ValueError(f"{shown!r} is neither the letters of residues nor a FASTA file")
        return [_sequence("the sequence", "".join(letters.split()))]
    try:
        content = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError(f"{file} is not a FASTA file: it is not text") from None
    before, *records = re.split(r"^>", content, flags=re.MULTILINE)
    if before.strip() or not records:
        raise ValueError(f"{file} is not a FASTA file: it does not begin with >")
    return [_record(record, file) for record in records]


def length_range(text: str) -> tuple[int, int]:
    """Read a length, or the shortest and the longest.

    Raises:
        ValueError: When it is no such thing.

    Example:
        >>> length_range("60-100"), length_range("80")
        ((60, 100), (80, 80))
    """
    found = re.fullmatch(r"\s*(\d+)\s*(?:-\s*(\d+)\s*)?", text)
    if found is None:
        raise ValueError(f"--length is a number, 80, or a range, 60-100, not {text!r}")
    low = int(found[1])
    high = int(found[2] or low)
    if low < 1:
        raise ValueError(f"--length is at least 1, not {low}")
    if high < low:
        raise ValueError(f"--length {low}-{high} ends before it begins")
    if high > MOST_RESIDUES:
        raise ValueError(f"--length is at most {MOST_RESIDUES:,}, not {high:,}")
    return low, high


def _tell(refusals: list[Refusal]) -> None:
    """Print what was skipped."""
    for refusal in refusals:
        print(f"skipped {refusal.name}: {refusal.reason}", file=sys.stderr)


def _is(kind: Callable[[Path], bool], path: Path) -> bool:
    try:
        return kind(path)
    except OSError:  # letters that are too long for a name
        return False


def _record(record: str, file: Path) -> Chain:
    head, _, body = record.partition("\n")
    return _sequence(" ".join(head.split()[:1]) or file.stem, "".join(body.split()))


def _sequence(name: str, letters: str) -> Chain:
    """Return a chain without atoms."""
    if not letters:
        raise ValueError(f"{name} has no residues")
    for i, letter in enumerate(letters.upper()):
        if letter not in LETTERS + "X":
            raise ValueError(
                f"letter {i + 1} of {name}, {letters[i]!r}, is none of {LETTERS} nor X (unknown)"
            )
    n = len(letters)
    atoms = np.full((n, 4, 3), np.nan, dtype=np.float32)
    return Chain(name, atoms, codes_of(letters.upper()), np.arange(1, n + 1, dtype=np.int32))
