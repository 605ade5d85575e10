"""Tokenizers of the `tokenizers` library, such as byte-pair merges trained on your own text."""

import json
from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

from feller.core.config import tagged
from feller.text.definitions import Definition
from feller.text.tokenizers.base import Tokenizer, TokenizerError

__all__ = ["Pieces", "Token", "bundled_pieces"]

_ENDS = {"<|endoftext|>", "<|end_of_text|>", "<|eot_id|>", "<|im_end|>", "<|eos|>"}
"""Of GPT-2 and what is trained on its ids, LLaDA, Llama and Qwen. Others' `</s>` may begin, too."""


class Token(NamedTuple):
    """A token of a text.

    Attributes:
        id: Its id.
        start: The first character it stands for.
        end: The one after its last.
    """

    id: int
    start: int
    end: int


@tagged("text/pieces")
@dataclass(frozen=True)
class Pieces(Tokenizer):
    """A tokenizer of the `tokenizers` library.

    Attributes:
        definition: What its file holds, as JSON, or the path of such a file (`tokenizer.json`),
            which is then read; empty in a recipe that leaves the choice open, and does not run.
    """

    definition: Definition

    def __post_init__(self) -> None:
        """Read the file, and refuse what is not a tokenizer."""
        text = self.definition
        if not text:
            return
        if not text.lstrip().startswith("{"):
            text = _read(Path(text))
        object.__setattr__(self, "definition", text.strip())
        _pieces(self.definition)

    def __repr__(self) -> str:
        """Leave the definition out: it may be megabytes."""
        if not self.definition:
            return "Pieces('')"
        return f"Pieces(size={self.size}, fingerprint={self.fingerprint()!r})"

    @property
    def size(self) -> int:
        """Number of ids."""
        return _pieces(self.definition).get_vocab_size()

    def encode(self, text: str) -> list[int]:
        """Return the ids; nothing is added at the ends."""
        ids = _encoded(self.definition, text).ids
        if text and not ids:
            raise TokenizerError(f"the tokenizer finds no token in {text[:20]!r}")
        return ids

    def tokens(self, text: str) -> list["Token"]:
        """Return the ids and the characters that each stands for; none where there is no token.

        Raises:
            TokenizerError: When it is not Unicode text.
        """
        found = _encoded(self.definition, text)
        return [Token(i, *span) for i, span in zip(found.ids, found.offsets, strict=True)]

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text, special tokens included."""
        return _pieces(self.definition).decode(list(ids), skip_special_tokens=False)

    @property
    def special(self) -> Set[int]:
        """Ids of tokens that the definition calls special, and of what is unknown."""
        return _special(self.definition)

    @property
    def ends(self) -> Set[int]:
        """Ids of special tokens by which decoders of published models end a text."""
        added = _pieces(self.definition).get_added_tokens_decoder()
        return frozenset(i for i in self.special if i in added and added[i].content in _ENDS)

    @property
    def unknown(self) -> int | None:
        """The id of what has none; None where all has."""
        return _unknown(self.definition)

    @classmethod
    def train(cls, texts: Iterable[str], size: int) -> "Pieces":
        """Merge the pairs of bytes that follow each other most often, until there are `size` ids.

        Source: Sennrich et al., arXiv 1508.07909, on bytes.

        Raises:
            ValueError: When `size` is below the 256 bytes, or the texts have too few pairs.
        """
        from tokenizers import Tokenizer as Library
        from tokenizers import decoders, models, pre_tokenizers, trainers

        if size < 256:
            raise ValueError(f"size is at least 256, the bytes, not {size}")
        made = Library(models.BPE())
        made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        made.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=size,
            initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
            show_progress=False,
        )
        made.train_from_iterator(texts, trainer)
        if made.get_vocab_size() < size:
            raise ValueError(f"the texts give {made.get_vocab_size()} ids, not {size}")
        return cls(made.to_str())


def bundled_pieces(name: str) -> Pieces:
    """Return a tokenizer that comes with this package.

    Example:
        >>> bundled_pieces("python-1023").size
        1023
    """
    return Pieces(str(Path(str(files("feller.text.tokenizers"))) / f"{name}.json"))


@cache
def _pieces(definition: str) -> Any:
    from tokenizers import Tokenizer as Library

    if not definition:
        raise TokenizerError(
            "no tokenizer is chosen: give a tokenizer.json as --model.codec.tokenizer.definition "
            "FILE --data.tokenizer.definition FILE (python -m feller.text.tokenizers trains one)"
        )
    try:
        made = Library.from_str(definition)
    except Exception as error:  # the library raises bare exceptions
        raise TokenizerError(f"not the JSON of a tokenizer: {error}") from None
    # A file may ask for either, made for another model's inputs: data are cut, not shortened.
    made.no_truncation()
    made.no_padding()
    if getattr(made.model, "dropout", None):
        made.model.dropout = None  # merges left out at random, for its own training
    ids, size = set(made.get_vocab().values()), made.get_vocab_size()
    if ids != set(range(size)):
        raise TokenizerError(
            f"the {size} tokens have ids up to {max(ids)}: ids are 0 ... {size - 1}, each once"
        )
    return made


@cache
def _special(definition: str) -> Set[int]:
    added = _pieces(definition).get_added_tokens_decoder()
    found = {i for i, token in added.items() if token.special}
    unknown = _unknown(definition)
    return frozenset(found if unknown is None else found | {unknown})


@cache
def _unknown(definition: str) -> int | None:
    made = json.loads(definition)["model"]
    if made.get("unk_token") is not None:
        return _pieces(definition).token_to_id(made["unk_token"])
    return made.get("unk_id")


def _encoded(definition: str, text: str) -> Any:
    try:
        return _pieces(definition).encode(text, add_special_tokens=False)
    except TypeError:  # what the library says of a lone surrogate
        raise TokenizerError(f"not Unicode text, give UTF-8: {text[:20]!r}") from None
    except TokenizerError:
        raise
    except Exception as error:  # bare, for text with no id where there is none for the unknown
        reason = f"the tokenizer has no id for something in {text[:20]!r}: {error}"
        raise TokenizerError(reason) from None


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        raise TokenizerError(f"{file} is not a readable tokenizer.json: {error}") from None
