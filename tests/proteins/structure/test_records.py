"""Records of PDB files: whose they are, and whether they are all there."""

from itertools import chain

import numpy as np
import pytest
from folds import regular

from feller.proteins.structure.atom_table import chains_of, columns_of_pdb
from feller.proteins.structure.chain import ATOMS
from feller.proteins.structure.records import check_whole, models_of_pdb, records_of_pdb


def atom(serial, name, number, place, *, letter=" ", segment="", residue="ALA"):
    x, y, z = place
    head = f"ATOM  {serial:>5}  {name:<3} {residue} {letter}{number:>4}    "
    return f"{head}{x:8.3f}{y:8.3f}{z:8.3f}  1.00  0.00      {segment:<4}{name[0]:>2}"


def lines_of(n, *, letter=" ", segment="", shift=0.0, first=1, names=ATOMS):
    atoms = regular(n).atoms + np.float32(shift)
    return [
        atom(i * 4 + k + 1, name, first + i, atoms[i, k], letter=letter, segment=segment)
        for i in range(n)
        for k, name in enumerate(names)
    ]


def read(*blocks):
    return chains_of(
        columns_of_pdb("\n".join([*chain.from_iterable(blocks), "END", ""]).encode()), "x"
    )


def told(chains):
    return [(c.name, len(c), c.letter) for c in chains]


def test_segments_tell_chains_apart_where_letters_do_not():
    """As CHARMM writes them, with neither letters nor TER."""
    one, other = lines_of(5, segment="PROA"), lines_of(7, segment="PROB", shift=40)
    assert told(read(one, other)) == [("x_PROA", 5, "PROA"), ("x_PROB", 7, "PROB")]
    after = lines_of(7, segment="PROB", shift=40, first=6)  # numbers go on
    assert told(read(one, after)) == [("x_PROA", 5, "PROA"), ("x_PROB", 7, "PROB")]
    assert told(read(one)) == [("x", 5, "")]
    same = lines_of(5, segment="PROA"), ["TER"], lines_of(7, segment="PROA", shift=40)
    assert told(read(*same)) == [("x__", 5, ""), ("x_B", 7, "B")]


def test_water_is_no_segment_that_counts():
    water = [atom(99, "O", 1, (0, 0, 0), segment="SOLV", residue="HOH")]
    assert told(read(lines_of(5, segment="PROA"), water)) == [("x", 5, "")]


def test_numbers_that_begin_again_tell_chains_apart():
    """As of a simulation without letters, segments or TER."""
    assert told(read(lines_of(5), lines_of(7, shift=40))) == [("x__", 5, ""), ("x_B", 7, "B")]


@pytest.mark.parametrize("between", [[], ["TER"]])
def test_one_letter_may_be_of_several_chains(between):
    """As of a tool that makes a letter of a segment's first, or writes A everywhere."""
    one = lines_of(5, letter="P", segment="PROA")
    other = lines_of(7, letter="P", segment="PROB", shift=40)
    assert told(read(one, between, other)) == [("x_PROA", 5, "PROA"), ("x_PROB", 7, "PROB")]
    plain = lines_of(5, letter="A"), between, lines_of(7, letter="A", shift=40)
    assert told(read(*plain)) == [("x_A", 5, "A"), ("x_C", 7, "C")]


def test_a_letter_is_of_one_chain_where_no_number_comes_twice():
    parts = lines_of(5, letter="A", segment="S1"), ["TER"], lines_of(7, letter="A", first=6)
    assert told(read(*parts)) == [("x", 12, "A")]
    back = lines_of(5, letter="A", first=500), lines_of(7, letter="A", first=6)
    assert told(read(*back)) == [("x", 12, "A")]


def test_more_chains_than_letters():
    blocks = [part for k in range(60) for part in (lines_of(2, shift=40.0 * k), ["TER"])]
    found = read(*blocks)
    assert [len(c) for c in found] == [2] * 60
    assert len({c.name for c in found}) == 60


