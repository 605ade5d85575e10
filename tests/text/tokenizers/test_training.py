"""The command that trains a tokenizer."""

import pytest

from feller.text.tokenizers import Pieces
from feller.text.tokenizers.training import main

TEXT = "the cat and the hat and the bat sat on the mat " * 20


@pytest.fixture
def corpus(tmp_path):
    file = tmp_path / "corpus.txt"
    file.write_text(TEXT)
    return file


def flags(corpus, out, size):
    return [
        "--data.path",
        str(corpus),
        "--size",
        str(size),
        "--out",
        str(out),
        "--data.test-fraction",
        "0",
    ]


def test_a_tokenizer_is_written(corpus, tmp_path, capsys):
    out = tmp_path / "new" / "tokenizer.json"
    assert main(flags(corpus, out, 270)) == 0
    pieces = Pieces(str(out))
    assert pieces.size == 270
    assert pieces.decode(pieces.encode(TEXT)) == TEXT
    assert "270 ids" in capsys.readouterr().out


def test_what_is_held_out_trains_no_tokenizer(corpus, tmp_path):
    corpus.write_text("abababab" * 100 + "xyxyxyxy" * 10)
    out = tmp_path / "tokenizer.json"
    assert main(flags(corpus, out, 258)[:-2]) == 0  # the last tenth is held out
    assert "xy" not in Pieces(str(out)).definition


@pytest.mark.parametrize(
    ("size", "name", "reason"),
    [
        (10, "new.json", "size is at least 256"),
        (270, "corpus.txt", "corpus.txt exists already"),
        (60_000, "new.json", "ids, not 60000"),
    ],
)
def test_what_is_wrong_is_one_line(corpus, tmp_path, capsys, size, name, reason):
    assert main(flags(corpus, tmp_path / name, size)) == 2
    said = capsys.readouterr().err
    assert reason in said
    assert said.count("\n") == 1


def test_a_text_is_needed(corpus, tmp_path, capsys):
    corpus.write_text("")
    assert main(flags(corpus, tmp_path / "new.json", 256)) == 2
    said = capsys.readouterr().err
    assert "corpus.txt is empty: give a file with text in it" in said
    assert main(["--size", "256", "--out", str(tmp_path / "new.json")]) == 2
    missing = capsys.readouterr().err
    assert "--data.path is missing" in missing
    assert said.count("\n") == missing.count("\n") == 1
    assert not (tmp_path / "new.json").exists()
