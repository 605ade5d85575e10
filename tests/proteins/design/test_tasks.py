"""What is drawn: tasks, lengths and batches, and what excludes what."""

import pytest
import structures

from feller.proteins.design.tasks import DesignFlags, plan
from feller.proteins.structure.writing import file_stem, write_chains


def rows(batches):
    """What each sample is made of: its length, its seed, its row."""
    return {
        name: (len(batch.given), batch.seed, batch.first + k)
        for batch in batches
        for k, name in enumerate(batch.names)
    }


def refusal(n=1, *, batch_size=None, **flags):
    with pytest.raises(ValueError) as caught:
        plan(DesignFlags(**flags), n, batch_size=batch_size)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def motif(tmp_path):
    (file,) = write_chains([structures.chain(20, first=160)], tmp_path / "motif.pdb")
    return file


def test_chains_of_one_length_are_rows_of_the_seed():
    batches = plan(DesignFlags(length="7"), 5, seed=3, batch_size=2)
    assert [batch.names for batch in batches] == [
        ("sample_0000", "sample_0001"), ("sample_0002", "sample_0003"), ("sample_0004",),
    ]  # fmt: skip
    assert [batch.rows for batch in batches] == [(0, 2), (2, 4), (4, 5)]
    assert {batch.seed for batch in batches} == {3}
    assert len(plan(DesignFlags(), 1)[0].given) == 80


def test_long_chains_are_drawn_fewer_at_once():
    sizes = {n: len(plan(DesignFlags(length=str(n)), 40)[0].names) for n in (1, 128, 512, 2000)}
    assert sizes == {1: 32, 128: 32, 512: 2, 2000: 1}


@pytest.mark.parametrize("task", ["length", "contigs"])
def test_a_sample_depends_on_the_seed_and_its_number_alone(task, motif):
    if task == "contigs":
        flags = DesignFlags(contigs="0-3,A163-165,2-4", motif=motif, length="6-9")
    else:
        flags = DesignFlags(length="6-9")
    many = rows(plan(flags, 60, seed=1))
    few = rows(plan(flags, 7, seed=1, batch_size=1))
    assert few == {f"sample_000{i}": many[f"sample_000{i}"] for i in range(7)}
    assert {length for length, _, _ in many.values()} == {6, 7, 8, 9}
    assert len({(seed, row) for _, seed, row in many.values()}) == 60  # none alike
    other = rows(plan(flags, 60, seed=2))
    assert any(many[name][0] != other[name][0] for name in many)
    assert not {seed for _, seed, _ in many.values()} & {seed for _, seed, _ in other.values()}


def test_a_scaffold_has_its_motif_where_the_contigs_say(motif):
    (batch,) = plan(DesignFlags(contigs="2,A163-165,1", motif=motif), 3, seed=9)
    assert batch.given.known["rotation"].tolist() == [False, False, True, True, True, False]
    assert batch.seed == 9
    assert len(plan(DesignFlags(contigs="4-4,5"), 1)[0].given) == 9


def test_every_sequence_is_folded(tmp_path):
    file = tmp_path / "a.fasta"
    file.write_text(">one\nMKV\n>two/2\nMKV\n")
    first, second = plan(DesignFlags(fold=str(file)), 2)
    assert (first.names, second.names) == (("one_0000", "one_0001"), ("two-2_0000", "two-2_0001"))
    assert first.seed != second.seed
    assert first.given.known["residue"].all()
    (alone,) = plan(DesignFlags(fold="MKVA"), 1, seed=4)
    assert (alone.names, alone.seed, len(alone.given)) == (("sample_0000",), 4, 4)
    file.write_text(">one\nMKV\n>one\nMKL\n")
    assert "2 chains are called one" in refusal(fold=str(file))


def test_samples_of_long_names_keep_their_numbers(tmp_path):
    file = tmp_path / "a.fasta"
    file.write_text(f">{'a' * 130}\nMKV\n>b\nMKV\n")
    names = [name for batch in plan(DesignFlags(fold=str(file)), 2) for name in batch.names]
    assert [file_stem(name) for name in names] == names
    assert [name[-5:] for name in names] == ["_0000", "_0001"] * 2
    file.write_text(f">{'a' * 130}\nMKV\n>{'a' * 131}\nMKV\n")
    assert "2 chains are called aaa" in refusal(fold=str(file))


def test_a_backbone_is_given_sequences(motif):
    (batch,) = plan(DesignFlags(inverse_fold=motif), 2)
    assert batch.given.known["translation"].all()
    assert not batch.given.known["residue"].any()


def test_what_excludes_what(motif):
    assert refusal(fold="MKV", contigs="5", inverse_fold=motif) == (
        "--fold and --inverse-fold and --contigs are different tasks: give one of them"
    )
    assert "--length is not for --fold" in refusal(fold="MKV", length="3")
    assert "--length is not for --inverse-fold" in refusal(inverse_fold=motif, length="3")
    assert "--motif needs --contigs" in refusal(motif=motif)
    assert "give its file with --motif" in refusal(contigs="5,A163")
    assert "-n is at least 1, not 0" in refusal(0)
    assert "--batch-size is at least 1, not 0" in refusal(batch_size=0)


def test_contigs_that_cannot_be(motif):
    reason = "3 to 8 residues, --length 9 asks for others"
    assert reason in refusal(contigs="0-5,A163-165", motif=motif, length="9")
    assert "keep no residue of --motif" in refusal(contigs="5,163-165,5", motif=motif)
    assert "may make no residue" in refusal(contigs="0-5")
    assert len(plan(DesignFlags(contigs="0-5", length="3"), 1)[0].given) == 3
    assert "motif has no residue 180" in refusal(contigs="A175-185", motif=motif)


def test_a_range_of_lengths_is_cut_to_what_contigs_can_make(motif):
    flags = DesignFlags(contigs="1-3,A163-165,1-3", motif=motif, length="7-40")
    lengths = {len(batch.given) for seed in range(12) for batch in plan(flags, 2, seed=seed)}
    assert lengths == {7, 8, 9}
