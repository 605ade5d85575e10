"""Tokenizers: text to ids and back. They are values, and travel inside a model's `config.json`."""

import hashlib
import json
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence, Set

from feller.core.config import encode
from feller.core.errors import OneLineError

__all__ = ["Tokenizer", "TokenizerError", "first_change"]


class TokenizerError(OneLineError, ValueError):
    """A text has something the tokenizer does not know, or a tokenizer is not one."""


class Tokenizer(ABC):
    """A two-way translation between text and ids 0 ... size - 1.

    Attributes:
        special: Ids that no text has but those that name them, such as padding or a class.
        ends: Those special ids that end a text, which texts that are joined have between them.
        unknown: The id of whatever has none; None where there is no such id.
    """

    special: Set[int] = frozenset()
    ends: Set[int] = frozenset()
    unknown: int | None = None

    @property
    def undrawn(self) -> Set[int]:
        """Ids that no sample has: the special ones, but those that end a text."""
        return self.special - self.ends

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
        if change := first_change(text, self.decode(ids)):
            raise TokenizerError(
                f"the tokenizer is lossy on this text: {change}; give text that it keeps"
            )
        return ids

    def names(self) -> tuple[str, ...]:
        """Return what each id stands for: its text, or where that is not text, the id of its own.

        Ids of two tokenizers that have one name mean the same.
        """
        texts, own = [self.decode([i]) for i in range(self.size)], self.fingerprint()
        count = Counter(texts)
        return tuple(
            text if count[text] == 1 and text and "\ufffd" not in text else f"{own} {i}"
            for i, text in enumerate(texts)
        )

    def fingerprint(self) -> str:
        """Return a name that two tokenizers share only when they are the same."""
        return hashlib.sha256(json.dumps(encode(self)).encode()).hexdigest()[:16]


def first_change(text: str, back: str) -> str:
    """Return a sentence on where a text that comes back is another; nothing where it is the same.

    Example:
        >>> first_change("To be", "to be")
        "'To be' (at 0) comes back as 'to be'"
    """
    if back == text:
        return ""
    pairs = enumerate(zip(text, back, strict=False))
    at = next((i for i, (a, b) in pairs if a != b), min(len(text), len(back)))
    return f"{text[at : at + 20]!r} (at {at}) comes back as {back[at : at + 20]!r}"
