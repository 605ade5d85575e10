"""Tokenizers that need no training: the bytes of a text, and the characters of an alphabet."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache

from feller.core.config import tagged
from feller.text.tokenizers.base import Tokenizer, TokenizerError

__all__ = ["LETTERS", "Bytes", "Characters", "alphabet_of"]

LETTERS = " abcdefghijklmnopqrstuvwxyz"
"""The 27 characters of text8."""


@tagged("text/bytes")
@dataclass(frozen=True)
class Bytes(Tokenizer):
    """The 256 bytes of UTF-8.

    Example:
        >>> Bytes().encode("é")
        [195, 169]
    """

    @property
    def size(self) -> int:
        """256."""
        return 256

    def encode(self, text: str) -> list[int]:
        """Return the bytes; lone surrogates stand for bytes that are not UTF-8."""
        try:
            return list(text.encode("utf-8", "surrogateescape"))
        except UnicodeEncodeError as error:
            found = text[error.start]
            raise TokenizerError(
                f"not Unicode text, give UTF-8: it holds {found!r} at {error.start}"
            ) from None

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of bytes."""
        return bytes(ids).decode("utf-8", "replace")


@tagged("text/characters")
@dataclass(frozen=True)
class Characters(Tokenizer):
    """A fixed alphabet, a character an id.

    Attributes:
        alphabet: The characters, in the order of their ids.

    Example:
        >>> Characters(LETTERS).encode("a b")
        [1, 0, 2]
    """

    alphabet: str = LETTERS

    def __post_init__(self) -> None:
        """Reject an alphabet that is empty or repeats itself."""
        if not self.alphabet or len(set(self.alphabet)) < len(self.alphabet):
            raise ValueError("an alphabet has at least one character, and none twice")

    @property
    def size(self) -> int:
        """Number of characters."""
        return len(self.alphabet)

    def encode(self, text: str) -> list[int]:
        """Return the position of each character in the alphabet."""
        positions = _positions(self.alphabet)
        try:
            return [positions[c] for c in text]
        except KeyError:
            where, c = next((i, c) for i, c in enumerate(text) if c not in positions)
            raise TokenizerError(
                f"character {c!r} (U+{ord(c):04X}, at {where}) is not one of the "
                f"{self.size} the tokenizer knows"
            ) from None

    def decode(self, ids: Sequence[int]) -> str:
        """Return the characters."""
        return "".join(self.alphabet[i] for i in ids)


def alphabet_of(texts: Iterable[str]) -> Characters:
    """Return the tokenizer whose alphabet is every character of some texts, in order.

    Example:
        >>> alphabet_of(["abba", "c"]).alphabet
        'abc'
    """
    found: set[str] = set()
    for text in texts:
        found |= set(text)
    return Characters("".join(sorted(found)))


@cache
def _positions(alphabet: str) -> dict[str, int]:
    return {c: i for i, c in enumerate(alphabet)}
