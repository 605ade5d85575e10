"""The text codec: ids of its own tokenizer, and text that says where it ends."""

import pytest
import torch

from feller.core.codec import Codec
from feller.core.config import decode, encode
from feller.text.codec import HIDDEN, TextCodec, cut_name
from feller.text.tokenizers import Bytes, Characters, TokenizerError


def test_ids_pass_unchanged():
    codec = TextCodec(length=4)
    ids = torch.arange(8).view(2, 4)
    z, condition = codec.encode((ids, Bytes().fingerprint()))
    assert isinstance(codec, Codec)
    assert z.equal(ids)
    assert condition is None


def test_ids_of_another_tokenizer_are_refused():
    ids = torch.zeros(1, 4, dtype=torch.int64)
    with pytest.raises(TokenizerError, match="another tokenizer than the model's"):
        TextCodec(tokenizer=Characters("ab")).encode((ids, Characters("ba").fingerprint()))


def test_text_comes_back():
    codec = TextCodec()
    rows = torch.stack([codec.tokens(text) for text in ("To be", "or no")])
    assert codec.decode(rows) == ["To be", "or no"]
    assert codec.tokens("").dtype == torch.int64


def test_ends_and_masks_are_shown():
    codec = TextCodec(tokenizer=Characters("ab"), has_end=True)
    vocabulary = codec.vocabulary(has_mask=True)
    row = torch.tensor([[0, 1, vocabulary.end, vocabulary.mask, 0]])
    assert codec.decode(row) == [f"ab\f{HIDDEN}a"]
    assert TextCodec(tokenizer=Characters("ab")).decode(torch.tensor([[2, 0]])) == [f"{HIDDEN}a"]


def test_there_is_no_condition_to_drop():
    with pytest.raises(ValueError, match="condition_drop to 0"):
        TextCodec().drop(torch.zeros(1, dtype=torch.int64), torch.ones(1, dtype=torch.bool))


def test_a_context_has_a_token():
    with pytest.raises(ValueError, match="length is at least 1"):
        TextCodec(length=0)


def test_codecs_survive_json():
    codec = TextCodec(tokenizer=Characters("\n ab"), length=7, has_end=True)
    assert decode(encode(codec)) == codec


def test_ids_cut_with_or_without_ends_are_refused():
    ids, codec = torch.zeros(1, 4, dtype=torch.int64), TextCodec(length=4)
    ended = TextCodec(length=4, has_end=True)
    names = [cut_name(Bytes(), has_end=has_end) for has_end in (False, True)]
    assert ended.encode((ids, names[1]))[0].equal(ids)
    with pytest.raises(TokenizerError, match=r"data\.has_end is True and model\.codec\.has_end Fa"):
        codec.encode((ids, names[1]))
    with pytest.raises(TokenizerError, match=r"data\.has_end is False and model\.codec\.has_end T"):
        ended.encode((ids, names[0]))


@pytest.mark.parametrize("length", [3, 5])
def test_windows_of_another_length_are_refused(length):
    ids = torch.zeros(1, length, dtype=torch.int64)
    with pytest.raises(TokenizerError, match=f"data.length is {length} and model.codec.length 4"):
        TextCodec(length=4).encode((ids, Bytes().fingerprint()))
