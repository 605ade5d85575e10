"""What is trained on and what is held out: names in lists, and the clusters of a file.

A name in a list stands for the chains that it may mean: `1abc_A`, `1ABC_A`, `pdb1abc_A` and `1abcA`
for one chain, `1abc` for all of an entry, with folders and suffixes or without. The first of these
that finds something counts: the very name, the letter of the chain as it is, the letter in any
case, the entry.
"""

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from feller.proteins.data.mapped import DataError

__all__ = ["Names", "assigned", "read_clusters", "read_ids", "shared"]

SHOWN = 3
"""Names in an error."""

_SUFFIX = re.compile(r"\.(pdb|ent|cif|mmcif|bcif)(\.gz)?$", re.IGNORECASE)
_PREFIX = re.compile(r"^pdb_?(0000)?(?=\d[a-z0-9]{3}$)")
_SHORT = re.compile(r"(\d[A-Za-z0-9]{3})([A-Za-z0-9])")


class Names:
    """The names of chains, as lists have them.

    Args:
        names: Of the chains there are.
        letters: Their letters, where they have one.
        refused: Names of what was read and is not fit: a list may have them.
    """

    def __init__(
        self, names: Sequence[str], letters: Sequence[str], refused: Iterable[str] = ()
    ) -> None:
        self.names = names
        self._found: dict[tuple[str, ...], list[int]] = {}
        for i, (name, letter) in enumerate(zip(names, letters, strict=True)):
            for key in dict.fromkeys(_keys_of_chain(name, letter)):
                self._found.setdefault(key, []).append(i)
        passed = list(refused)
        self._refused = {key for name in passed for key in _keys_of_chain(name, "")}
        # Of a file that has one chain, any letter may be meant.
        self._files = {_entry(name.rpartition("/")[2]) for name in passed}

    def find(self, listed: str) -> list[int] | None:
        """Return the chains that a name stands for, none for one that is not fit.

        Returns:
            Their positions; None where there is nothing of that name.

        Example:
            >>> names = Names(["pdb1ake", "2xyz_A", "2xyz_B"], ["A", "A", "B"])
            >>> names.find("1AKE_A"), names.find("2xyz"), names.find("3abc_A")
            ([0], [1, 2], None)
        """
        keys = list(_keys_of_name(listed))
        for key in keys:
            if key in self._found:
                return self._found[key]
        known = any(key in self._refused or (key[1] in self._files and key[2:]) for key in keys)
        return [] if known else None

    def check(self, unknown: Sequence[str], count: int, file: str) -> None:
        """Reject names that stand for nothing.

        Raises:
            DataError: When there are any.
        """
        if unknown:
            some = ", ".join(unknown[:SHOWN]) + (", ..." if len(unknown) > SHOWN else "")
            there = ", ".join(self.names[:SHOWN])
            raise DataError(
                f"{file}: {len(unknown):,} of {count:,} names match no chain ({some}); chains are "
                f"called {there}: fix the names, or skip them with --data.unmatched pass"
            )


def read_ids(file: str, names: Names, *, strict: bool = True) -> frozenset[int] | None:
    """Read the chains that a list names, one a line; None without a file.

    Args:
        file: The list.
        names: Of the chains there are.
        strict: Whether names that match no chain are refused.

    Raises:
        DataError: When it is not readable, names nothing, or what is not there.
    """
    if not file:
        return None
    try:
        listed = list(dict.fromkeys(Path(file).read_text(encoding="utf-8-sig").split()))
    except (OSError, UnicodeDecodeError):
        raise DataError(f"{file} is not a readable list of names") from None
    if not listed:
        raise DataError(f"{file} names no chain")
    found = {name: names.find(name) for name in listed}
    if strict:
        names.check([name for name in listed if found[name] is None], len(listed), file)
    return frozenset(i for rows in found.values() for i in rows or ())


