"""The codec of text, between strings and sequences of ids.

A raw batch is what `TextData` reads: ids `int64 (b, n)` and how they were cut (`cut_name`). States
are the same ids; a mask, where the chain has one, is never in the data.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from feller.core.codec import Codec
from feller.core.config import tagged
from feller.core.typing import Rng
from feller.text.tokenizers import Bytes, Tokenizer, TokenizerError
from feller.text.vocabulary import Vocabulary

__all__ = ["HIDDEN", "TextCodec", "cut_name"]

HIDDEN = "\N{MEDIUM SHADE}"
"""How a masked token is shown."""


@tagged("text/codec")
@dataclass(frozen=True, kw_only=True)
class TextCodec(Codec):
    """Text of up to `length` tokens.

    Attributes:
        tokenizer: Text to ids and back.
        length: Tokens of a context.
        has_end: Whether documents end with an end-of-document token.

    Example:
        >>> codec = TextCodec(tokenizer=Bytes(), length=4)
        >>> codec.decode(codec.tokens("To be")[None, :2])
        ['To']
    """

    tokenizer: Tokenizer = field(default_factory=Bytes)
    length: int = 256
    has_end: bool = False

    def __post_init__(self) -> None:
        """Check that the length is positive."""
        if self.length < 1:
            raise ValueError(f"length is at least 1, not {self.length}")

    def vocabulary(self, *, has_mask: bool) -> Vocabulary:
        """Return the layout of the ids of a chain, with a mask or without."""
        return Vocabulary(tokens=self.tokenizer.size, has_end=self.has_end, has_mask=has_mask)

    def encode(self, raw: Sequence[Any], rng: Rng = None) -> tuple[Int[Tensor, "b n"], None]:
        """Take ids as they are, once they are known to be cut as this codec cuts.

        Raises:
            TokenizerError: When another tokenizer made them, with ends where the codec has none or
                without where it has, or in chunks of another length.
        """
        ids, cut = raw
        # Names are compared, not ids: to look at ids is to wait for an accelerator each step.
        if cut != cut_name(self.tokenizer, has_end=self.has_end):
            if cut == cut_name(self.tokenizer, has_end=not self.has_end):
                raise TokenizerError(
                    f"data.has_end is {not self.has_end} and model.codec.has_end {self.has_end}: "
                    "give both the same value"
                )
            raise TokenizerError(
                "the data are cut by another tokenizer than the model's: give data.tokenizer and "
                "model.codec.tokenizer the same value"
            )
        if ids.shape[1] != self.length:
            raise TokenizerError(
                f"data.length is {ids.shape[1]} and model.codec.length {self.length}: give both "
                "the same value"
            )
        return ids, None

    def decode(self, z: Int[Tensor, "b n"]) -> list[str]:
        """Return the text of each row: an end of document as a form feed, a mask as a shade."""
        return [self._text(row) for row in z.tolist()]

    def example(self, n: int) -> tuple[Int[Tensor, "b n"], None]:
        """Return `n` contexts of the first token."""
        return torch.zeros(n, self.length, dtype=torch.int64), None

    def drop(self, condition: Int[Tensor, " b"], where: Bool[Tensor, " b"]) -> Int[Tensor, " b"]:
        """Refuse: there are no conditions.

        Raises:
            ValueError: Always.
        """
        raise ValueError("text has no condition to drop: set training.condition_drop to 0")

    def tokens(self, text: str) -> Int[Tensor, " n"]:
        """Return the ids of a text.

        Raises:
            TokenizerError: When it holds something the tokenizer does not know.
        """
        return torch.tensor(self.tokenizer.encode(text), dtype=torch.int64)

    def _text(self, ids: list[int]) -> str:
        """Decode the runs between ends and masks."""
        parts, run = [], []
        for i in ids:
            if i < self.tokenizer.size:
                run.append(i)
                continue
            parts.append(self.tokenizer.decode(run))
            parts.append("\f" if self.has_end and i == self.tokenizer.size else HIDDEN)
            run = []
        return "".join([*parts, self.tokenizer.decode(run)])


def cut_name(tokenizer: Tokenizer, *, has_end: bool) -> str:
    """Return a name that data and a codec share only when they cut text to the same ids."""
    return tokenizer.fingerprint() + "+end" * has_end
