"""Clusters of chains: relatives by their sequences, and those that a file unites."""

from dataclasses import replace

import numpy as np
import pytest
from structures import chain

from feller.proteins.data.dataset import ProteinData
from feller.proteins.data.filters import Filters
from feller.proteins.data.relatives import joined, relatives
from feller.proteins.structure.writing import write_chains

ALL = Filters(min_length=1, max_gyration=100.0, max_coil=1.0, max_step=1e9, min_known=0.0)


def with_residues(name, residues):
    place = chain(len(residues), seed=sum(map(ord, name)))
    return replace(place, name=name, residues=residues.astype(np.uint8))


def clusters_of(some, tmp_path):
    write_chains(some, tmp_path / "all")
    source, cache = str(tmp_path / "all"), str(tmp_path / "cache")
    shards = ProteinData(path=source, filters=ALL, cache=cache).shards()
    return dict(zip(shards.names, relatives(shards), strict=True))


def test_relatives_are_what_shares_a_stretch(tmp_path):
    base, other = chain(80, seed=1), chain(80, seed=2).residues
    mutant = base.residues.copy()
    mutant[[0, 45]] = (mutant[[0, 45]] + 1) % 20
    some = [
        with_residues("a", base.residues), with_residues("b", mutant),
        with_residues("c", np.append(other[:40], base.residues[10:40])),  # a fusion
        with_residues("d", np.append(other[50:], base.residues[51:])),  # 29 in a row, and 30
    ]  # fmt: skip
    of = clusters_of(some, tmp_path)
    assert of["a"] == of["b"] == of["c"] != of["d"]


def test_relatives_of_a_short_chain_have_all_of_it(tmp_path):
    """A part of a chain that was held out, and that chain was trained on."""
    base, other = chain(80, seed=1).residues, chain(80, seed=2).residues
    some = [
        with_residues("a", base), with_residues("b", other),
        with_residues("e", base[20:40]), with_residues("f", base[20:40]),
        with_residues("g", np.append(base[40:60], other[0])),  # one residue is another
        with_residues("h", base[:11]), with_residues("i", base[:11]), with_residues("j", base[:12]),
        with_residues("k", base[-28:]), with_residues("l", other[:29]),
    ]  # fmt: skip
    of = clusters_of(some, tmp_path)
    assert of["a"] == of["e"] == of["f"] == of["j"] == of["k"] != of["b"] == of["l"]
    assert of["h"] == of["i"]
    assert len({of[name] for name in "abgh"}) == 4


def test_unknown_residues_within_a_chain_do_not_part_it_from_its_copies(tmp_path):
    base = chain(80, seed=1).residues
    often, seldom = base.copy(), base.copy()
    often[::20] = seldom[40] = 20
    some = [
        with_residues("a", base), with_residues("b", often), with_residues("c", seldom),
        with_residues("d", chain(80, seed=2).residues),
    ]  # fmt: skip
    of = clusters_of(some, tmp_path)
    assert of["a"] == of["b"] == of["c"] != of["d"]


def test_unknown_residues_make_no_relatives(tmp_path):
    """Backbones alone are relatives where they are copies of each other."""
    blank = np.full(40, 20, dtype=np.uint8)
    one, other = (replace(chain(40, seed=k), residues=blank) for k in range(2))
    some = [replace(c, name=n) for n, c in zip("abc", (one, other, one), strict=True)]
    of = clusters_of(some, tmp_path)
    first, second, third = of.values()
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
