"""Relatives: chains that are in one cluster by their sequences, or by a file.

Chains are relatives that share 30 known residues in a row, and those that are relatives of one: so
identical chains of an entry, copies with other loops missing, mutants and fusions are one cluster.
Of a chain that has no 30, for it is short or has unknown ones between, the longest stretch counts,
from 12 on: its relatives have all of that. Shorter ones are relatives of their copies, as are
chains of unknown residues, whose copies have the same positions.
"""

import hashlib
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from feller.proteins.data.shards import Shards
from feller.proteins.structure.chain import UNKNOWN

__all__ = ["joined", "relatives"]

STRETCH = 30
"""Residues in a row that make chains relatives."""

SHORTEST = 12
"""Those that do so where a chain has no 30; strangers share fewer by coincidence."""


@dataclass(frozen=True, eq=False)
class _Words:
    """Stretches of residues: a number for each, and the chain that it is in."""

    hashes: np.ndarray
    chains: np.ndarray


def relatives(shards: Shards) -> list[str]:
    """Return the cluster of each chain by its sequence.

    Returns:
        Names that are the same for relatives, and depend on their sequences alone.
    """
    digests = [_digest(shards, i) for i in range(len(shards))]
    _, same = np.unique(digests, return_inverse=True)
    words = _words(shards)
    order = np.lexsort((words.chains, words.hashes))
    hashes, chains = words.hashes[order], words.chains[order]
    meets = np.flatnonzero((hashes[1:] == hashes[:-1]) & (chains[1:] != chains[:-1]))
    # Copies meet in a node of their digest, which is one past the chains.
    n, count = len(shards), int(same.max(initial=-1)) + 1
    short, whole = _shorter(shards).T
    ones = np.concatenate([chains[meets], np.arange(n), short])
    others = np.concatenate([chains[meets + 1], n + same, whole])
    labels = _components(ones, others, n + count)[:n].tolist()
    first: dict[int, str] = {}
    for label, digest in zip(labels, digests, strict=True):
        first[label] = min(first.get(label, digest), digest)
    return [first[label] for label in labels]


def joined(listed: Mapping[int, str], by_sequence: Sequence[str]) -> list[str]:
    """Return the cluster of each chain, of a file's clusters and those by sequence together.

    Clusters that have a chain in common are one: it has the first name in the file's alphabet, or
    its own where the file has none of its chains.

    Example:
        >>> joined({0: "globin"}, ["x", "x", "y"])
        ['globin', 'globin', 'y']
    """
    own, own_of = np.unique(by_sequence, return_inverse=True)
    names, name_of = np.unique(list(listed.values()), return_inverse=True)
    rows, n = own_of[list(listed)], len(own)
    labels = _components(rows, n + name_of, n + len(names)).tolist()
    first: dict[int, str] = {}
    for label, name in zip(labels[n:] + labels[:n], [*names.tolist(), *own.tolist()], strict=True):
        first.setdefault(label, name)
    return [first[labels[i]] for i in own_of.tolist()]


def _components(ones: np.ndarray, others: np.ndarray, n: int) -> np.ndarray:
    """Return the number of the component of each of n nodes that are linked in pairs."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    links = coo_array((np.ones(len(ones), dtype=np.int8), (ones, others)), shape=(n, n))
    return connected_components(links, directed=False)[1]


def _digest(shards: Shards, i: int) -> str:
    """Return what copies of a chain share: the sequence, or the positions where it is unknown."""
    residues = shards.residues(i)
    data = residues if (residues != UNKNOWN).any() else shards[i].atoms
    return hashlib.sha256(np.ascontiguousarray(data).tobytes()).hexdigest()


def _words(shards: Shards) -> _Words:
    """Return the stretches of known residues."""
    hashes, chains = [np.zeros(0, np.uint64)], [np.zeros(0, np.int64)]
    for i in range(len(shards)):
        residues = shards.residues(i)
        count = len(residues) - STRETCH + 1
        if count < 1:
            continue
        sums = np.zeros(count, dtype=np.uint64)
        for k in range(STRETCH):
            # An odd multiplier, modulo 2^64: stretches that differ collide only by coincidence.
            sums = sums * np.uint64(0x9E3779B97F4A7C15) + residues[k : k + count] + np.uint64(1)
        unknown = np.append(0, np.cumsum(residues == UNKNOWN))
        whole = unknown[STRETCH:] == unknown[:-STRETCH]
        found = np.unique(sums[whole])
        hashes.append(found)
        chains.append(np.full(len(found), i))
    return _Words(np.concatenate(hashes), np.concatenate(chains))


def _shorter(shards: Shards) -> np.ndarray:
    """Return pairs of chains: one without a stretch of known residues, and one that has its own."""
    each = [shards.residues(i).tobytes() for i in range(len(shards))]
    longest = [max(residues.split(bytes([UNKNOWN])), key=len) for residues in each]
    of = {x: i for i, x in enumerate(longest) if SHORTEST <= len(x) < STRETCH}
    gap = bytes([UNKNOWN + 1])
    text, ends = gap.join(each), np.cumsum([len(residues) + 1 for residues in each]).tolist()
    pairs: list[tuple[int, int]] = []
    for stretch, i in of.items():
        at = text.find(stretch)
        while at >= 0:
            found = bisect_right(ends, at)
            pairs.append((i, found))
            at = text.find(stretch, ends[found])
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)
