"""Any masked language model of `transformers` as a network, from a configuration or a folder.

The library is imported when a network is made. Its model keeps all but its last layer, which is
replaced by a head with one output for each id that can be predicted; kappa, where the network is
told, is added to the embeddings. Nothing is fetched and no code from a folder is run.
"""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar

import torch
import tyro
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from feller.core.config import tagged
from feller.core.nn.embeddings import TimeEmbedding
from feller.text.vocabulary import Vocabulary

__all__ = ["HuggingFaceConfig", "HuggingFaceNetwork"]


@tagged("text/huggingface")
@dataclass(frozen=True, kw_only=True)
class HuggingFaceConfig:
    """What a `HuggingFaceNetwork` is made of.

    Attributes:
        definition: The configuration as JSON, with its `model_type`, or the path of such a file
            (`config.json`), which is then read.
        pretrained: A folder with weights to start from; empty for fresh weights. It is read once:
            a model that is saved has weights of its own.
        mask: The id of the folder's own mask, whose embedding ours starts from.
        conditioned: Whether the network is told kappa; a network for a mask source is not.

    Example:
        >>> HuggingFaceConfig(definition='{"model_type": "bert", "hidden_size": 32}').num_classes
        0
    """

    definition: Annotated[str, tyro.conf.arg(metavar="FILE")]
    pretrained: str = ""
    mask: int | None = None
    conditioned: bool = False
    num_classes: ClassVar[int] = 0
    causal: ClassVar[bool] = False

    def __post_init__(self) -> None:
        """Read the file, and refuse what is not a configuration."""
        text = self.definition.strip()
        try:
            if not text.startswith("{"):
                text = Path(text).read_text(encoding="utf-8").strip()
            if "model_type" not in json.loads(text):
                raise ValueError("it has no model_type")
        except (OSError, ValueError) as error:
            reason = f"{self.definition[:80]} is no configuration of transformers: {error}"
            raise ValueError(reason) from None
        object.__setattr__(self, "definition", text)

    def build(self, vocabulary: Vocabulary) -> "HuggingFaceNetwork":
        """Make the network.

        Raises:
            ValueError: When `transformers` knows no masked language model of this kind, or the
                folder does not hold its weights.
        """
        return HuggingFaceNetwork(self, vocabulary)


class HuggingFaceNetwork(nn.Module):
    """Tokens to hidden states by a model of `transformers`; the head turns those into logits.

    Args:
        config: The model's configuration.
        vocabulary: The ids; the model's embedding is cut or grown to them.
    """

    def __init__(self, config: HuggingFaceConfig, vocabulary: Vocabulary) -> None:
        super().__init__()
        self.config = replace(config, pretrained="", mask=None)
        model = _pretrained(config) if config.pretrained else _fresh(config, vocabulary)
        self.head = _head(model, vocabulary, fresh=not config.pretrained)
        self.model = _grown(model, vocabulary, config.mask)
        if config.conditioned:
            self.embed_kappa = TimeEmbedding(256, model.config.hidden_size)

    def forward(
        self,
        x: Int[Tensor, "b n"],
        kappa: Float[Tensor, " b"] | Float[Tensor, "b n"],
        condition: None = None,
        valid: Bool[Tensor, "b n"] | None = None,
    ) -> Float[Tensor, "b n d"]:
        """Return the hidden states before the head; arguments as those of `TextTransformer`."""
        embedded = self.model.get_input_embeddings()(x)
        if self.config.conditioned:
            told = self.embed_kappa(kappa)
            embedded = embedded + (told[:, None] if told.ndim == 2 else told)
        seen = torch.ones_like(x) if valid is None else valid.long()
        return self.model(inputs_embeds=embedded, attention_mask=seen).logits


def _fresh(config: HuggingFaceConfig, vocabulary: Vocabulary) -> Any:
    from transformers import AutoConfig, AutoModelForMaskedLM

    fields = json.loads(config.definition) | {"vocab_size": vocabulary.size}
    special = {k: None for k in fields if k.endswith("_token_id")}  # they may be beyond the ids
    try:
        made = AutoConfig.for_model(**(fields | special | {"pad_token_id": None}))
        return AutoModelForMaskedLM.from_config(made, attn_implementation="sdpa")
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(f"transformers makes no masked language model of this: {error}") from None


def _pretrained(config: HuggingFaceConfig) -> Any:
    from transformers import AutoModelForMaskedLM

    folder = Path(config.pretrained)
    if not folder.is_dir():
        raise ValueError(f"network.pretrained is a folder, {folder} is none")
    try:
        return AutoModelForMaskedLM.from_pretrained(
            folder, local_files_only=True, attn_implementation="sdpa"
        )
    except (OSError, ValueError, KeyError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ValueError(f"{folder} holds no masked language model: {reason}") from None


def _head(model: Any, vocabulary: Vocabulary, *, fresh: bool) -> nn.Linear:
    """Take the model's last layer out of it, and return one for the sampleable ids."""
    last = model.get_output_embeddings()
    head = nn.Linear(last.in_features, vocabulary.sampleable)
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    if not fresh:
        known = min(vocabulary.sampleable, last.out_features)
        with torch.no_grad():
            head.weight[:known] = last.weight[:known]
            if last.bias is not None:
                head.bias[:known] = last.bias[:known]
    model.set_output_embeddings(_Through())
    return head


class _Through(nn.Module):
    """In the place of the last layer: hidden states pass; some models ask for its bias."""

    bias = None

    def forward(self, hidden: Tensor) -> Tensor:
        return hidden


def _grown(model: Any, vocabulary: Vocabulary, mask: int | None) -> Any:
    """Give the model one embedding for each id; those it lacks start as its mean, or its mask."""
    old = model.get_input_embeddings().weight.detach()
    table = nn.Embedding(vocabulary.size, old.shape[1])
    known = min(vocabulary.size, len(old))
    with torch.no_grad():
        table.weight[:] = old.mean(0)
        table.weight[:known] = old[:known]
        if mask is not None and vocabulary.mask is not None:
            table.weight[vocabulary.mask] = old[mask]
    model.set_input_embeddings(table)
    return model
