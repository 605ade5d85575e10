"""The vocabulary of a chain: which ids a token takes, and which of them a network may predict.

Ids 0 ... sampleable - 1 come first: the tokenizer's, then the end of a document where there is one.
The mask, where the source needs one, is the last id; it is a state and never a prediction. Padding
is no state at all: where sequences differ in length, a boolean `valid` says which elements exist.
"""

from dataclasses import dataclass

from feller.core.config import tagged

__all__ = ["Vocabulary"]


@tagged("text/vocabulary")
@dataclass(frozen=True, kw_only=True)
class Vocabulary:
    """The layout of the ids.

    Attributes:
        tokens: Number of the tokenizer's ids.
        has_end: Whether an end of document follows them.
        has_mask: Whether a mask is the last id.

    Example:
        >>> Vocabulary(tokens=27, has_mask=True).size
        28
    """

    tokens: int
    has_end: bool = False
    has_mask: bool = False

    def __post_init__(self) -> None:
        """Check that there is at least one token."""
        if self.tokens < 1:
            raise ValueError(f"a vocabulary has at least one token, not {self.tokens}")

    @property
    def sampleable(self) -> int:
        """Number of ids a network predicts and a sample consists of."""
        return self.tokens + self.has_end

    @property
    def size(self) -> int:
        """Number of all ids."""
        return self.sampleable + self.has_mask

    @property
    def end(self) -> int | None:
        """The id of the end of a document."""
        return self.tokens if self.has_end else None

    @property
    def mask(self) -> int | None:
        """The id of the mask."""
        return self.sampleable if self.has_mask else None
