"""Clusters of chains: relatives by their sequences, and those that a file unites."""

from dataclasses import replace

import numpy as np
import pytest
from structures import chain, folder_of_chains

from feller.proteins.data.dataset import ProteinData
from feller.proteins.data.filters import Filters
from feller.proteins.data.relatives import joined, relatives

ALL = Filters(min_length=1, max_gyration=100.0, max_coil=1.0, max_step=1e9, min_known=0.0)


def test_relatives_are_what_shares_a_stretch(tmp_path):
    base = chain(80, seed=1)

    def with_residues(name, residues):
        n = len(residues)
        place = chain(n, seed=sum(map(ord, name)))
        return replace(place, name=name, residues=residues.astype(np.uint8))

    other = chain(80, seed=2).residues
    mutant = base.residues.copy()
    mutant[[0, 45]] = (mutant[[0, 45]] + 1) % 20
    some = [
        with_residues("a", base.residues), with_residues("b", mutant),
        with_residues("c", np.append(other[:40], base.residues[10:40])),  # a fusion
        with_residues("d", np.append(other[50:], base.residues[51:])),  # 29 in a row, and 30
        with_residues("e", base.residues[:20]), with_residues("f", base.residues[:20]),
    ]  # fmt: skip
    source = folder_of_chains(tmp_path / "all", some)
    shards = ProteinData(path=str(source), filters=ALL, cache=str(tmp_path / "cache")).shards()
    of = dict(zip(shards.names, relatives(shards), strict=True))
    assert of["a"] == of["b"] == of["c"]
    assert of["d"] not in (of["a"], of["e"])
    assert of["e"] == of["f"] != of["a"]


def test_unknown_residues_make_no_relatives(tmp_path):
    """Backbones alone are relatives where they are copies of each other."""
    from feller.proteins.structure.writing import write_chains

    blank = np.full(40, 20, dtype=np.uint8)
    one, other = (replace(chain(40, seed=k), residues=blank) for k in range(2))
    write_chains(
        [replace(c, name=n) for n, c in zip("abc", (one, other, one), strict=True)],
        tmp_path / "all",
    )
    shards = ProteinData(path=str(tmp_path / "all"), filters=ALL, cache=str(tmp_path)).shards()
    first, second, third = relatives(shards)
    assert first == third != second


@pytest.mark.parametrize(
    ("listed", "by_sequence", "expected"),
    [
        ({}, "xxy", "xxy"),
        ({0: "a"}, "xxy", "aay"),
        ({0: "b", 1: "a"}, "xxy", "aay"),  # a copy in each of two clusters
        ({0: "b", 2: "a"}, "xxx", "aaa"),  # and one that is not listed between them
        ({0: "c", 1: "b", 2: "b", 3: "a", 4: "d"}, "xxyyz", "aaaad"),  # by steps
    ],
)
def test_clusters_with_a_chain_in_common_are_one(listed, by_sequence, expected):
    assert joined(listed, list(by_sequence)) == list(expected)
    swapped = {len(by_sequence) - 1 - i: name for i, name in listed.items()}
    assert joined(swapped, list(by_sequence[::-1])) == list(expected[::-1])
