"""Any masked language model of `transformers` as a network, from a configuration or a folder.

The library is imported when a network is made. Its model keeps all but its last layer, which is
replaced by a head with one output for each id that can be predicted; kappa, where the network is
given, is added to the embeddings. Nothing is fetched and no code from a folder is run.
"""

import inspect
import json
from collections.abc import Set
from dataclasses import dataclass, replace
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, ClassVar

import torch
from huggingface_hub.errors import StrictDataclassError
from jaxtyping import Bool, Float, Int
from safetensors import SafetensorError
from torch import Tensor, nn

from feller.core.config import tagged
from feller.core.nn.embeddings import TimeEmbedding
from feller.core.nn.text_encoder import refuse_fetching
from feller.core.sizes import SizeError
from feller.text.definitions import Definition
from feller.text.networks.base import TextNetworkConfig
from feller.text.networks.entrances import embed, entrance, without_idle_parts, words
from feller.text.networks.refusals import (
    first_line,
    refuse_difference,
    refuse_one_sided,
)
from feller.text.vocabulary import Vocabulary

__all__ = ["HuggingFaceConfig", "HuggingFaceNetwork"]

# What transformers raises when a configuration is senseless, or a model's forward needs more.
_ABSENT = (ArithmeticError, AssertionError, AttributeError, LookupError)
_MISFITS = (*_ABSENT, RuntimeError, StrictDataclassError, TypeError, ValueError)
# What it raises when a folder's files are missing, or are not what they should be.
_CORRUPT = (*_MISFITS, OSError, EOFError, SafetensorError, UnpicklingError)


@tagged("text/huggingface")
@dataclass(frozen=True, kw_only=True)
class HuggingFaceConfig(TextNetworkConfig):
    """What a `HuggingFaceNetwork` is made of.

    Attributes:
        definition: The configuration as JSON, with its `model_type`, or the path of such a file
            (`config.json`), which is then read.
        pretrained: A folder with weights to start from; empty for fresh weights. Its own
            `config.json` says the same as the definition. It is read once: a model that is saved
            has weights of its own.
        mask: The id of the folder's own mask, whose embedding ours starts from.
        conditioned: Whether the network is conditioned on kappa; for a mask source it is not.

    Example:
        >>> HuggingFaceConfig(definition='{"model_type": "bert", "hidden_size": 32}').num_classes
        0
    """

    definition: Definition
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
            if "model_type" not in (fields := json.loads(text)):
                raise ValueError("it has no model_type")
            refuse_fetching(fields)
        except (OSError, RecursionError, ValueError) as error:
            reason = f"{self.definition[:80]} is not a configuration of transformers: {error}"
            raise ValueError(reason) from None
        object.__setattr__(self, "definition", text)

    def build(self, vocabulary: Vocabulary) -> "HuggingFaceNetwork":
        """Make the network.

        Raises:
            ValueError: When `transformers` knows no masked language model of this kind, it does
                not run without its last layer, or the folder does not hold its weights.
        """
        return HuggingFaceNetwork(self, vocabulary)


class HuggingFaceNetwork(nn.Module):
    """Tokens to hidden states by a model of `transformers`; the head turns those into logits.

    Args:
        config: The model's configuration.
        vocabulary: The ids; the model's embedding is cut or grown to them.

    Attributes:
        longest: Most elements that it has positions for; None where it needs none.
    """

    def __init__(self, config: HuggingFaceConfig, vocabulary: Vocabulary) -> None:
        super().__init__()
        self.config = replace(config, pretrained="", mask=None)
        if config.pretrained:
            model, missing = _pretrained(config)
            self.head = _head(model, vocabulary, missing)
            _refuse_missing(model, missing, config.pretrained)
        else:
            model = _fresh(config, vocabulary)
            self.head = _head(model, vocabulary, None)
        self.model = without_idle_parts(_grown(model, vocabulary, config.mask))
        self._mask = vocabulary.mask
        self.longest = _longest(model)
        self._masks = "attention_mask" in inspect.signature(model.forward).parameters
        if config.conditioned:
            self.embed_kappa = TimeEmbedding(256, model.get_input_embeddings().embedding_dim)
        self._try()

    @torch.no_grad()
    def _try(self) -> None:
        """Reject a model that does not run without its last layer."""
        length = 8 if self.longest is None else min(8, self.longest)
        self.eval()  # nothing is drawn
        try:
            self.head(self(torch.zeros(1, length, dtype=torch.long), torch.ones(1)))
        except _MISFITS as error:
            kind = self.model.config.model_type
            reason = f"network.definition: a {kind} does not run without its last layer: "
            raise ValueError(reason + first_line(error)) from None
        refuse_one_sided(self, length)
        self.train()

    def forward(
        self,
        x: Int[Tensor, "b n"],
        kappa: Float[Tensor, " b"] | Float[Tensor, "b n"],
        condition: None = None,
        valid: Bool[Tensor, "b n"] | None = None,
    ) -> Float[Tensor, "b n d"]:
        """Return the hidden states before the head; arguments as those of `TextTransformer`."""
        if self.longest is not None and x.shape[1] > self.longest:
            reason = f"a context of {x.shape[1]} is too long: the network has {self.longest}"
            raise ValueError(f"{reason} positions (max_position_embeddings)")
        seen = torch.ones_like(x) if valid is None else valid.long()
        embedded = embed(self.model, x, seen, self._mask)
        if self.config.conditioned:
            added = self.embed_kappa(kappa)
            embedded = embedded + (added[:, None] if added.ndim == 2 else added)
        if not self._masks:
            if valid is not None and not valid.all():
                kind = f"a {self.model.config.model_type}"
                raise ValueError(f"{kind} reads padding too: give it sequences of one length")
            return self.model(**entrance(self.model, embedded, seen)).logits
        return self.model(**entrance(self.model, embedded, seen), attention_mask=seen).logits


