"""Texts in pieces: the ids of the whole, whatever the pieces are."""

import json

import pytest
from tokenizers import Tokenizer as Library
from tokenizers import decoders, models, normalizers, pre_tokenizers, trainers

from feller.text.corpora import documents
from feller.text.tokenizers import (
    Bytes,
    Characters,
    Pieces,
    Tokenizer,
    TokenizerError,
    bundled_pieces,
    streams,
)
from feller.text.tokenizers.streams import Tally, encode_pieces

CODE = "\n".join(d.text for d, _ in zip(documents("stdlib"), range(8), strict=False))[:60_000]
TEXT = CODE + " naïve — 東京 🙂 " * 20 + CODE[:2000]


def trained(model, trainer, **parts):
    made = Library(model)
    for name, part in parts.items():
        setattr(made, name, part)
    made.train_from_iterator([CODE], trainer)
    return Pieces(made.to_str())


def metaspace():
    """As of LLaMA or T5: a word begins with a mark, the first one, too."""
    return trained(
        models.Unigram(),
        trainers.UnigramTrainer(vocab_size=500, unk_token="<unk>", special_tokens=["<unk>"]),
        pre_tokenizer=pre_tokenizers.Metaspace(),
        decoder=decoders.Metaspace(),
    )


def words():
    """As of BERT: small letters, and no white space."""
    return trained(
        models.WordPiece(unk_token="[UNK]"),
        trainers.WordPieceTrainer(vocab_size=400, special_tokens=["[UNK]", "[PAD]"]),
        normalizer=normalizers.BertNormalizer(),
        pre_tokenizer=pre_tokenizers.BertPreTokenizer(),
        decoder=decoders.WordPiece(),
    )


def unbroken():
    """Merges over any characters, white space among them."""
    return trained(models.BPE(), trainers.BpeTrainer(vocab_size=400, special_tokens=[]))


TOKENIZERS = {
    "bytes": Bytes,
    "characters": lambda: Characters("".join(sorted(set(TEXT)))),
    "merges": lambda: bundled_pieces("python-1023"),
    "metaspace": metaspace,
    "words": words,
}


def streamed(tokenizer, text, size):
    pieces = (text[i : i + size] for i in range(0, len(text), size))
    return [i for ids in encode_pieces(tokenizer, pieces, "text") for i in ids]


@pytest.mark.parametrize("kind", TOKENIZERS)
@pytest.mark.parametrize("size", [997, 5000, 10**6])
def test_pieces_have_the_ids_of_the_whole(kind, size, monkeypatch):
    monkeypatch.setattr(streams, "OVERLAP", 512)
    tokenizer = TOKENIZERS[kind]()
    assert streamed(tokenizer, TEXT, size) == tokenizer.encode(TEXT)


@pytest.mark.parametrize(
    "text", ["", "a", "\n" * 9000, "a" * 9000, TEXT[:3000] + "=" * 9000 + TEXT]
)
def test_text_comes_back_where_parts_have_nothing_in_common(text, monkeypatch):
    monkeypatch.setattr(streams, "OVERLAP", 256)
    tokenizer = bundled_pieces("python-1023")
    assert tokenizer.decode(streamed(tokenizer, text, 1000)) == text
    endless = unbroken()
    known = "".join(c for c in text if c in CODE)
    back = endless.decode(streamed(endless, known, 1000))
    assert back.replace(" ", "") == known.replace(" ", "")


def test_no_more_than_a_part_is_encoded_at_once(monkeypatch):
    lengths = []

    def tokens(self, text):
        lengths.append(len(text))
        return usual(self, text)

    usual = Pieces.tokens
    monkeypatch.setattr(Pieces, "tokens", tokens)
    monkeypatch.setattr(streams, "OVERLAP", 256)
    for text in (TEXT, "a" * 50_000):
        streamed(bundled_pieces("python-1023"), text, 1000)
    assert max(lengths) <= 1256


def test_what_is_lost_is_counted():
    tally = Tally()
    list(encode_pieces(words(), iter(["def f", "oo(X): 東京"]), "text", tally))
    assert tally.unknown == 2
    assert tally.sentence().startswith("the tokenizer is lossy on this text: ")
    assert tally.sentence().endswith(f"; 2 of {tally.ids} ids are unknown")
    exact = Tally()
    list(encode_pieces(bundled_pieces("python-1023"), iter([TEXT]), "text", exact))
    assert exact.sentence() == "" and exact.ids > 0


def test_errors_say_where():
    with pytest.raises(TokenizerError, match=r"a\.txt, after 2 characters: character 'c'"):
        list(encode_pieces(Characters("ab"), iter(["ab", "c"]), "a.txt"))
    with pytest.raises(TokenizerError, match=r"a\.txt: not Unicode text"):
        list(encode_pieces(words(), iter(["\udcff"]), "a.txt"))
    with pytest.raises(TokenizerError, match=r"a\.txt: the tokenizer finds no token in"):
        list(encode_pieces(words(), iter([" ", "\n"]), "a.txt"))


def test_a_tokenizer_of_ones_own_gets_the_text_whole():
    class Whole(Tokenizer):
        size = 256

        def encode(self, text):
            return list(text.encode())[::-1]

        def decode(self, ids):
            return bytes(ids[::-1]).decode()

    assert list(encode_pieces(Whole(), iter(["ab", "c"]), "a")) == [[99, 98, 97]]


def test_special_and_unknown_ids_are_known():
    made = words()
    ids = json.loads(made.definition)["model"]["vocab"]
    assert made.special == {ids["[UNK]"], ids["[PAD]"]}
    assert made.unknown == ids["[UNK]"]
    assert metaspace().unknown == 0
    plain = bundled_pieces("python-1023")
    assert not plain.special and plain.unknown is None
    assert not Bytes().special and Bytes().unknown is None
