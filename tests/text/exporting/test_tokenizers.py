"""Tokenizers that are written: the ids of ours, and a mask."""

import json

import pytest
import torch

from feller.core.checkpoint import CheckpointError
from feller.text.codec import TextCodec
from feller.text.exporting.tokenizers import written
from feller.text.tokenizers import Bytes, Characters, Pieces, bundled_pieces

TEXT = "def f(x):\n    return x\t# ö\x00 '\n"


@pytest.mark.parametrize(
    "tokenizer", [Bytes(), Characters("".join(sorted(set(TEXT)))), bundled_pieces("python-1023")]
)
@pytest.mark.parametrize("has_end", [False, True])
def test_ids_are_ours(tokenizer, has_end):
    codec = TextCodec(tokenizer=tokenizer, has_end=has_end)
    found = written(codec, codec.vocabulary(has_mask=True))
    back = Pieces(found.definition)
    assert back.encode(TEXT) == tokenizer.encode(TEXT) and back.decode(back.encode(TEXT)) == TEXT
    assert back.size == found.size == tokenizer.size + has_end + 1
    assert back.encode(found.mask_name) == [found.mask] == [found.size - 1]
    assert found.mask in back.special and not found.own_mask


def test_a_mask_of_its_own_takes_the_embedding_of_ours():
    codec = TextCodec(tokenizer=Characters("ab"))
    own = written(codec, codec.vocabulary(has_mask=True)).definition
    codec = TextCodec(tokenizer=Pieces(own))
    found = written(codec, codec.vocabulary(has_mask=True))
    assert json.loads(found.definition) == json.loads(own)
    assert (found.size, found.mask, found.own_mask) == (3, 2, True)
    assert found.embedded(torch.arange(4)).tolist() == [0, 1, 3]
    assert found.predicted(torch.arange(3), -1e6).tolist() == [0, 1, 2]


def test_names_that_are_taken():
    codec = TextCodec(tokenizer=Pieces(json.dumps({
        "version": "1.0", "added_tokens": [],
        "model": {"type": "WordLevel", "vocab": {"a": 0, "[MASK]": 1}, "unk_token": "a"},
    })))  # fmt: skip
    with pytest.raises(CheckpointError, match=r"has '\[MASK\]', which would be added to it"):
        written(codec, codec.vocabulary(has_mask=True))
