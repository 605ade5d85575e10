import numpy as np
import pytest

from feller.proteins.design.contigs import Kept, New, parse_contigs, rows_kept
from feller.proteins.structure.chain import Chain, codes_of


def chain(first=160, n=30, letters=None):
    atoms = np.zeros((n, 4, 3), dtype=np.float32)
    atoms[..., 0] = 3.8 * np.arange(n)[:, None]
    residues = codes_of(letters or "A" * n)
    return Chain("motif", atoms, residues, np.arange(first, first + n, dtype=np.int32))


def refusal(text, chains=None):
    with pytest.raises(ValueError) as error:
        parse_contigs(text).motif({"A": chain()} if chains is None else chains)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_segments():
    assert parse_contigs("10-40, A163-181/5 B-3--2 A7").segments == (
        New(10, 40),
        Kept("A", 163, 181),
        New(5, 5),
        Kept("B", -3, -2),
        Kept("A", 7, 7),
    )


def test_chains_of_any_name():
    """mmCIF names the chains of large assemblies by several letters, or by digits."""
    segments = parse_contigs("AA163-181,1:5-7,a2:-3--2,B:4").segments
    assert segments == (Kept("AA", 163, 181), Kept("1", 5, 7), Kept("a2", -3, -2), Kept("B", 4, 4))
    assert [str(s) for s in segments[:2]] == ["AA163-181", "1:5-7"]
    (part,) = parse_contigs("3,1:163-165").motif({"1": chain()})
    assert part.index.tolist() == [163, 164, 165]
    assert "contig 1:5-7: there is no chain 1; there are: A" in refusal("1:5-7")


@pytest.mark.parametrize("text", ["A", "10-", "A163-", "x12y", "1.5", "A1:3:5"])
def test_what_is_no_contig_is_named(text):
    assert f"{text!r} is neither a length" in refusal(text)


def test_impossible_contigs():
    assert "there is none" in refusal(" , ")
    assert "A9-3 ends before it begins" in refusal("A9-3")
    assert "9-3 ends before it begins" in refusal("9-3")
    assert "there is no chain B; there are: A" in refusal("B1-3")
    assert "motif has no residue 190" in refusal("A185-192")


def test_a_motif_that_is_not_whole():
    broken = chain()
    broken.atoms[7, 2] = np.nan
    assert "residue 167 of motif lacks C" in refusal("A163-170", {"A": broken})
    assert "residue 161 of motif is none of the canonical 20" in refusal(
        "A160-164", {"A": chain(letters="AX" + "A" * 28)}
    )
    torn = chain()
    torn.atoms[5:, :, 1] += 9.0
    assert "broken after residue 164" in refusal("A160-170", {"A": torn})
    assert len(parse_contigs("A160-164,3,A165-170").motif({"A": torn})) == 2


def test_kept_segments_that_meet_are_neighbours():
    apart = "contigs A163-164 and A170-171 are not neighbours in motif"
    assert apart in refusal("A163-164,A170-171")
    assert apart in refusal("A163-164,0-3,A170-171")
    assert "are not neighbours" in refusal("A165-166,0-0,A163-164")
    assert len(parse_contigs("A163-164,1,A170-171").motif({"A": chain()})) == 2
    assert len(parse_contigs("A163-164,0-0,A165-171").motif({"A": chain()})) == 2
    assert "A160-170 and A168-180 keep a residue twice" in refusal("A160-170,5,A168-180")


def test_numbers_that_several_residues_share_cannot_be_kept():
    several = chain(n=6)
    several.index[:] = [160, 161, 161, 162, 163, 164]
    assert "motif has several residues 161" in refusal("A160-162", {"A": several})
    assert "motif has several residues 161" in refusal("A161", {"A": several})
    (part,) = parse_contigs("A162-164").motif({"A": several})
    assert part.atoms[0, 0, 0] == pytest.approx(3.8 * 3)


@pytest.mark.parametrize("text", ["99999999999999999999", "A1-99999999999", "6000,A1-3,6000"])
def test_no_chain_is_so_long(text):
    assert "at most 10,000 residues, not " in refusal(text)


def test_a_motif_is_cut_out():
    (part,) = parse_contigs("5,A163-165").motif({"A": chain()})
    assert part.index.tolist() == [163, 164, 165]
    assert part.atoms[0, 0, 0] == pytest.approx(3.8 * 3)


def test_lengths_are_in_their_ranges_and_sum_up():
    contigs = parse_contigs("3-9,A163-167,0-6")
    drawn = np.array([contigs.lengths(seed=s) for s in range(300)])
    assert (drawn[:, 1] == 5).all()
    assert set(drawn[:, 0]) == set(range(3, 10)) and set(drawn[:, 2]) == set(range(7))
    fixed = [contigs.lengths(seed=s, total=15) for s in range(50)]
    assert {sum(lengths) for lengths in fixed} == {15} and len({tuple(x) for x in fixed}) > 3
    assert contigs.lengths(seed=3) == contigs.lengths(seed=3)
    for total in (7, 21):
        with pytest.raises(ValueError, match=f"8 to 20 residues, not the {total} asked for"):
            contigs.lengths(seed=0, total=total)


def test_a_break_of_the_chain_is_refused():
    with pytest.raises(ValueError, match="a design is one unbroken chain"):
        parse_contigs("A5-14/0 A30-40")
    assert parse_contigs("0-5,A3").extent == (1, 6)


def test_contigs_may_stand_in_brackets():
    """As RFdiffusion takes them."""
    plain = parse_contigs("5-15,A10-25,30-40")
    assert parse_contigs("[5-15/A10-25/30-40]") == plain
    assert parse_contigs(" [ 5-15, A10-25, 30-40 ]\n") == plain
    for text in ("[5-15/A10-25", "5-15/A10-25]", "[[5-15]]", "5,[A10-25]"):
        with pytest.raises(ValueError, match="is neither a length, 10-40, nor residues"):
            parse_contigs(text)
    with pytest.raises(ValueError, match="there is none"):
        parse_contigs("[]")


def test_residues_that_are_kept_are_all_there():
    """Of a range that reached beyond its chain, what is not there was ignored."""
    one, longer = chain(first=1, n=24), chain(first=1, n=30)
    assert rows_kept("A20-24,A2", [one]) == [[19, 20, 21, 22, 23, 1]]
    assert rows_kept("A23-26", [one, longer]) == [[22, 23], [22, 23, 24, 25]]
    for text, missing in (("A20-400", "25 of chain A"), ("A0-3", "0 of chain A")):
        with pytest.raises(ValueError, match=f"--keep {text}: no backbone has residue {missing}"):
            rows_kept(text, [one])
    gapped = one.only(np.delete(np.arange(24), 9))
    with pytest.raises(ValueError, match="no backbone has residue 10 of chain A"):
        rows_kept("A5-15", [gapped])