def read_clusters(file: str, names: Names, *, strict: bool = True) -> dict[int, str]:
    """Read the cluster of each chain that a `.csv` names; see `read_ids`.

    Raises:
        DataError: When it is not readable, a chain is in two clusters, or as of `read_ids`.
    """
    if not file:
        return {}
    try:
        with Path(file).open(encoding="utf-8-sig", newline="") as stream:
            rows = [(row["id"], row["homology_group"]) for row in csv.DictReader(stream)]
    except (OSError, UnicodeDecodeError, csv.Error):
        raise DataError(f"{file} is not a readable .csv file") from None
    except KeyError as error:
        raise DataError(f"{file} has no column {error}; it has id and homology_group") from None
    if not rows:
        raise DataError(f"{file} names no chain")
    clusters: dict[int, str] = {}
    unknown: list[str] = []
    for number, (name, cluster) in enumerate(rows, 2):
        if not name or not cluster:
            raise DataError(f"row {number} of {file} lacks its id or its homology_group")
        found = names.find(name)
        unknown += [name] if found is None else []
        for i in found or ():
            if clusters.setdefault(i, cluster) != cluster:
                both = f"{clusters[i]!r} and {cluster!r}"
                raise DataError(f"{file}: {names.names[i]} is in two clusters, {both}")
    if strict:
        names.check(unknown, len(rows), file)
    return clusters


def assigned(
    train: frozenset[int] | None, test: frozenset[int] | None, clusters: Sequence[str]
) -> tuple[np.ndarray, int]:
    """Return the split of each chain by lists of which one may be missing.

    Relatives of what one list names are in no split, unless the other names them.

    Returns:
        `train`, `test` or nothing for each chain; how many relatives were left out.

    Raises:
        DataError: When a chain is in both lists.

    Example:
        >>> assigned(None, frozenset([0]), ["a", "a", "b"])
        (array(['test', '', 'train'], dtype='<U5'), 1)
    """
    where = np.full(len(clusters), "", dtype="U5")
    if both := (train or frozenset()) & (test or frozenset()):
        raise DataError(f"{len(both):,} chains are both in train_ids and in test_ids")
    if train is None or test is None:
        named = test if train is None else train
        near = {clusters[i] for i in named or ()}
        where[[cluster not in near for cluster in clusters]] = "train" if train is None else "test"
    where[sorted(train or ())] = "train"
    where[sorted(test or ())] = "test"
    either = train is None or test is None
    return where, int((where == "").sum()) if either else 0


def shared(where: np.ndarray, clusters: Sequence[str]) -> int:
    """Return how many chains are held out and have relatives that are trained on."""
    pairs = list(zip(where.tolist(), clusters, strict=True))
    trained = {cluster for part, cluster in pairs if part == "train"}
    return sum(part == "test" and cluster in trained for part, cluster in pairs)


def _keys_of_chain(name: str, letter: str) -> Iterator[tuple[str, ...]]:
    """Yield what a chain answers to: (kind, entry) and (kind, entry, letter)."""
    short = name.rpartition("/")[2]
    yield "name", name
    yield "name", short
    yield "entry", _entry(short)
    entry, _, last = short.rpartition("_")
    own = (entry, last) if entry and (not letter or last.casefold() == letter.casefold()) else None
    for stem, mine in (own, (short, letter)) if own else ((short, letter),):
        if mine:
            yield "chain", _entry(stem), mine
            yield "folded", _entry(stem), mine.casefold()
            yield "entry", _entry(stem)


def _keys_of_name(listed: str) -> Iterator[tuple[str, ...]]:
    """Yield what a name may mean, the most exact first."""
    yield "name", listed
    plain = _SUFFIX.sub("", listed)
    short = plain.rpartition("/")[2]
    yield "name", plain
    entry, _, letter = short.rpartition("_")
    packed = _SHORT.fullmatch(short)
    pairs = [(entry, letter)] if entry else []
    pairs += [(packed[1], packed[2])] if packed else []
    for stem, mine in pairs:
        yield "chain", _entry(stem), mine
    for stem, mine in pairs:
        yield "folded", _entry(stem), mine.casefold()
    yield "entry", _entry(short)


def _entry(name: str) -> str:
    """Return the name of an entry in lower case, without `pdb` before its four letters."""
    return _PREFIX.sub("", name.casefold())
