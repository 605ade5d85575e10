"""Tokenizers of others, the mask among their ids, and weights in our order of the ids.

Ours is: the ids of the tokenizer, then the mask. Theirs has the mask among them, or after them, and
often rows of padding after that. The mask is looked for in the configuration and the tokenizer's
files, and nowhere guessed.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from feller.core.checkpoint import CheckpointError
from feller.core.importing import Foreign
from feller.text.tokenizers import Pieces

__all__ = ["NEVER", "Words", "isolated", "letters_of", "words_of"]

NEVER = -1e6
"""Logit of what is never predicted."""


@dataclass(frozen=True)
class Words:
    """The ids of a model of others.

    Attributes:
        tokenizer: Their tokenizer.
        mask: The id of their mask; None where there is none.
    """

    tokenizer: Pieces
    mask: int | None

    def embedded(self, table: Tensor) -> Tensor:
        """Return their embeddings in our order of the ids.

        Raises:
            CheckpointError: When there are fewer than ids.
        """
        if len(table) < max(self.tokenizer.size, (self.mask or 0) + 1):
            raise CheckpointError(
                f"the weights embed {len(table)} ids, fewer than the tokenizer has"
            )
        own = table[: self.tokenizer.size]
        return own if self.mask is None else torch.cat([own, table[self.mask][None]])

    def predicted(self, weight: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return their last layer for the ids that can be predicted: all, and the mask never."""
        size = self.tokenizer.size
        bias = weight.new_zeros(len(weight)) if bias is None else bias
        bias = bias[:size].clone()
        if self.mask is not None and self.mask < size:
            bias[self.mask] = NEVER
        return weight[:size], bias


def words_of(foreign: Foreign, *, mask: bool, last: int | None = None) -> Words:
    """Find the tokenizer of a folder, and its mask.

    Args:
        foreign: The folder.
        mask: Whether the model has one.
        last: The id of the mask where no file names it: that after the tokenizer's, in families
            that add one; None for those that do not.

    Raises:
        CheckpointError: When there is no tokenizer, or nothing says which id the mask is.
    """
    tokenizer = _tokenizer(foreign)
    if not mask:
        return Words(tokenizer, None)
    named, configured = _named_mask(foreign, tokenizer), foreign.config.get("mask_token_id")
    if named is not None and configured is not None and named != configured:
        raise CheckpointError(
            f"the mask is {configured} in config.json of {foreign.path} and {named} in the "
            "tokenizer's files: give --set mask_token_id=ID and a tokenizer that agrees"
        )
    found = next((i for i in (configured, named) if i is not None), None)
    if found is None and last == tokenizer.size:
        found = last
    if found is None:
        raise CheckpointError(
            f"nothing in {foreign.path} says which id the mask is: give --set mask_token_id=ID"
        )
    return Words(tokenizer, int(found))


def letters_of(vocabulary: Path) -> Pieces:
    """Return the tokenizer of ESM-2: a line of `vocab.txt` each, letters but for `<...>`."""
    words = vocabulary.read_text(encoding="utf-8").split()
    ids = {word: i for i, word in enumerate(words)}
    special = [word for word in words if word.startswith("<")]
    added = [
        dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
        | {"id": ids[word], "content": word, "special": True}
        for word in special
    ]
    return Pieces(json.dumps(isolated(ids, "<unk>", added)))


def isolated(ids: dict[str, int], unknown: str | None, added: list[dict[str, Any]]) -> dict:
    """Return the definition of a tokenizer whose tokens are characters.

    Args:
        ids: The id of each.
        unknown: What stands for others; None for nothing.
        added: Tokens of several characters.
    """
    split = {"type": "Split", "pattern": {"Regex": r"[\s\S]"}, "behavior": "Isolated"}
    model = {"type": "WordLevel", "vocab": ids, "unk_token": unknown or ""}
    parts = {"version": "1.0", "added_tokens": added, "model": model}
    parts["pre_tokenizer"] = split | {"invert": False}
    none = dict.fromkeys(("truncation", "padding", "normalizer", "post_processor"))
    return parts | none | {"decoder": {"type": "Fuse"}}


def _tokenizer(foreign: Foreign) -> Pieces:
    given = foreign.options.get("tokenizer")
    home = Path(str(given)) if given else foreign.folder
    if home.is_file():
        return Pieces(str(home))
    if (home / "tokenizer.json").is_file():
        return Pieces(str(home / "tokenizer.json"))
    if foreign.config.get("model_type") == "esm" and (home / "vocab.txt").is_file():
        return letters_of(home / "vocab.txt")
    raise CheckpointError(
        f"{home} has no tokenizer.json: give that of the model, --set tokenizer=FILE (it is made "
        "by AutoTokenizer.from_pretrained(...).save_pretrained)"
    )


def _named_mask(foreign: Foreign, tokenizer: Pieces) -> int | None:
    """Return the id of the token that the tokenizer's files call the mask."""
    for file in ("tokenizer_config.json", "special_tokens_map.json"):
        token: Any = foreign.json(file).get("mask_token")
        text = token.get("content") if isinstance(token, dict) else token
        if text:
            ids = tokenizer.encode(text)
            if len(ids) != 1:
                raise CheckpointError(f"the mask {text!r} of {file} is not in the tokenizer")
            return ids[0]
    ids = tokenizer.special if foreign.config.get("model_type") == "esm" else ()
    return next((i for i in ids if tokenizer.decode([i]) == "<mask>"), None)