@pytest.mark.parametrize(
    ("first", "second"), [("OT1", "OT2"), ("OC1", "OC2"), ("O", "OXT"), ("OXT", ""), ("OT", "")]
)
def test_the_oxygens_of_a_terminus_have_many_names(first, second):
    text = lines_of(5)
    place = regular(5).atoms[4, 3]
    text[-1] = atom(20, first, 5, place)
    if second:
        text.insert(-1, atom(21, second, 5, place + 2))  # before it, as some have it
    (found,) = read(text)
    assert found.atoms[4, 3] == pytest.approx(place, abs=1e-3)
    assert found.sequence == "AAAAA"


def test_a_file_that_is_cut_off_is_refused():
    """At every byte of its last two records, but at the end of one."""
    text = "\n".join(lines_of(3)) + "\n"
    width = text.index("\n") + 1
    for end in range(len(text) - 2 * width, len(text)):
        if end % width in (0, width - 1):
            check_whole(text[:end])
            continue
        with pytest.raises(ValueError, match=r"cut off\??$"):
            check_whole(text[:end])
    check_whole(text + "END")


def test_a_file_of_the_data_bank_ends_its_chains():
    text = "\n".join(["SEQRES   1 A    3  ALA ALA ALA", *lines_of(3), ""])
    with pytest.raises(ValueError, match="it has SEQRES, and ends in an atom"):
        check_whole(text)
    check_whole(text + "TER\n")


@pytest.mark.parametrize(
    ("before", "after"), [("MODEL        1", "ENDMDL"), ("MODEL        1", "TER"), ("", "END")]
)
def test_models_are_counted(before, after):
    one = [before, *lines_of(3), after]
    for count in (1, 2, 3):
        lines, found = models_of_pdb(["HEADER", *one * count, "END"])
        assert found == count
        assert [line for line in lines if line.startswith("ATOM")] == lines_of(3)
    assert models_of_pdb(["HEADER", "END"]) == (["HEADER", "END"], 0)


def test_records_are_completed():
    records, chains, free, resolution = records_of_pdb([lines_of(1)[0][:54]])
    assert records[0].endswith("  1.00  0.00           N  ") and len(records[0]) == 80
    assert chains == ["-"] and free == [False] and np.isnan(resolution)  # no CA, no chain


def hetero(lines, residue):
    return [f"HETATM{line[6:17]}{residue}{line[20:]}" for line in lines]


@pytest.mark.parametrize("ends", ["TER", "TER      21      ALA A   5", ""])
@pytest.mark.parametrize("sequence", ["ALA ALA ALA ALA ALA", "ALA ALA SEP ALA ORN", ""])
def test_a_free_amino_acid_is_no_residue(ends, sequence):
    """It comes after the end of its chain, or is none of its sequence."""
    head = [f"SEQRES   1 B    5  {sequence}"] * bool(sequence)
    alone = hetero(lines_of(1, letter="B", first=401, shift=60), "ORN")
    (found,) = read(head, lines_of(5, letter="B"), [ends], alone)
    free = bool(ends) or sequence.startswith("ALA ALA ALA")
    assert found.sequence == ("AAAAA" if free else "AAAAAX")


@pytest.mark.parametrize("ends", ["TER", ""])
def test_a_modified_residue_is_one_by_its_bond_or_where_its_chain_goes_on(ends):
    lines = lines_of(7, letter="B")
    bound = hetero(lines[12:16], "SEP")
    head = ["SEQRES   1 B    7  ALA ALA ALA ALA ALA ALA ALA"]
    assert read(head, lines[:12], [ends], bound, lines[16:])[0].sequence == "AAAXAAA"
    alone = hetero(lines_of(1, letter="B", first=8, shift=30), "SEP")
    after = lines_of(1, letter="B", first=12, shift=60)
    assert read(lines[:8], [ends], lines[16:20], alone, after)[0].sequence == "AAAXA"
