"""Masked models of `transformers`, with their tokenizer, as a folder that `transformers` reads.

A `HuggingFaceNetwork` is a model of theirs whose last layer has a row for each id that can be
predicted. Here the layer goes back, with a row for the mask that is never predicted. Where the
tokenizer has a mask of its own it takes our mask's embedding; otherwise one is added, as the last
id.

Our own transformer is none of theirs: it has norms with shifts before attention, rotary positions
and one linear layer at the end. ESM-2 and ModernBERT, which are nearest, put another layer and a
norm before the last.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from feller.core.checkpoint import CheckpointError
from feller.text.exporting.tokenizers import Written, written
from feller.text.importing.vocabularies import NEVER
from feller.text.networks import HuggingFaceConfig

__all__ = ["to_transformers"]


def to_transformers(model: Any, folder: Path) -> dict[str, str]:
    """Write a masked language model of `transformers` into an empty folder.

    Args:
        model: A `TextModel` of a `HuggingFaceNetwork`.
        folder: The folder.

    Returns:
        How it is to be read.

    Raises:
        CheckpointError: When no model of `transformers` is that.
    """
    network = getattr(model.config, "network", None)
    if type(network) is not HuggingFaceConfig:
        raise CheckpointError(
            f"no masked model of transformers is a {type(network).__name__}: a HuggingFaceConfig "
            "is (ESM-2 and ModernBERT, the nearest to our transformer, end in two more layers)"
        )
    if network.conditioned or model.config.noise != "mask":
        raise CheckpointError(
            "a network that is shown kappa is not a masked model of transformers: one with "
            "network.conditioned false is"
        )
    words = written(model.codec, model.vocabulary)
    theirs = _whole(model.network, words)
    theirs.save_pretrained(folder)
    (folder / "tokenizer.json").write_text(words.definition, encoding="utf-8")
    names = {"tokenizer_class": "PreTrainedTokenizerFast", "mask_token": words.mask_name}
    text = json.dumps(names | {"model_max_length": model.codec.length}, indent=2) + "\n"
    (folder / "tokenizer_config.json").write_text(text, encoding="utf-8")
    return {
        "network": f"{type(theirs).__name__}: AutoModelForMaskedLM.from_pretrained(DIR)",
        "tokens": f"{words.size} ids, AutoTokenizer.from_pretrained(DIR); the mask is "
        f"{words.mask_name!r}, their id {words.mask}",
        "schedule": f"{model.config.schedule}, of which their files say nothing",
    }


def _whole(network: Any, words: Written) -> Any:
    """Return their model with all of its layers and our weights.

    Raises:
        CheckpointError: When its last layer has no bias, which keeps the mask from being predicted.
    """
    from transformers import AutoConfig, AutoModelForMaskedLM

    fields = json.loads(network.config.definition)
    kept = {k: v for k, v in fields.items() if not _beyond(k, v, words.size)}
    own = {"vocab_size": words.size, "mask_token_id": words.mask, "tie_word_embeddings": False}
    made = AutoConfig.for_model(**(kept | own))
    theirs = AutoModelForMaskedLM.from_config(made, dtype=torch.float32).eval()
    last = theirs.get_output_embeddings()
    table, biases = theirs.get_input_embeddings().weight, _biases(theirs, last)
    ends = {tensor.data_ptr() for tensor in (table, last.weight, *biases)}
    with torch.no_grad():
        _fill(theirs, network.model.state_dict(), ends)
        table.copy_(words.embedded(network.model.get_input_embeddings().weight))
        last.weight.copy_(words.predicted(network.head.weight, 0.0))
        for bias in biases:
            bias.copy_(words.predicted(network.head.bias, NEVER))
    return theirs


def _beyond(name: str, value: Any, size: int) -> bool:
    """Return whether a field is the id of a token that there is not."""
    return name.endswith("_token_id") and not (type(value) is int and value < size)


def _fill(theirs: nn.Module, kept: dict[str, Tensor], ends: set[int]) -> None:
    """Load all weights but those of the ends; a head for contacts, which we leave out, is zero.

    Raises:
        CheckpointError: When there is no weight for one.
    """
    for name, value in theirs.state_dict().items():
        if value.data_ptr() in ends:
            continue
        if "contact_head" in name:
            value.zero_()
        elif name not in kept or kept[name].shape != value.shape:
            kind = type(theirs).__name__
            raise CheckpointError(f"{name} of a {kind} is not a weight of the model")
        else:
            value.copy_(kept[name])


def _biases(theirs: Any, last: Any) -> Sequence[Tensor]:
    """Return the bias of the last layer, and that which some keep beside it, instead or as well.

    Raises:
        CheckpointError: When there is none, and so nothing that keeps the mask from being drawn.
    """
    name = next(name for name, module in theirs.named_modules() if module is last)
    owner = theirs.get_submodule(name.rpartition(".")[0])
    both = (last.bias, getattr(owner, "bias", None))
    found = [bias for bias in both if isinstance(bias, nn.Parameter)]
    if not found:
        raise CheckpointError(
            f"the last layer of a {theirs.config.model_type} has no bias, and could predict its "
            "mask: an architecture with one is supported"
        )
    return found
