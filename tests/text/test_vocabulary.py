"""Vocabularies: tokens, then the end, then the mask."""

import pytest

from feller.core.config import decode, encode
from feller.text.vocabulary import Vocabulary


@pytest.mark.parametrize(
    ("has_end", "has_mask", "sampleable", "size", "end", "mask"),
    [
        (False, False, 5, 5, None, None),
        (True, False, 6, 6, 5, None),
        (False, True, 5, 6, None, 5),
        (True, True, 6, 7, 5, 6),
    ],
)
def test_the_layout(has_end, has_mask, sampleable, size, end, mask):
    vocabulary = Vocabulary(tokens=5, has_end=has_end, has_mask=has_mask)
    found = (vocabulary.sampleable, vocabulary.size, vocabulary.end, vocabulary.mask)
    assert found == (sampleable, size, end, mask)
    assert decode(encode(vocabulary)) == vocabulary


def test_a_vocabulary_has_a_token():
    with pytest.raises(ValueError, match="at least one token, not 0"):
        Vocabulary(tokens=0)
