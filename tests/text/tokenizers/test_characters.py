"""Bytes and characters: what has no id is named."""

import pytest

from feller.text.tokenizers import LETTERS, Bytes, Characters, TokenizerError


def test_the_27_letters():
    assert Characters().size == len(LETTERS) == 27


def test_bytes_that_are_no_text_are_shown():
    assert Bytes().decode([0xC3]) == "\ufffd"
    assert Bytes().encode(b"\xff".decode("utf-8", "surrogateescape")) == [0xFF]


def test_an_unknown_character_is_named():
    with pytest.raises(
        TokenizerError, match=r"character 'é' \(U\+00E9, at 3\) is not one of the 2"
    ):
        Characters("ab").encode("abbé")


@pytest.mark.parametrize("alphabet", ["", "aa"])
def test_an_alphabet_is_one(alphabet):
    with pytest.raises(ValueError, match="none twice"):
        Characters(alphabet)


def test_bytes_are_of_unicode_text():
    assert Bytes().encode("a\udcff") == [97, 255]  # a byte that is not UTF-8
    with pytest.raises(TokenizerError, match=r"give UTF-8: it holds '.ud800' at 1"):
        Bytes().encode("a\ud800")
