"""`feller evaluate` on text."""

import json
from dataclasses import replace

import pytest
import texts
from terminal import complaint, feller

from feller.core.cards import ModelCard
from feller.core.checkpoint import save_model
from feller.text.data import TextData

CARD = ModelCard(name="toys/text")


@pytest.fixture
def corpus(tmp_path):
    file = tmp_path / "corpus.txt"
    file.write_text("abcd dcba " * 20)
    return file


@pytest.mark.parametrize("model", ["chain", "baseline"])
def test_figures_are_printed(model, corpus, request):
    folder = request.getfixturevalue(model)
    flags = ["--data.path", corpus, "-n", 4, "--steps", 2, "--draws", 2]
    code, out, _ = feller("evaluate", folder, *flags, "--json")
    assert code == 0
    found = {metric["name"]: metric for metric in json.loads(out)}
    assert found["bits per byte"]["low"] < found["bits per byte"]["value"]
    assert ("entropy of tokens" in found) == (model == "chain")
    code, table, _ = feller("evaluate", folder, *flags)
    assert code == 0
    assert table.count("\n") == len(found)


def test_a_model_is_measured_on_what_its_run_held_out(chain, corpus, monkeypatch):
    own = TextData(path=str(corpus), test_fraction=0.2)
    monkeypatch.setattr("feller.text.commands.evaluate.usual_data", lambda name: own)

    def protocol(*flags):
        out = feller("evaluate", chain, "-n", 0, "--draws", 1, "--json", *flags).out
        return json.loads(out)[0]["protocol"]

    assert protocol().startswith("corpus.txt (test): 1 documents, 5 windows")
    assert protocol("--split", "train").startswith("corpus.txt (train): 1 documents, 20 windows")
    assert protocol("--data.path", corpus).startswith("corpus.txt: 1 documents, 25 windows")


@pytest.mark.parametrize(
    ("text", "reason"),
    [("", "is empty"), ("abc!", "corpus.txt: character '!'"), (None, "is not a file")],
)
def test_a_text_that_cannot_be_measured_is_refused(chain, corpus, text, reason):
    corpus.unlink() if text is None else corpus.write_text(text)
    assert reason in complaint("evaluate", chain, "--data.path", corpus)


def test_a_text_of_one_window_has_a_likelihood(chain, corpus):
    corpus.write_text("abcdabcd")
    code, out, err = feller("evaluate", chain, "--data.path", corpus, "--draws", 1, "--json")
    assert code == 0
    assert [metric["name"] for metric in json.loads(out)] == ["bits per byte", "bits per token"]
    assert err.count("\n") == 1
    assert "no samples are measured: corpus.txt has 1 whole windows: two are needed" in err


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        (["-n", 1], "-n is 0, for no samples, or at least 2, not 1"),
        (["-n", -2], "-n is 0, for no samples, or at least 2, not -2"),
        (["--solver", "eular"], "unknown solver 'eular'"),
        (["--solver", "events"], "reveals masks, but the source is UniformTokens"),
    ],
)
def test_what_cannot_be_drawn_is_refused_before_the_long_work(
    tmp_path, corpus, monkeypatch, flags, reason
):
    monkeypatch.setattr("feller.text.metrics.report.likelihood", None)
    folder = save_model(texts.model("uniform"), tmp_path / "model", card=CARD)
    assert reason in complaint("evaluate", folder, "--data.path", corpus, *flags)


def test_contexts_too_short_for_runs_have_a_likelihood(tmp_path, corpus):
    codec = replace(texts.CODEC, length=3)
    short = save_model(texts.model(codec=codec), tmp_path / "short", card=CARD)
    flags = ("--data.path", corpus, "--data.length", 3, "-n", 2, "--steps", 2, "--draws", 1)
    code, out, err = feller("evaluate", short, *flags)
    assert code == 0
    assert "bits per byte" in out
    assert "no samples are measured: texts of 3 tokens have no runs of 4" in err
