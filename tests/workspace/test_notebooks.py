"""Notebooks: each road has one, without outputs, that runs without Jupyter."""

import json
from pathlib import Path

import pytest

import run_notebook

HOME = Path(__file__).parents[2] / "docs" / "notebooks"
NOTEBOOKS = sorted(HOME.glob("*.ipynb"))


def test_each_road_has_a_notebook():
    assert [file.stem for file in NOTEBOOKS] == ["fine_tune", "import", "own", "share"]


@pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.stem)
def test_nothing_that_was_run_is_kept(file):
    book = json.loads(file.read_text(encoding="utf-8"))
    assert (book["nbformat"], book["cells"][0]["cell_type"]) == (4, "markdown")
    for cell in book["cells"]:
        if cell["cell_type"] == "code":
            assert (cell["outputs"], cell["execution_count"]) == ([], None)
            compile("".join(cell["source"]), file.name, "exec")


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.stem)
def test_it_runs(file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "Agg")
    monkeypatch.delenv("HF_TOKEN", raising=False)
    run_notebook.run(file)


def test_a_cell_that_fails_is_named_and_a_last_value_is_shown(tmp_path, capsys):
    cells = [
        {"cell_type": "code", "source": source} for source in (["a = 1\n", "a + 1"], ["1 / 0"])
    ]
    (tmp_path / "x.ipynb").write_text(json.dumps({"cells": [{"cell_type": "markdown"}, *cells]}))
    with pytest.raises(ZeroDivisionError) as caught:
        run_notebook.run(tmp_path / "x.ipynb")
    assert caught.value.__notes__ == [f"in cell 2 of {tmp_path / 'x.ipynb'}"]
    assert capsys.readouterr().out == "2\n"
