"""Reports: what is printed, what JSON holds, what the exit code says."""

import json
import sys
from dataclasses import replace

import pytest

from feller.core.verify import Residual, Verification
from feller.core.verify.report import Output, as_row, draw, report, report_model, table

RIGHT = Residual(0.5, "sin 1", 1.0, 1.001, 1.0, 0.002, 0.01)
WRONG = Residual(0.8, "cos 1", -2.0, -2.2, -2.0, 0.01, 0.05)
GOOD = Verification((RIGHT,), "quadrature", labels={"path": "gaussian", "generator": "flow"})
BAD = Verification(
    (RIGHT, WRONG), "pathwise", labels={"path": "gaussian", "generator": "jump"}, note="too fast"
)


def test_a_table_shows_the_worst_of_each(capsys):
    assert report([GOOD, BAD], Output()) == 1
    lines = capsys.readouterr().out.splitlines()
    heading = "path generator by t f d/dt E f E L f residual allowed"
    row = "gaussian flow quadrature 0.5 sin 1 +1.0000 +1.0010 1.0e-03 1.0e-02 pass"
    assert [" ".join(line.split()) for line in lines[:2]] == [heading, row]
    assert lines[2].split()[-1] == "FAIL"
    assert "cos 1" in lines[2]
    assert lines[-3] == "1 of 2 pass"
    assert lines[-2].startswith("errors below 1.0% are not resolved")
    assert lines[-1] == "too fast"


def test_details_show_every_residual():
    assert len(table([GOOD, BAD])) == 3
    assert len(table([GOOD, BAD], details=True)) == 4


def test_when_all_pass_the_code_is_0(capsys):
    assert report([GOOD], Output()) == 0
    last = "errors below 1.0% are not resolved (gaussian flow); seed 0"
    assert capsys.readouterr().out.endswith(f"1 of 1 pass\n{last}\n")


def test_json_has_one_row_for_each(capsys):
    assert report([GOOD, BAD], Output(json=True)) == 1
    rows = json.loads(capsys.readouterr().out)
    assert [row["passed"] for row in rows] == [True, False]
    assert rows[1]["generator"] == "jump"
    assert rows[1]["residual"] == pytest.approx(0.2)
    assert rows[1]["function"] == "cos 1"
    assert rows[1]["note"] == "too fast"
    assert "residuals" not in rows[1]


def test_json_details_hold_every_residual():
    row = as_row(BAD, details=True)
    assert [r["passed"] for r in row["residuals"]] == [True, False]
    assert row["residuals"][0]["standard_error"] == 0.002


def test_a_model_passes_below_a_threshold(capsys):
    error = BAD.relative()
    assert 0.04 < error < 0.1
    plain = replace(BAD, note="")
    assert report_model(plain, 0.1, Output()) == 0
    out = capsys.readouterr().out
    assert f"relative error {error:.3f}" in out
    assert "at most 0.1: pass" in out
    assert out.splitlines()[2].startswith("0.8  0.100           0.005")
    assert report_model(plain, 0.01, Output()) == 1
    assert "at most 0.01: FAIL" in capsys.readouterr().out
    assert report_model(BAD, 0.1, Output()) == 1  # for its note
    out = capsys.readouterr().out
    assert "at most 0.1: FAIL; errors below 0.004 are not resolved; seed 0\ntoo fast" in out


def test_a_model_in_json(capsys):
    plain = replace(BAD, note="")
    assert report_model(plain, 0.1, Output(json=True, details=True)) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row["threshold"] == 0.1
    assert row["passed"] is True
    assert len(row["residuals"]) == 2


def test_a_figure_is_drawn(tmp_path, capsys):
    for run in (
        lambda file: report([GOOD, BAD], Output(plot=file)),
        lambda file: report_model(BAD, 1.0, Output(plot=file)),
    ):
        run(tmp_path / "sides.png")
        assert (tmp_path / "sides.png").read_bytes().startswith(b"\x89PNG")
        (tmp_path / "sides.png").unlink()
    capsys.readouterr()


def test_without_matplotlib_a_figure_is_refused(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ValueError, match="--plot needs matplotlib: pip install matplotlib"):
        draw([GOOD], tmp_path / "sides.png")
