"""Texts as conditions: the mean hidden state of a frozen encoder of `transformers`, in a folder.

The encoder is read once, when the model is made, and its weights are saved with the model's: a
saved model needs no folder. No code of a folder is run and nothing is fetched.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from einops import repeat
from jaxtyping import Int
from torch import Tensor, nn

from feller.core.conditions import NOTHING
from feller.core.config import tagged
from feller.core.nn.conditions import Condition, check_drop
from feller.core.sizes import SizeError

__all__ = ["TextCondition", "refuse_fetching"]


@tagged("text_condition")
@dataclass(frozen=True, kw_only=True)
class TextCondition(Condition):
    """A text, as the ids `(b, n)` of its tokens, -1 after its end; a row of -1 for none.

    Attributes:
        encoder: The folder of the encoder, and of its tokenizer.
        definition: Its `config.json`; read from the folder if empty.
        drop: Fraction of training samples for which the condition is dropped.

    Raises:
        ValueError: When the folder has no configuration.
    """

    encoder: str
    definition: str = ""
    drop: float = 0.1

    def __post_init__(self) -> None:
        """Read the configuration."""
        check_drop(self.drop)
        try:
            text = self.definition or (Path(self.encoder) / "config.json").read_text("utf-8")
            if "model_type" not in (fields := json.loads(text)):
                raise ValueError("it has no model_type")
            refuse_fetching(fields)
        except (OSError, RecursionError, ValueError) as error:
            raise ValueError(f"{self.encoder} is not an encoder of transformers: {error}") from None
        object.__setattr__(self, "definition", text)

    def build(self, dim: int) -> nn.Module:
        """Make the encoder, frozen, and a linear layer.

        Raises:
            ValueError: When `transformers` is not installed, or makes none of this.
        """
        return _TextEmbedding(self, dim)

    def check(self, value: Tensor) -> str:
        """Return whether it is no ids."""
        right = value.ndim == 2 and not value.is_floating_point()
        return "" if right else f"ids (b, n), not {value.dtype} {tuple(value.shape)}"

    def tokens(self, texts: Sequence[str]) -> Int[Tensor, "b n"]:
        """Return the ids of texts, as the tokenizer in the encoder's folder has them.

        Raises:
            ValueError: When there is none.
        """
        from transformers import AutoTokenizer

        try:
            tokenizer: Any = AutoTokenizer.from_pretrained(self.encoder, local_files_only=True)
        except (OSError, ValueError) as error:
            first = str(error).strip().splitlines()[0]
            raise ValueError(f"{self.encoder} has no tokenizer: {first}") from None
        found = [tokenizer(text, truncation=True)["input_ids"] for text in texts]
        longest = max((len(ids) for ids in found), default=0)
        return torch.tensor([[*ids, *[NOTHING] * (longest - len(ids))] for ids in found])


class _TextEmbedding(nn.Module):
    """The frozen encoder, the mean of its hidden states, and a linear layer."""

    def __init__(self, config: TextCondition, dim: int) -> None:
        super().__init__()
        self.folder = config.encoder
        self.encoder, self.known = _encoder(config)
        self.encoder.requires_grad_(False).eval()
        width = self.encoder.config.hidden_size
        self.out = nn.Linear(width, dim)
        self.null = nn.Parameter(0.02 * torch.randn(dim))
        self.register_load_state_dict_pre_hook(_loaded)

    def train(self, mode: bool = True) -> "_TextEmbedding":
        """Set the mode of all but the encoder, which draws nothing."""
        super().train(mode)
        self.encoder.eval()
        return self

    def forward(self, value: Tensor | None, *, batch: int) -> Tensor:
        if value is None:
            return repeat(self.null, "d -> b d", b=batch)
        if not self.known:
            raise ValueError(f"the folder of the text encoder is missing: {self.folder}")
        seen = value >= 0
        known = seen.any(1, keepdim=True)
        seen = seen | ~known  # of nothing at all an encoder makes no numbers
        with torch.no_grad():
            found = self.encoder(input_ids=value.clamp_min(0), attention_mask=seen.long())
            hidden = found.last_hidden_state * seen[..., None]
            mean = hidden.sum(1) / seen.sum(1, keepdim=True)
        return torch.where(known, self.out(mean.to(self.out.weight.dtype)), self.null)


def _loaded(module: Any, *_: Any) -> None:
    module.known = True


def _encoder(config: TextCondition) -> tuple[Any, bool]:
    """Return the encoder, and whether its weights are those of its folder."""
    try:
        from transformers import AutoConfig, AutoModel
    except ImportError:
        raise ValueError("a text condition needs a package: pip install transformers") from None
    try:
        made = AutoConfig.for_model(**json.loads(config.definition))
        known = Path(config.encoder).is_dir()
        model: Any = (
            AutoModel.from_pretrained(
                config.encoder, config=made, local_files_only=True, use_safetensors=True
            )
            if known
            else AutoModel.from_config(made)
        )
    except SizeError:
        raise
    except (ArithmeticError, AttributeError, LookupError, OSError, TypeError, ValueError,
            RuntimeError) as error:  # fmt: skip
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ValueError(f"{config.encoder} is not an encoder of transformers: {first}") from None
    whole = model.get_encoder() if getattr(made, "is_encoder_decoder", False) else model
    return whole.to(torch.float32), known


def refuse_fetching(fields: Any, name: str = "") -> None:
    """Reject an implementation that would be fetched as code.

    Args:
        fields: A configuration of `transformers`.
        name: The field it is in, if any.

    Raises:
        ValueError: When a field names one.

    Example:
        >>> refuse_fetching({"attn_implementation": "sdpa"})
    """
    if hasattr(fields, "items"):
        for key, value in fields.items():
            refuse_fetching(value, name if name.endswith("_implementation") else key)
    elif name.endswith("_implementation") and "/" in str(fields):
        raise ValueError(
            f"{name} {str(fields)[:60]!r} would fetch code: name one of its own, as 'sdpa'"
        )
