"""Figures of a text model: bits per byte of known laws, and samples beside the text."""

import math
from dataclasses import replace

import pytest
import texts
import torch
from tokenizers import Tokenizer as Library
from tokenizers import models, pre_tokenizers

from feller.text.corpora import DataError
from feller.text.data import TextData
from feller.text.metrics.report import features, likelihood, variety, windows_of
from feller.text.sampling import Sampling
from feller.text.tokenizers import Characters, Pieces, TokenizerError


@pytest.fixture
def data(tmp_path):
    file = tmp_path / "corpus.txt"
    file.write_text("abcd dcba " * 20)
    return TextData(path=str(file), test_fraction=0.0)


def figures(metrics):
    return {metric.name: metric for metric in metrics}


def test_windows_hold_the_whole_text(data):
    windows = windows_of(texts.model(), data)
    assert [len(w.ids) for w in windows] == [8] * 25
    assert sum(w.bytes for w in windows) == pytest.approx(200)
    text = "".join(texts.CODEC.decode(w.ids[None])[0] for w in windows)
    assert text == "abcd dcba " * 20


def test_ends_cost_and_have_no_bytes(data):
    codec = replace(texts.CODEC, has_end=True)
    windows = windows_of(texts.model(codec=codec), replace(data, separator="dcba "))
    assert len(windows) == 20
    assert [w.document for w in windows] == list(range(20))
    assert all(len(w.ids) == 6 and w.ids[-1] == 5 and w.bytes == pytest.approx(5) for w in windows)


@pytest.mark.parametrize("noise", ["mask", "uniform"])
def test_a_model_that_knows_nothing_needs_log_k_bits(noise, data):
    fresh = texts.config(noise, parametrization="leave_one_out").build().eval()
    per_byte, per_token = likelihood(fresh, data, draws=40)
    assert per_byte.name == "bits per byte"
    assert per_byte.value == pytest.approx(math.log2(5), rel=1e-5 if noise == "mask" else 0.05)
    assert per_token.value == pytest.approx(per_byte.value)
    assert "25 windows" in per_byte.protocol
    assert "interval over windows" in per_byte.protocol


def test_the_baseline_is_exact(data):
    model = texts.causal()
    per_byte = likelihood(model, data)[0]
    x = torch.stack([w.ids for w in windows_of(model, data)])
    expected = -float(model.log_probability(x).detach().double().sum()) / 200 / math.log(2)
    assert per_byte.value == pytest.approx(expected)
    assert "upper bound" not in per_byte.protocol
    assert per_byte.low < per_byte.value < per_byte.high


def test_bytes_are_those_of_utf_8(tmp_path):
    file = tmp_path / "accents.txt"
    file.write_text("éè" * 40, encoding="utf-8")
    codec = replace(texts.CODEC, tokenizer=Characters("éè"))
    model = texts.config(codec=codec).build().eval()
    per_byte, per_token = likelihood(model, TextData(path=str(file), test_fraction=0.0))
    assert per_token.value == pytest.approx(1)
    assert per_byte.value == pytest.approx(0.5)


def test_intervals_are_over_documents_where_there_are_enough(data):
    many = likelihood(texts.model(), replace(data, separator="dcba "), draws=2)[0]
    assert "interval over documents" in many.protocol


def test_empty_documents_are_none(data, tmp_path):
    folder = tmp_path / "many"
    folder.mkdir()
    for i in range(20):
        (folder / f"{i}.txt").write_text("")
    (folder / "text.txt").write_text("abcd dcba " * 20)
    data = replace(data, source="folder", path=str(folder), held_out="documents")
    found = likelihood(texts.causal(), data)[0]
    assert "1 documents" in found.protocol and "interval over windows" in found.protocol
    assert found.low < found.value < found.high
    codec = replace(texts.CODEC, has_end=True)
    assert {w.document for w in windows_of(texts.model(codec=codec), data)} == {0}


