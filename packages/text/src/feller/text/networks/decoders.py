"""Decoders of `transformers` that attend both ways, as LLaDA, Dream and A2D made of them.

The blocks are those of Llama, Qwen2 or Qwen3; the mask of their attention is all ones. A network
that grew from an autoregressive one may keep its shift: the output at an element is then what the
element before it says (Dream).
"""

import json
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from feller.core.config import tagged
from feller.core.nn.text_encoder import refuse_fetching
from feller.core.sizes import SizeError
from feller.text.networks.base import TextNetworkConfig
from feller.text.networks.refusals import first_line, refuse_one_sided
from feller.text.vocabulary import Vocabulary

__all__ = ["DecoderConfig", "DecoderNetwork"]

FAMILIES = ("llama", "qwen2", "qwen3")


@tagged("text/decoder")
@dataclass(frozen=True, kw_only=True)
class DecoderConfig(TextNetworkConfig):
    """What a `DecoderNetwork` is made of.

    Attributes:
        definition: The configuration as JSON, with a `model_type` of llama, qwen2 or qwen3.
        shifted: Whether the output at an element is that of the element before.

    Example:
        >>> DecoderConfig(definition='{"model_type": "llama", "hidden_size": 32}').shifted
        False
    """

    definition: str
    shifted: bool = False
    conditioned: ClassVar[bool] = False
    num_classes: ClassVar[int] = 0
    causal: ClassVar[bool] = False

    def __post_init__(self) -> None:
        """Reject what is not a configuration of one of the families."""
        try:
            fields = json.loads(self.definition)
            refuse_fetching(fields)
            kind = fields.get("model_type")
        except (AttributeError, RecursionError, ValueError) as error:
            raise ValueError(f"network.definition is not a configuration: {error}") from None
        if kind not in FAMILIES:
            raise ValueError(f"network.definition has model_type {kind!r}, not {FAMILIES}")

    def build(self, vocabulary: Vocabulary) -> "DecoderNetwork":
        """Make a network with fresh weights.

        Raises:
            ValueError: When `transformers` makes none of the definition.
        """
        return DecoderNetwork(self, vocabulary)


class DecoderNetwork(nn.Module):
    """Tokens to hidden states by the blocks of a decoder; the head turns those into logits.

    Args:
        config: Its configuration.
        vocabulary: The ids.
    """

    def __init__(self, config: DecoderConfig, vocabulary: Vocabulary) -> None:
        super().__init__()
        from transformers import AutoConfig, AutoModel

        self.config = config
        fields: dict[str, Any] = json.loads(config.definition)
        special = {k: None for k in fields if k.endswith("_token_id")}
        own = {"vocab_size": vocabulary.size, "use_cache": False}
        try:
            kind = str(fields.pop("model_type"))
            made = AutoConfig.for_model(kind, **(fields | special | own))
            self.model = AutoModel.from_config(
                made, dtype=torch.float32, attn_implementation="sdpa"
            )
        except SizeError:
            raise
        except (ArithmeticError, LookupError, RuntimeError, TypeError, ValueError) as error:
            reason = f"network.definition: transformers makes no model of it: {first_line(error)}"
            raise ValueError(reason) from None
        self.head = nn.Linear(made.hidden_size, vocabulary.sampleable)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)
        refuse_one_sided(self, 2)

    def forward(
        self,
        x: Int[Tensor, "b n"],
        kappa: Float[Tensor, " b"] | Float[Tensor, "b n"],
        condition: None = None,
        valid: Bool[Tensor, "b n"] | None = None,
    ) -> Float[Tensor, "b n d"]:
        """Return the hidden states before the head; arguments as those of `TextTransformer`."""
        seen = torch.ones_like(x, dtype=torch.bool) if valid is None else valid
        mask = seen[:, None, None].expand(-1, 1, x.shape[1], -1)
        hidden = self.model(input_ids=x, attention_mask=mask).last_hidden_state
        return torch.cat([hidden[:, :1], hidden[:, :-1]], 1) if self.config.shifted else hidden
