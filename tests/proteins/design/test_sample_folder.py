"""The folder of samples: what is in it, and what is left alone."""

import numpy as np
import pytest
import structures

from feller.proteins.design.sample_folder import SHOWN, SampleFolder, soundness
from feller.proteins.structure.reading import read_chains

NAMES = ("a_0", "a_1")


def chains():
    return [structures.chain(12, name=name, seed=k) for k, name in enumerate(NAMES)]


def files(path):
    return sorted(p.relative_to(path).as_posix() for p in path.rglob("*") if p.is_file())


def test_all_that_is_written_is_foreseen(tmp_path):
    folder = SampleFolder(
        path=tmp_path / "s", names=NAMES, format="bcif", page=True, trajectories=True
    )
    folder.check()
    folder.add(chains(), [[chain.atoms + k for k in range(3)] for chain in chains()])
    folder.finish("a title")
    assert files(tmp_path / "s") == sorted(folder.files) == [
        "a_0.bcif", "a_1.bcif", "samples.fasta", "samples.html",
        "trajectories/a_0.bcif", "trajectories/a_1.bcif",
    ]  # fmt: skip
    assert "a title" in (tmp_path / "s" / "samples.html").read_text(encoding="utf-8")
    folder.check()  # its own files are replaced


def test_each_batch_is_there_before_the_next(tmp_path):
    first, second = chains()
    folder = SampleFolder(path=tmp_path, names=NAMES)
    folder.add([second])
    assert files(tmp_path) == ["a_1.pdb", "samples.fasta"]
    assert (tmp_path / "samples.fasta").read_text().startswith(f">a_1\n{second.sequence}")
    folder.add([first])
    assert (tmp_path / "samples.fasta").read_text() == (
        f">a_0\n{first.sequence}\n>a_1\n{second.sequence}\n"
    )
    assert [chain.sequence for chain in read_chains(tmp_path)] == [first.sequence, second.sequence]


def test_a_folder_is_of_one_run(tmp_path):
    SampleFolder(path=tmp_path, names=NAMES).add(chains())
    folder = SampleFolder(path=tmp_path, names=NAMES)
    folder.check()
    assert len(files(tmp_path)) == 3  # nothing goes before something comes
    folder.add(chains()[:1])
    assert files(tmp_path) == ["a_0.pdb", "samples.fasta"]


@pytest.mark.parametrize("file", ["notes.txt", "a_2.pdb", "a_0.cif", "trajectories/a_0.pdb"])
def test_what_is_another_s_is_left_alone(file, tmp_path):
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_text("years of work")
    with pytest.raises(ValueError, match=f"holds {file} already: choose another --out"):
        SampleFolder(path=tmp_path, names=NAMES).check()


def test_a_file_is_no_folder(tmp_path):
    for name in ("a.pdb", "file"):
        (tmp_path / "file").write_text("")
        with pytest.raises(ValueError, match="--out is a folder, not"):
            SampleFolder(path=tmp_path / name, names=NAMES).check()


def test_facts_stand_beside_a_sample(tmp_path):
    folder = SampleFolder(path=tmp_path, names=NAMES, trajectories=True)
    steps = [np.full((12, 4, 3), k, dtype=np.float32) for k in range(3 * SHOWN)]
    folder.add(chains()[:1], [steps])
    (sample,) = folder.samples
    assert sample.facts["residues"] == 12
    assert 3 < sample.facts["radius of gyration"] < 10
    assert len(sample.frames) == SHOWN
    assert sample.frames[0] is steps[0] and sample.frames[-1] is steps[-1]


def test_soundness_of_one_residue_is_none():
    assert soundness([structures.chain(1)]) == {"C-N bonds": None, "clashes": 0.0}


def test_hidden_files_are_nobodys(tmp_path):
    (tmp_path / ".DS_Store").write_text("")
    (tmp_path / ".a_0.pdb.partial").write_text("")
    SampleFolder(path=tmp_path, names=("a_0",)).check()
