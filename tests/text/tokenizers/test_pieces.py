"""Pieces: merges that shorten text, from a file or a definition."""

import pytest

from feller.text.corpora import documents
from feller.text.tokenizers import Pieces, TokenizerError, bundled_pieces

CODE = [d.text for d, _ in zip(documents("stdlib", ""), range(12), strict=False)]


@pytest.fixture(scope="module")
def pieces():
    return Pieces.train(CODE, 300)


def test_merges_shorten_text(pieces):
    text = CODE[-1]
    assert pieces.size == 300
    assert len(pieces.encode(text)) < 0.8 * len(text.encode())
    assert "{" not in repr(pieces)  # megabytes, for a large one


def test_training_is_the_same_each_time(pieces):
    assert Pieces.train(CODE, 300) == pieces


def test_a_definition_is_a_file_or_its_text(pieces, tmp_path):
    file = tmp_path / "tokenizer.json"
    file.write_text(pieces.definition, encoding="utf-8")
    assert Pieces(str(file)) == pieces


@pytest.mark.parametrize(
    ("definition", "reason"),
    [('{"a": 1}', "not the JSON of a tokenizer"), ("nowhere.json", "nowhere.json is not a read")],
)
def test_what_is_not_a_tokenizer_is_refused(definition, reason):
    with pytest.raises(TokenizerError, match=reason):
        Pieces(definition)


def test_sizes_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match="at least 256"):
        Pieces.train(CODE, 100)
    with pytest.raises(ValueError, match="the texts give 258 ids, not 300"):
        Pieces.train(["abab"], 300)


def test_the_bundled_tokenizer_knows_python():
    found = bundled_pieces("python-1023")
    assert found.size == 1023
    text = CODE[-1]
    assert 2 < len(text.encode()) / len(found.encode(text)) < 4
