"""Files of texts."""

import contextlib
import json

import pytest

from feller.text.writing import add_text, check_target

TEXTS = ["To be,\nor not", "naïve \x00"]


def add_all(out):
    for i, text in enumerate(TEXTS):
        add_text(text, out, {"nfe": i + 1}, first=i == 0)


def test_plain_text_has_a_rule_between(tmp_path):
    add_all(tmp_path / "deep" / "a.txt")
    written = (tmp_path / "deep" / "a.txt").read_text(encoding="utf-8")
    assert written.removesuffix("\n").split("\n" + "-" * 16 + "\n") == TEXTS


def test_the_terminal_looks_like_plain_text(tmp_path, capsys):
    add_all(tmp_path / "a.txt")
    add_all(None)
    assert capsys.readouterr().out == (tmp_path / "a.txt").read_text(encoding="utf-8")


def test_the_terminal_does_not_wait(tmp_path):
    with (tmp_path / "a.txt").open("w") as stream, contextlib.redirect_stdout(stream):
        add_text("To be", None, {}, first=True)
        assert (tmp_path / "a.txt").read_text() == "To be\n"


def test_what_the_terminal_lacks_is_a_question_mark(tmp_path):
    with (
        (tmp_path / "a.txt").open("w", encoding="cp1252") as stream,
        contextlib.redirect_stdout(stream),
    ):
        add_text("naïve 日本", None, {}, first=True)
    assert (tmp_path / "a.txt").read_text(encoding="cp1252") == "naïve ??\n"


def test_an_object_a_line(tmp_path):
    out = tmp_path / "a.jsonl"
    add_all(out)
    lines = out.read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in lines] == [
        {"text": TEXTS[0], "nfe": 1},
        {"text": TEXTS[1], "nfe": 2},
    ]
    add_text("again", out, {}, first=True)
    assert out.read_text() == '{"text": "again"}\n'


@pytest.mark.parametrize(
    ("name", "reason"), [("a.pdf", "ends in one of .txt"), ("b.txt", "folder")]
)
def test_what_cannot_be_written_is_refused(tmp_path, name, reason):
    (tmp_path / "b.txt").mkdir()
    with pytest.raises(ValueError, match=reason):
        check_target(tmp_path / name)
    with pytest.raises(ValueError, match=reason):
        add_text("", tmp_path / name, {}, first=True)
