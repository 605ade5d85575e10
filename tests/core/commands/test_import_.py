"""`feller import`: its flags. What it makes is held by the tests of each family."""

import pytest

from feller.core.cli import main
from feller.core.commands.import_ import _parsed


def test_values_are_json_or_words():
    assert _parsed("a=3") == ("a", 3) and _parsed("a=[1, 2]") == ("a", [1, 2])
    assert _parsed("a=b=c") == ("a", "b=c")


@pytest.mark.parametrize("flags", [["--set", "a"], ["--set", "=3"]])
def test_a_field_without_a_value_is_refused(flags, tmp_path, capsys):
    assert main(["import", str(tmp_path), "--out", str(tmp_path / "o"), *flags]) == 2
    assert "--set takes NAME=VALUE" in capsys.readouterr().err


def test_a_folder_that_is_none(tmp_path, capsys):
    assert main(["import", str(tmp_path / "none"), "--out", str(tmp_path / "o")]) == 2
    assert capsys.readouterr().err.endswith("none is neither a folder nor a file\n")
