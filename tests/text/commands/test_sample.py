"""`feller sample` on text."""

import json

import pytest
from PIL import Image
from terminal import complaint, feller

from feller.text.commands import sample as commands


def test_texts_go_to_the_terminal(chain):
    code, out, err = feller("sample", chain, "-n", 2, "--prompt", "ab", "--steps", 4)
    assert (code, err) == (0, "")
    first, second = out.removesuffix("\n").split(f"\n{'-' * 16}\n")
    assert first.startswith("ab")
    assert second.startswith("ab")
    assert len(first) == len(second) == 8


def test_texts_go_to_files(chain, tmp_path):
    out = tmp_path / "texts.jsonl"
    code, told, _ = feller("sample", chain, "-n", 3, "--steps", 4, "--out", out, "--json")
    assert code == 0
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert len(lines) == 3
    assert json.loads(told)["nfe"] == max(line["nfe"] for line in lines) <= 4
    assert feller("sample", chain, "-n", 3, "--steps", 4, "--out", tmp_path / "a.txt").code == 0
    written = (tmp_path / "a.txt").read_text().removesuffix("\n")
    assert written.split(f"\n{'-' * 16}\n") == [line["text"] for line in lines]


@pytest.mark.parametrize("suffix", [".txt", ".jsonl", ""])
def test_texts_are_there_as_soon_as_their_batch_is_done(chain, tmp_path, monkeypatch, suffix):
    """A run that ends in its third batch leaves the texts of two, whole."""
    draw, done = commands.draw_batches, []

    def interrupted(*given, **options):
        for chains in draw(*given, **options):
            if len(done) == 2:
                raise KeyboardInterrupt
            done.append(chains)
            yield chains

    out = tmp_path / f"texts{suffix}"
    flags = ["-n", 6, "--steps", 2, "--batch-size", 2, *(["--out", out] if suffix else [])]
    whole = feller("sample", chain, *flags)
    usual = out.read_text() if suffix else whole.out
    monkeypatch.setattr(commands, "draw_batches", interrupted)
    stopped = feller("sample", chain, *flags)
    left = out.read_text() if suffix else stopped.out
    assert stopped.code != 0
    assert usual.startswith(left)
    rule = "\n" if suffix == ".jsonl" else f"\n{'-' * 16}\n"
    assert left.endswith("\n")
    assert len(left.removesuffix("\n").split(rule)) == 4


def test_json_in_the_terminal_holds_the_texts(chain):
    flags = ["-n", 3, "--steps", 4, "--batch-size", 2]
    code, told, _ = feller("sample", chain, *flags, "--json")
    assert code == 0
    report = json.loads(told)
    assert report["out"] is None
    plain = feller("sample", chain, *flags).out.removesuffix("\n")
    assert report["texts"] == plain.split(f"\n{'-' * 16}\n")


def test_a_picture_shows_what_came_when(chain, tmp_path):
    out = tmp_path / "a.png"
    assert feller("sample", chain, "--suffix", "d", "--out", out).code == 0
    with Image.open(out) as picture:
        assert picture.width > 100


def test_a_text_is_shown_as_it_comes(chain):
    code, out, err = feller("sample", chain, "--live", "--solver", "events", "--prompt", "ab")
    assert code == 0
    frames = err.split(commands.CLEAR)[1:-1]
    shown = [frame.removesuffix("\n") for frame in frames]
    assert [text.count("\N{MEDIUM SHADE}") for text in shown] == [6, 5, 4, 3, 2, 1, 0]
    assert shown[-1] == out.removesuffix("\n")


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        (["-n", "0"], "-n is at least 1, not 0"),
        (["--prompt", "abcdabcd"], "have 8 tokens, and the context 8: shorten them"),
        (["--prompt", "b\udcff"], "character '\\udcff' (U+DCFF, at 1)"),
        (["--prompt", "b\xe9"], "character '\xe9' (U+00E9, at 1) is not one of the 5"),
        (["--out", "a.pdf"], "--out ends in one of .txt, .jsonl, .png"),
    ],
)
def test_one_line_says_what_is_wrong(chain, flags, reason):
    assert reason in complaint("sample", chain, *flags)


def test_the_baseline_is_not_sampled(baseline):
    assert "only `feller evaluate` knows it" in complaint("sample", baseline)


def test_a_picture_is_of_the_first(chain, tmp_path):
    out = tmp_path / "a.png"
    told = feller("sample", chain, "-n", 3, "--steps", 1, "--out", out).out
    assert told.startswith(f"{out}: the first of 3 texts, 1 network calls each")


@pytest.mark.parametrize(("length", "said"), [(8, ""), (9, "9 tokens are more than the 8 that")])
def test_a_text_longer_than_those_of_training_is_reported(chain, length, said):
    code, out, err = feller("sample", chain, "--length", length, "--steps", 2)
    assert code == 0 and len(out.removesuffix("\n")) == length
    assert bool(err) == bool(said) and said in err