@pytest.mark.parametrize("seed", [2**64, -1])
def test_any_number_is_a_seed(data, seed):
    assert figures(variety(texts.model(), data, sampling=Sampling(steps=2), n=2, seed=seed))


def test_the_order_of_work_changes_nothing(data, monkeypatch):
    model = texts.model()
    before = likelihood(model, data, draws=2)[0].value
    monkeypatch.setattr("feller.text.metrics.report.BATCH", 3)
    assert likelihood(model, data, draws=2)[0].value == pytest.approx(before)
    assert likelihood(model, data, draws=2, seed=1)[0].value != before


def test_samples_beside_the_text(data):
    found = figures(variety(texts.model(), data, sampling=Sampling(steps=4), n=8))
    assert found["entropy of tokens"].value < math.log2(5)
    assert 0 <= found["repeated 4-grams"].value < 1
    assert 0 < found["distinct 1-grams"].value <= 5 / 64
    assert 0 < found["MAUVE by its own features"].value <= 1.01
    assert "compiles, 1 lines" not in found
    assert "8 samples" in found["entropy of tokens"].protocol


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_code_is_compiled(tmp_path, kind):
    codec = replace(texts.CODEC, tokenizer=Characters("abc =1\n"), length=64)
    model = texts.model(codec=codec)
    folder = tmp_path / "code"
    folder.mkdir()
    (folder / "one.py").write_text("a = 1\nb = 1\nc = 1\n" * 20)
    data = TextData(source="folder", path=str(folder), pattern="*.py", test_fraction=0.0)
    if kind == "file":
        data = TextData(path=str(folder / "one.py"), test_fraction=0.0)
    found = figures(variety(model, data, sampling=Sampling(steps=8), n=12))
    assert "where it is 1" in found["compiles, 2 lines"].protocol


def test_features_are_means_of_hidden_states(rng):
    model = texts.model()
    ids = torch.randint(5, (40, 8), generator=rng)
    found = features(model, ids)
    assert found.shape == (40, 16)
    alone = model.network(ids[:1], torch.ones(1)).mean(1)
    assert found[:1].allclose(alone.detach(), atol=1e-5)


def test_what_cannot_be_measured_is_refused(data, tmp_path):
    with pytest.raises(DataError, match=r"test split of .*corpus\.txt is empty"):
        likelihood(texts.model(), data, "test")
    with pytest.raises(ValueError, match="n is at least 2, not 1"):
        variety(texts.model(), data, n=1)
    with pytest.raises(DataError, match="has 1 whole windows"):
        (tmp_path / "corpus.txt").write_text("abcdabcd")
        variety(texts.model(), data)
    (tmp_path / "corpus.txt").write_text("abc!")
    with pytest.raises(TokenizerError, match=r"corpus\.txt: character '!'"):
        likelihood(texts.model(), data)


def test_what_a_tokenizer_loses_does_not_count(tmp_path):
    text = "a b c wonderfully " * 20
    (tmp_path / "corpus.txt").write_text(text)
    data = TextData(path=str(tmp_path / "corpus.txt"), test_fraction=0.0)
    model = texts.model(codec=replace(texts.CODEC, tokenizer=words("a", "b", "c")))
    windows = windows_of(model, data)
    known = [word for word in text.split() if word in ("a", "b", "c")]
    kept = len(" ".join(known))  # what is unknown, which comes back as [UNK], has no bytes
    assert sum(w.bytes for w in windows) == pytest.approx(kept) and kept < len(text)
    assert not any(w.exact for w in windows)
    assert "as a lossy tokenizer gives it back" in likelihood(model, data)[0].protocol
    (tmp_path / "corpus.txt").write_text(" ".join("abcabc"))
    assert all(w.exact for w in windows_of(model, data))


def words(*known):
    """A tokenizer of words, to which others are [UNK]."""
    vocabulary = {"[UNK]": 0} | {word: i for i, word in enumerate(known, 1)}
    made = Library(models.WordLevel(vocabulary, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return Pieces(made.to_str())
