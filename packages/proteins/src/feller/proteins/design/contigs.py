"""Contigs: which residues of a motif a design keeps, and how much is built around them.

`10-40,A163-181,10-40` is 10 to 40 new residues, then residues 163 to 181 of chain A, then 10 to 40
new ones; `12` is twelve new ones, `A7` one that is kept. A chain whose name has digits is separated
from numbers by a colon: `1:163-181`. Spaces and slashes may replace commas, and the whole in
brackets: `[10-40/A163-181/10-40]`. Source of the notation: RFdiffusion (Watson et al., Nature
2023).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from jaxtyping import Int

from feller.core.random import seed_of
from feller.proteins.structure.chain import ATOMS, MOST_RESIDUES, UNKNOWN, Chain

__all__ = ["Contigs", "Kept", "New", "parse_contigs", "rows_kept"]

_KEPT = re.compile(r"(?:([A-Za-z]+)|(\w+):)(-?\d+)(?:-(-?\d+))?")
_NEW = re.compile(r"(\d+)(?:-(\d+))?")


@dataclass(frozen=True)
class New:
    """Residues to build: `low` to `high` of them."""

    low: int
    high: int

    @property
    def kept(self) -> tuple["Kept", ...]:
        """Nothing."""
        return ()

    def rows(self, chain: Chain) -> Int[np.ndarray, " m"]:
        """Return no position of a chain."""
        return np.zeros(0, dtype=np.int64)


@dataclass(frozen=True)
class Kept:
    """Residues `first` to `last` of a chain."""

    chain: str
    first: int
    last: int

    def __str__(self) -> str:
        """Return the segment as it is written."""
        colon = "" if self.chain.isalpha() else ":"
        return f"{self.chain}{colon}{self.first}-{self.last}"

    @property
    def kept(self) -> tuple["Kept", ...]:
        """The segment."""
        return (self,)

    def rows(self, chain: Chain) -> Int[np.ndarray, " m"]:
        """Return the positions of the residues in a chain; none where its letter is another."""
        if chain.letter not in ("", self.chain):
            return np.zeros(0, dtype=np.int64)
        return np.flatnonzero((self.first <= chain.index) & (chain.index <= self.last))

    @property
    def low(self) -> int:
        """How many residues."""
        return self.last - self.first + 1

    @property
    def high(self) -> int:
        """As many."""
        return self.low


@dataclass(frozen=True)
class Contigs:
    """Segments in the order of the design.

    Attributes:
        segments: What is new and what is kept.
    """

    segments: tuple[New | Kept, ...]

    @property
    def kept(self) -> tuple[Kept, ...]:
        """The segments that are kept."""
        return tuple(kept for segment in self.segments for kept in segment.kept)

    def motif(self, chains: Mapping[str, Chain]) -> list[Chain]:
        """Return the kept segments, cut out of chains by their letters.

        Raises:
            ValueError: When one is not whole: a chain, residues or atoms are missing, a residue has
                no canonical name, or the chain is broken within it; or when two of them that may
                have nothing built between them are not neighbours.
        """
        parts = [_cut(s, chains) for s in self.kept]
        _check_seams(self.segments, parts)
        return parts

    @property
    def extent(self) -> tuple[int, int]:
        """The fewest and the most residues they can make."""
        low, high = self._ranges()
        return sum(low), sum(high)

    def lengths(self, *, seed: int, total: int | None = None) -> list[int]:
        """Draw the lengths of the segments, all ranges alike; to sum to `total` where it is given.

        Raises:
            ValueError: When no choice of lengths sums to `total`.
        """
        low, high = self._ranges()
        rng = np.random.default_rng(seed_of(seed, "contigs"))
        if total is None:
            return [int(rng.integers(a, b + 1)) for a, b in zip(low, high, strict=True)]
        if not sum(low) <= total <= sum(high):
            raise ValueError(
                f"these contigs make {sum(low)} to {sum(high)} residues, not the {total} asked for"
            )
        return _divide(low, high, total, rng)

    def _ranges(self) -> tuple[list[int], list[int]]:
        return [s.low for s in self.segments], [s.high for s in self.segments]


def parse_contigs(text: str) -> Contigs:
    """Read contigs.

    Raises:
        ValueError: When a segment is neither a range of lengths nor residues of a chain, a residue
            is kept twice, or there are more residues than a chain has.

    Example:
        >>> parse_contigs("5-10,A3-4").segments
        (New(low=5, high=10), Kept(chain='A', first=3, last=4))
    """
    inner = re.fullmatch(r"\s*\[(.*)\]\s*", text, re.DOTALL)
    parts = re.split(r"[,/\s]+", inner[1] if inner else text)
    segments = tuple(_segment(part) for part in parts if part)
    if not segments:
        raise ValueError("contigs are segments such as 10-40,A163-181,10-40; there is none")
    contigs = Contigs(segments)
    for one, other in combinations(contigs.kept, 2):
        if one.chain == other.chain and one.first <= other.last and other.first <= one.last:
            raise ValueError(f"contigs {one} and {other} keep a residue twice at one position")
    if contigs.extent[1] > MOST_RESIDUES:
        raise ValueError(
            f"contigs make at most {MOST_RESIDUES:,} residues, not {contigs.extent[1]:,}"
        )
    return contigs


def rows_kept(text: str | None, chains: Sequence[Chain]) -> list[list[int]]:
    """Return the positions of the residues of each chain that `--keep` names.

    Raises:
        ValueError: When it names new residues, or one that no chain has.

    Example:
        >>> rows_kept(None, [])
        []
    """
    segments = () if text is None else parse_contigs(text).segments
    for segment in segments:
        if isinstance(segment, New):
            raise ValueError(f"--keep names residues of chains, A12,A30-45, not {text!r}")
        there = {i for chain in chains for i in chain.index[segment.rows(chain)].tolist()}
        if missing := sorted(set(range(segment.first, segment.last + 1)) - there):
            which = f"residue {missing[0]} of chain {segment.chain}"
            raise ValueError(f"--keep {segment}: no backbone has {which}")
    return [[i for s in segments for i in s.rows(chain).tolist()] for chain in chains]


def _segment(text: str) -> New | Kept:
    if found := _KEPT.fullmatch(text):
        chain, first, last = found[1] or found[2], int(found[3]), int(found[4] or found[3])
        if last < first:
            raise ValueError(f"the contig {text} ends before it begins")
        return Kept(chain, first, last)
    if found := _NEW.fullmatch(text):
        low, high = int(found[1]), int(found[2] or found[1])
        if not found[2] and not low:
            raise ValueError("the contig 0 would break the chain: a design is one unbroken chain")
        if high < low:
            raise ValueError(f"the contig {text} ends before it begins")
        return New(low, high)
    raise ValueError(f"the contig {text!r} is neither a length, 10-40, nor residues, A163-181")


def _cut(segment: Kept, chains: Mapping[str, Chain]) -> Chain:
    if segment.chain not in chains:
        there = ", ".join(sorted(chains)) or "none"
        raise ValueError(f"contig {segment}: there is no chain {segment.chain}; there are: {there}")
    chain = chains[segment.chain]
    wanted = np.arange(segment.first, segment.last + 1)
    missing = np.setdiff1d(wanted, chain.index)
    if len(missing):
        raise ValueError(f"contig {segment}: {chain.name} has no residue {missing[0]}")
    at = np.flatnonzero(np.isin(chain.index, wanted))
    part = chain.only(at)
    numbers, counts = np.unique(part.index, return_counts=True)
    if (counts > 1).any():
        raise ValueError(
            f"contig {segment}: {chain.name} has several residues {numbers[counts > 1][0]}, as 52 "
            "and 52A: number them one after the other"
        )
    for number, residue, atoms in zip(part.index, part.residues, part.atoms, strict=True):
        lacking = [
            name
            for name, position in zip(ATOMS[:3], atoms, strict=False)
            if np.isnan(position).any()
        ]
        if lacking:
            raise ValueError(
                f"contig {segment}: residue {number} of {chain.name} lacks {lacking[0]}"
            )
        if residue == UNKNOWN:
            raise ValueError(
                f"contig {segment}: residue {number} of {chain.name} is none of the canonical 20"
            )
    if part.breaks.any():
        at_break = part.index[np.flatnonzero(part.breaks)[0]]
        raise ValueError(f"contig {segment}: {chain.name} is broken after residue {at_break}")
    return part


def _check_seams(segments: Sequence[New | Kept], parts: Sequence[Chain]) -> None:
    """Reject kept segments that may meet and are not neighbours in their structure."""
    cut, before = iter(parts), None
    for segment in segments:
        if not segment.kept:
            before = before if segment.low == 0 else None
            continue
        part = next(cut)
        if before is not None and _torn(before[1], part):
            raise ValueError(
                f"contigs {before[0]} and {segment} are not neighbours in {part.name}: let at "
                "least one residue be built between them"
            )
        before = segment, part


def _torn(one: Chain, other: Chain) -> bool:
    """Return whether a chain is broken where another follows it."""
    atoms, residues, index = (
        np.concatenate([getattr(one, name)[-1:], getattr(other, name)[:1]])
        for name in ("atoms", "residues", "index")
    )
    return bool(Chain("", atoms, residues, index).breaks[0])


def _divide(
    low: Sequence[int], high: Sequence[int], total: int, rng: np.random.Generator
) -> list[int]:
    """Give out what is left above the least lengths, one residue at a time, where there is room."""
    lengths = np.array(low)
    for _ in range(total - sum(low)):
        room = np.flatnonzero(lengths < np.array(high))
        lengths[rng.choice(room)] += 1
    return lengths.tolist()
