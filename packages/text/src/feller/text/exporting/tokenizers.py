"""Tokenizers of ours as the `tokenizer.json` of the `tokenizers` library, with a mask."""

import json
from typing import Any, NamedTuple

import torch
from torch import Tensor

from feller.core.checkpoint import CheckpointError
from feller.text.codec import TextCodec
from feller.text.importing.vocabularies import isolated
from feller.text.tokenizers import Bytes, Characters, Pieces
from feller.text.vocabulary import Vocabulary

__all__ = ["Written", "written"]

_MASKS = ("[MASK]", "<mask>", "<|mask|>")
_END = "<|endoftext|>"


class Written(NamedTuple):
    """A tokenizer that was written.

    Attributes:
        definition: What `tokenizer.json` holds.
        size: How many ids it has.
        mask: That of the mask.
        mask_name: How the mask is written in a text.
        own_mask: Whether the mask is among the ids that our model predicts.
    """

    definition: str
    size: int
    mask: int
    mask_name: str
    own_mask: bool

    def embedded(self, table: Tensor) -> Tensor:
        """Return our embeddings, the mask's last, in the order of its ids."""
        found = table[: self.size].clone()
        found[self.mask] = table[-1]
        return found

    def predicted(self, rows: Tensor, mask: float) -> Tensor:
        """Return a row for each id, of which the mask's is `mask` where we have none."""
        if self.own_mask:
            return rows
        return torch.cat([rows, torch.full_like(rows[:1], mask)])


def written(codec: TextCodec, vocabulary: Vocabulary) -> Written:
    """Return the tokenizer of a codec with the end of a document, where it has one, and a mask.

    Args:
        codec: The codec.
        vocabulary: The ids of its model.

    Raises:
        CheckpointError: When the tokenizer is of no kind that the library has.

    Example:
        >>> codec = TextCodec(tokenizer=Characters("ab"))
        >>> found = written(codec, codec.vocabulary(has_mask=True))
        >>> found.size, found.mask, found.mask_name
        (3, 2, '[MASK]')
    """
    made = _library(codec.tokenizer)
    own = next((name for name in _MASKS if _is_special(made, name)), None)
    if own is not None and not codec.has_end:
        mask = made.token_to_id(own)
        return Written(made.to_str(), made.get_vocab_size(), mask, own, own_mask=True)
    names = [_END] * codec.has_end + [own or _MASKS[0]]
    if taken := [name for name in names if made.token_to_id(name) is not None]:
        raise CheckpointError(f"the tokenizer has {taken[0]!r}, which would be added to it")
    from tokenizers import AddedToken

    made.add_special_tokens([AddedToken(n, normalized=False) for n in names])  # pyright: ignore[reportArgumentType]
    if made.get_vocab_size() != vocabulary.size:
        raise CheckpointError(
            f"the tokenizer has {made.get_vocab_size()} ids with its mask, the model "
            f"{vocabulary.size}"
        )
    return Written(made.to_str(), vocabulary.size, vocabulary.size - 1, names[-1], own_mask=False)


def _is_special(made: Any, name: str) -> bool:
    return any(t.special and t.content == name for t in made.get_added_tokens_decoder().values())


def _library(tokenizer: Any) -> Any:
    """Return a tokenizer as one of the library."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    kind = type(tokenizer)
    if kind is Pieces:
        return Tokenizer.from_str(tokenizer.definition)
    if kind is Characters:
        ids = {character: i for i, character in enumerate(tokenizer.alphabet)}
        return Tokenizer.from_str(json.dumps(isolated(ids, None, [])))
    if kind is not Bytes:
        raise CheckpointError(f"a {kind.__name__} is not a tokenizer of the library `tokenizers`")
    made = Tokenizer(models.BPE(vocab=_of_bytes(), merges=[]))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    made.decoder = decoders.ByteLevel()
    return made


def _of_bytes() -> dict[str, int]:
    """Return the characters by which the library writes bytes (those of GPT-2), by their byte."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in plain]
    shown = {byte: chr(byte) for byte in plain}
    shown |= {byte: chr(256 + i) for i, byte in enumerate(others)}
    return {shown[byte]: byte for byte in range(256)}