def _fresh(config: HuggingFaceConfig, vocabulary: Vocabulary) -> Any:
    from transformers import AutoConfig, AutoModelForMaskedLM

    fields = json.loads(config.definition)
    # They may be beyond the ids; but where padding is one of ours, positions may begin after it.
    special = {k: None for k in fields if k.endswith("_token_id") and k != "pad_token_id"}
    try:
        made = AutoConfig.for_model(**(fields | special))
        made.vocab_size = vocabulary.size
        if (getattr(made, "pad_token_id", None) or 0) >= vocabulary.size:
            made.pad_token_id = None
        model = AutoModelForMaskedLM.from_config(made, dtype=torch.float32)
    except SizeError:  # who counts reports it
        raise
    except _MISFITS as error:
        reason = f"transformers makes no masked language model of this: {first_line(error)}"
        raise ValueError(reason) from None
    words = model.get_input_embeddings()
    if words.padding_idx is not None:  # theirs is zero; ours is an id like any other
        with torch.no_grad():
            words.weight[words.padding_idx].normal_(std=float(words.weight.std()))
    return model


def _pretrained(config: HuggingFaceConfig) -> tuple[Any, Set[str]]:
    """Return the model of a folder, and the names of the weights the folder lacks."""
    from transformers import AutoConfig, AutoModelForMaskedLM

    folder = Path(config.pretrained)
    if not folder.is_dir():
        raise ValueError(f"network.pretrained is a folder, {folder} is none")
    try:
        theirs = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        made = AutoConfig.for_model(**theirs)
        ours = AutoConfig.for_model(**json.loads(config.definition))
        refuse_difference(ours.to_dict(), made.to_dict())
        model, found = AutoModelForMaskedLM.from_pretrained(
            folder,
            config=made,
            local_files_only=True,
            dtype=torch.float32,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # they are refused below, by name
        )
        for name, has, wants in found["mismatched_keys"]:
            raise ValueError(f"{name} has shape {tuple(has)}, its config.json has {tuple(wants)}")
    except SizeError:
        raise
    except _CORRUPT as error:
        reason = f"{folder} holds no masked language model of this definition: "
        raise ValueError(reason + first_line(error)) from None
    return model, found["missing_keys"]


def _refuse_missing(model: Any, missing: Set[str], folder: str) -> None:
    """Reject a folder that lacks weights of the model, whose last layer is out by now."""
    if lacking := sorted(missing & model.state_dict().keys()):
        raise ValueError(
            f"{folder} lacks {len(lacking)} weights of its model, {lacking[0]} among them: "
            "give a folder of the whole masked language model"
        )


def _head(model: Any, vocabulary: Vocabulary, missing: Set[str] | None) -> nn.Linear:
    """Take the last layer out of the model, and return one for the sampleable ids.

    It starts as theirs, or at zero where their weights are missing; None for all.
    """
    last = model.get_output_embeddings()
    if not isinstance(last, nn.Linear):
        kind = model.config.model_type
        raise ValueError(f"network.definition: a {kind} has no linear last layer: choose another")
    name = next(name for name, module in model.named_modules() if module is last)
    head = nn.Linear(last.in_features, vocabulary.sampleable)
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    known = min(vocabulary.sampleable, last.out_features)
    owner = model.get_submodule(name.rpartition(".")[0])
    own = getattr(owner, "bias", None)
    if missing is not None and f"{name}.weight" not in missing:
        with torch.no_grad():
            head.weight[:known] = last.weight[:known]
            bias = own if last.bias is None else last.bias
            if isinstance(bias, nn.Parameter):
                head.bias[:known] = bias[:known]
    model.set_output_embeddings(_Through())
    if isinstance(own, nn.Parameter):  # one for each id of theirs
        del owner.bias
        owner.bias = 0.0 if last.bias is None else None  # added by some, else the last layer's own
    return head


def _longest(model: Any) -> int | None:
    """Return how many positions the model has embeddings for; None where it needs none."""
    for name, table in model.named_modules():
        learned = name.rpartition(".")[2] in ("position_embeddings", "embed_positions")
        if learned and isinstance(table, nn.Embedding):
            first = 0 if table.padding_idx is None else table.padding_idx + 1
            rows = table.num_embeddings
            return min(rows - first, getattr(model.config, "max_position_embeddings", rows))
    return None


class _Through(nn.Module):
    """Instead of the last layer: hidden states pass; some models ask for its bias."""

    bias = None

    def forward(self, hidden: Tensor) -> Tensor:
        return hidden


def _grown(model: Any, vocabulary: Vocabulary, mask: int | None) -> Any:
    """Give the model one embedding for each id; those it lacks start as its mean, or its mask."""
    old = model.get_input_embeddings().weight.detach()
    table = nn.Embedding(vocabulary.size, old.shape[1])
    known = min(vocabulary.size, len(old))
    if mask is not None and not 0 <= mask < len(old):
        raise ValueError(f"network.mask is an id of the model, 0 to {len(old) - 1}, not {mask}")
    with torch.no_grad():
        table.weight[:] = old.mean(0)
        table.weight[:known] = old[:known]
        if mask is not None and vocabulary.mask is not None:
            table.weight[vocabulary.mask] = old[mask]
    model.set_input_embeddings(words(model, table))
    return model
