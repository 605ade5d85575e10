"""Ids of texts that come in pieces, so that a text larger than memory is cut.

Bytes and characters know no neighbours. Pieces of the `tokenizers` library do: a text is encoded in
parts that overlap, and one part goes over into the next where a run of tokens is the same in both.
Away from the ends of a part its tokens are those of the whole text, as far as the tokenizer looks:
words for byte-pair merges. A tokenizer of another kind gets the text whole.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from feller.text.tokenizers.base import Tokenizer, TokenizerError, first_change
from feller.text.tokenizers.characters import Bytes, Characters
from feller.text.tokenizers.pieces import Pieces, Token

__all__ = ["Tally", "encode_pieces"]

OVERLAP = 2**12
"""Characters that two neighbouring parts share."""

RUN = 16
"""Tokens that are the same in both where one goes over into the next."""


@dataclass
class Tally:
    """What a tokenizer lost of a text.

    Attributes:
        ids: Ids so far.
        unknown: Those that stand for what the tokenizer does not know.
        change: The first part that does not come back as it was.
    """

    ids: int = 0
    unknown: int = 0
    change: str = ""

    def add(self, tokenizer: Tokenizer, text: str, ids: list[int]) -> None:
        """Count a part of a text."""
        self.ids += len(ids)
        self.unknown += 0 if tokenizer.unknown is None else ids.count(tokenizer.unknown)
        if not self.change:
            self.change = first_change(text, tokenizer.decode(ids))

    def take(self, other: "Tally") -> None:
        """Count a later part of the text, which another tally has counted."""
        self.ids += other.ids
        self.unknown += other.unknown
        self.change = self.change or other.change

    def sentence(self) -> str:
        """Return what there is to say; nothing where all comes back."""
        if not self.change:
            return ""
        said = f"the tokenizer is lossy on this text: {self.change}"
        return f"{said}; {self.unknown} of {self.ids} ids are unknown" if self.unknown else said


def encode_pieces(
    tokenizer: Tokenizer, pieces: Iterator[str], name: str, tally: Tally | None = None
) -> Iterator[list[int]]:
    """Yield the ids of a text, a list at a time.

    Args:
        tokenizer: The tokenizer.
        pieces: The text.
        name: What it is called where something is wrong.
        tally: Where what is lost is counted.

    Raises:
        TokenizerError: When the text holds something the tokenizer does not know.

    Example:
        >>> list(encode_pieces(Bytes(), iter(["ab", "c"]), "abc"))
        [[97, 98], [99]]
    """
    if isinstance(tokenizer, Pieces):
        yield from _spliced(tokenizer, pieces, name, tally)
        return
    apart = isinstance(tokenizer, Bytes | Characters)
    offset = 0
    for text in pieces if apart else ["".join(pieces)]:
        try:
            ids = tokenizer.encode(text)
        except TokenizerError as error:
            after = f", after {offset} characters" if offset else ""
            raise TokenizerError(f"{name}{after}: {error}") from None
        if tally is not None and not apart:
            tally.add(tokenizer, text, ids)
        offset += len(text)
        yield ids


def _spliced(
    tokenizer: Pieces, pieces: Iterator[str], name: str, tally: Tally | None
) -> Iterator[list[int]]:
    text, tokens, size, found = "", list[Token](), 0, False
    for piece in pieces:
        start = max(0, len(text) - OVERLAP)
        part = text[start:] + piece
        fresh = _tokens(tokenizer, part, name)
        if tally is not None:
            tally.add(tokenizer, part, [token.id for token in fresh])
        if (meeting := _meeting(tokens, fresh, start)) is None:
            # Nothing in common, as in a word without an end: one part ends, another begins.
            part, meeting = piece, (len(tokens), 0)
            fresh = _tokens(tokenizer, piece, name) if text else fresh
        yield [token.id for token in tokens[: meeting[0]]]
        text, tokens = part, fresh[meeting[1] :]
        size, found = size + len(piece), found or bool(fresh)
    if size and not found:
        raise TokenizerError(f"{name}: the tokenizer finds no token in {text[:20]!r}")
    yield [token.id for token in tokens]


def _meeting(old: list[Token], new: list[Token], start: int) -> tuple[int, int] | None:
    """Return how many old tokens to keep and how many new ones to leave out.

    Args:
        old: Tokens of a part.
        new: Tokens of the next.
        start: Where the next begins in the first.
    """
    known = {(t.id, t.start + start, t.end + start): j for j, t in enumerate(new)}
    run, last = 0, -1
    for i, token in enumerate(old):
        j = known.get(token, -1)
        run = run + 1 if j >= 0 and j == last + 1 else int(j >= 0)
        last, k = j, i - RUN // 2
        if run >= RUN and old[k].start >= old[k - 1].end:  # between characters, not within one
            return k, j - RUN // 2
    return None


def _tokens(tokenizer: Pieces, text: str, name: str) -> list[Token]:
    try:
        return tokenizer.tokens(text)
    except TokenizerError as error:
        raise TokenizerError(f"{name}: {error}") from None
