"""`feller export`: what it says. What it writes is held by the tests of each library."""

import pictures

from feller.core.cli import main


def test_the_library_and_the_folder_are_asked_for(tmp_path, capsys):
    folder = pictures.save(tmp_path / "tiny")
    out = tmp_path / "out"
    assert main(["export", str(folder), "--to", "keras", "--out", str(out)]) == 2
    assert "keras holds no model of type images/model; of these diffusers does" in (
        capsys.readouterr().err
    )
    assert not out.exists()
