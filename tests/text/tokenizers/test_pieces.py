"""Pieces: merges that shorten text, from a file or a definition."""

import pytest
from tokenizers import Tokenizer as Library
from tokenizers import models

from feller.text.corpora import documents
from feller.text.tokenizers import Pieces, TokenizerError, bundled_pieces

CODE = [d.text for d, _ in zip(documents("stdlib"), range(12), strict=False)]


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


def test_a_file_that_asks_for_it_neither_cuts_nor_pads(pieces):
    made = Library.from_str(pieces.definition)
    made.enable_truncation(4)
    made.enable_padding(length=64, pad_id=0, pad_token="!")
    asking = Pieces(made.to_str())
    for text in ("def", CODE[-1]):
        assert asking.encode(text) == pieces.encode(text)
        assert asking.encode_exactly(text) == asking.encode(text)


def test_ids_with_holes_are_refused():
    made = Library(models.WordLevel({"a": 0, "b": 1, "c": 7}, unk_token="a"))
    with pytest.raises(TokenizerError, match=r"3 tokens have ids up to 7: ids are 0 \.\.\. 2"):
        Pieces(made.to_str())


def test_half_a_character_is_refused(pieces):
    with pytest.raises(TokenizerError, match="not Unicode text, give UTF-8"):
        pieces.encode("a\udcff")


def test_text_that_is_lost_is_refused():
    made = Library(models.WordLevel({"a": 0, "[UNK]": 1}, unk_token="[UNK]"))
    words = Pieces(made.to_str())
    assert words.encode_exactly("a") == [0]
    with pytest.raises(TokenizerError, match=r"lossy on this text: 'b' \(at 0\) comes back as '.U"):
        words.encode_exactly("b")


@pytest.mark.parametrize(
    "model",
    [
        models.WordLevel({"a": 0}, unk_token="[UNK]"),
        models.WordPiece({"a": 0}, unk_token="[UNK]"),
        models.Unigram([("a", 0.0)]),
    ],
)
def test_text_without_an_id_is_refused(model):
    """A file that names no token for the unknown; its library raises a bare exception."""
    pieces = Pieces(Library(model).to_str())
    assert pieces.encode("a") == [0]
    with pytest.raises(TokenizerError, match="has no id for something in 'c'"):
        pieces.encode("c")


def test_merges_are_not_left_out_at_random(pieces):
    made = Library.from_str(pieces.definition)
    made.model.dropout = 0.5
    assert Pieces(made.to_str()).encode(CODE[0]) == pieces.encode(CODE[0])


def test_a_file_with_a_mark_of_byte_order(pieces, tmp_path):
    (tmp_path / "a.json").write_text(pieces.definition, encoding="utf-8-sig")
    assert Pieces(str(tmp_path / "a.json")) == pieces
