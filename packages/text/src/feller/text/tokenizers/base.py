"""Tokenizers: text to ids and back. They are values, and travel inside a model's `config.json`."""

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Sequence

from feller.core.config import encode

__all__ = ["Tokenizer", "TokenizerError"]


class TokenizerError(ValueError):
    """A text has something the tokenizer does not know, or a tokenizer is not one."""


class Tokenizer(ABC):
    """A two-way translation between text and ids 0 ... size - 1."""

    @property
    @abstractmethod
    def size(self) -> int:
        """Number of ids."""

    @abstractmethod
    def encode(self, text: str) -> list[int]:
        """Return the ids of a text.

        Raises:
            TokenizerError: When the text holds something without an id.
        """

    @abstractmethod
    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of ids; what is not text becomes U+FFFD."""

    def encode_exactly(self, text: str) -> list[int]:
        """Return the ids of a text, once they are known to give it back.

        Raises:
            TokenizerError: When the text holds something without an id, or would come back changed.
        """
        ids = self.encode(text)
        if (back := self.decode(ids)) != text:
            pairs = enumerate(zip(text, back, strict=False))
            at = next((i for i, (a, b) in pairs if a != b), min(len(text), len(back)))
            raise TokenizerError(
                f"the tokenizer is lossy on this text: {text[at : at + 20]!r} (at {at}) comes back "
                f"as {back[at : at + 20]!r}; give text that it keeps"
            )
        return ids

    def fingerprint(self) -> str:
        """Return a name that two tokenizers share only when they are the same."""
        return hashlib.sha256(json.dumps(encode(self)).encode()).hexdigest()[:16]
