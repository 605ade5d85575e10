"""Tokenizers: texts come back, and a tokenizer is known by its name."""

import pytest

from feller.core.config import decode, encode
from feller.text.tokenizers import Bytes, Characters, alphabet_of, bundled_pieces

TEXTS = ["def f(x):\n    return x + 1\n", "To be, or not to be", "naïve — 東京\t\x00", ""]
TOKENIZERS = [Bytes(), alphabet_of(TEXTS), bundled_pieces("python-1023")]
every_tokenizer = pytest.mark.parametrize(
    "tokenizer", TOKENIZERS, ids=["bytes", "characters", "pieces"]
)


@every_tokenizer
@pytest.mark.parametrize("text", TEXTS)
def test_texts_come_back(tokenizer, text):
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text
    assert all(0 <= i < tokenizer.size for i in ids)


@every_tokenizer
def test_tokenizers_survive_json(tokenizer):
    again = decode(encode(tokenizer))
    assert again == tokenizer
    assert again.fingerprint() == tokenizer.fingerprint()


def test_each_has_a_name_of_its_own():
    names = {t.fingerprint() for t in [*TOKENIZERS, Characters("ab"), Characters("ba")]}
    assert len(names) == 5
