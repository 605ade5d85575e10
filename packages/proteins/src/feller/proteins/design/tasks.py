"""What `feller sample` draws: chains of some length, folds of a sequence, sequences, scaffolds.

A task says what is given of its sample i, as a function of the seed and of i: a range of lengths
gives each sample its own. Samples that are given the same are drawn together, in batches; the j-th
of them is row j of what their common seed draws. So a sample depends on the seed and on i, neither
on how many there are nor on how they are batched.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from feller.core.random import seed_of
from feller.proteins.design.conditioning import Given, backbone_of, motif_of, nothing, sequence_of
from feller.proteins.design.contigs import Contigs, parse_contigs, rows_kept
from feller.proteins.design.inputs import length_range, read_backbones, read_motif, read_sequences
from feller.proteins.structure.chain import Chain
from feller.proteins.structure.writing import LONGEST_STEM, file_stems

__all__ = ["Batch", "DesignFlags", "plan"]

LENGTH = "80"
NUMBER = 10  # characters that _0000 may take
MOST, PAIRS = 32, 32 * 128**2  # of a batch: rows, and pairs of residues, which bound memory

Lengths = tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class DesignFlags:
    """What is known of a sample, and how long it is."""

    length: str | None = None
    """Residues per sample, a number or a range such as 60-100; 80 if None. With --contigs, the
    total."""
    fold: str | None = None
    """Sequence to fold: its letters, or a FASTA file, all of whose records are folded."""
    inverse_fold: Path | None = None
    """Structure file for whose backbones to sample sequences."""
    keep: str | None = None
    """Residues that --inverse-fold keeps, in contig notation: A12,A30-45; none if None."""
    contigs: str | None = None
    """Scaffold a motif: 10-40,A163-181,10-40 are new residues, residues of --motif, and new
    residues; 1:163-181 are residues of a chain named by a digit."""
    motif: Path | None = None
    """Structure file with the motif residues of --contigs."""


@dataclass(frozen=True, eq=False)
class Batch:
    """Samples that are drawn at once.

    Attributes:
        names: What they are called.
        given: What is known of them all.
        seed: That of their rows.
        first: The row of the first.
    """

    names: tuple[str, ...]
    given: Given
    seed: int
    first: int

    @property
    def rows(self) -> tuple[int, int]:
        """The first row, and one past the last."""
        return self.first, self.first + len(self.names)


@dataclass(frozen=True, kw_only=True)
class _Task:
    """One thing to draw samples of.

    Attributes:
        name: What its samples are called.
        lengths: From i to the lengths of the segments of sample i.
        given: What is known of a sample with these lengths.
        seed: That of its samples.
        alike: Whether all samples have the same lengths.
    """

    name: str
    lengths: Callable[[int], Lengths]
    given: Callable[[Lengths], Given]
    seed: int
    alike: bool


def plan(
    flags: DesignFlags, n: int, *, seed: int = 0, batch_size: int | None = None
) -> list[Batch]:
    """Return what there is to draw, `n` samples of each task; nothing is drawn yet.

    Args:
        flags: What is asked for.
        n: Samples of it; where it is several sequences or backbones, of each.
        seed: Chooses lengths and samples.
        batch_size: Samples at once; by default as many as memory is usually good for.

    Raises:
        ValueError: When the flags exclude each other, or what they name is not what they ask for.

    Example:
        >>> batches = plan(DesignFlags(length="5-6"), 8, seed=1)
        >>> sorted((len(batch.given), len(batch.names)) for batch in batches)
        [(5, 3), (6, 5)]
    """
    if n < 1:
        raise ValueError(f"-n is at least 1, not {n}")
    if batch_size is not None and batch_size < 1:
        raise ValueError(f"--batch-size is at least 1, not {batch_size}")
    return [batch for task in _tasks(flags, seed) for batch in _batches(task, n, batch_size)]


def _batches(task: _Task, n: int, batch_size: int | None) -> Iterator[Batch]:
    groups: dict[Lengths, list[str]] = {}
    for i in range(n):
        groups.setdefault(task.lengths(i), []).append(f"{task.name}_{i:04}")
    for lengths, names in groups.items():
        given = task.given(lengths)
        seed = task.seed if task.alike else seed_of(task.seed, "lengths", *lengths)
        size = batch_size or max(1, min(MOST, PAIRS // len(given) ** 2))
        for first in range(0, len(names), size):
            yield Batch(tuple(names[first : first + size]), given, seed, first)


def _tasks(flags: DesignFlags, seed: int) -> list[_Task]:
    _check(flags)
    if flags.fold is not None:
        chains = read_sequences(flags.fold)
        return _fixed(chains, [partial(sequence_of, chain) for chain in chains], seed)
    if flags.inverse_fold is not None:
        chains = read_backbones(flags.inverse_fold)
        kept = zip(chains, rows_kept(flags.keep, chains), strict=True)
        return _fixed(chains, [partial(backbone_of, chain, rows) for chain, rows in kept], seed)
    return [_scaffold(flags, seed) if flags.contigs is not None else _free(flags, seed)]


def _check(flags: DesignFlags) -> None:
    """Reject flags that exclude each other, or lack each other."""
    asked = {
        "--fold": flags.fold,
        "--inverse-fold": flags.inverse_fold,
        "--contigs": flags.contigs,
    }
    given = [flag for flag, value in asked.items() if value is not None]
    if len(given) > 1:
        raise ValueError(f"{' and '.join(given)} are different tasks: give one of them")
    if flags.length is not None and given and given[0] != "--contigs":
        raise ValueError(f"--length is not for {given[0]}, which says how long a chain is")
    if flags.motif is not None and flags.contigs is None:
        raise ValueError("--motif needs --contigs: which residues to keep, and what to build")
    if flags.keep is not None and flags.inverse_fold is None:
        raise ValueError("--keep is for --inverse-fold: contigs name what a motif keeps")


def _fixed(chains: list[Chain], given: list[Callable[[], Given]], seed: int) -> list[_Task]:
    """Return a task for each chain; a single one is called as samples are."""
    count = len(chains)
    # The number of a sample follows, and must not be what is cut off.
    stems = file_stems([chain.name for chain in chains], LONGEST_STEM - NUMBER)
    return [
        _Task(
            name="sample" if count == 1 else stem,
            lengths=lambda i: (),
            given=lambda lengths, known=known: known(),
            seed=seed if count == 1 else seed_of(seed, chain.name),
            alike=True,
        )
        for chain, stem, known in zip(chains, stems, given, strict=True)
    ]


def _free(flags: DesignFlags, seed: int) -> _Task:
    low, high = length_range(LENGTH if flags.length is None else flags.length)
    return _Task(
        name="sample",
        lengths=lambda i: (_length(low, high, seed, i),),
        given=lambda lengths: nothing(*lengths),
        seed=seed,
        alike=low == high,
    )


def _scaffold(flags: DesignFlags, seed: int) -> _Task:
    contigs = parse_contigs(flags.contigs or "")
    if flags.motif is not None and not contigs.kept:
        raise ValueError(
            f"contigs {flags.contigs} keep no residue of --motif {flags.motif}: those are named "
            "with their chain, A163-181"
        )
    parts = contigs.motif(read_motif(flags.motif, contigs))
    total = None if flags.length is None else _total(flags.length, contigs)
    if total is None and not contigs.extent[0]:
        raise ValueError(f"contigs {flags.contigs} may make no residue: ask for at least one")

    def lengths(i: int) -> Lengths:
        whole = None if total is None else _length(*total, seed, i)
        return tuple(contigs.lengths(seed=seed_of(seed, "sample", i), total=whole))

    return _Task(
        name="sample",
        lengths=lengths,
        given=lambda lengths: motif_of(contigs, parts, list(lengths)),
        seed=seed,
        alike=all(s.low == s.high for s in contigs.segments),
    )


def _total(text: str, contigs: Contigs) -> tuple[int, int]:
    """Return the shortest and the longest of the lengths asked for that contigs can have."""
    low, high = length_range(text)
    least, most = contigs.extent
    if most < low or high < least:
        made = f"{least}" if least == most else f"{least} to {most}"
        raise ValueError(f"these contigs make {made} residues, --length {text} asks for others")
    return max(low, least), min(high, most)


def _length(low: int, high: int, seed: int, i: int) -> int:
    """Draw the length of sample i."""
    rng = np.random.default_rng(seed_of(seed, "length", i))
    return int(rng.integers(low, high + 1))
