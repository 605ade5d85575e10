"""LoRA: a layer W is trained as W + B A, where B and A have few rows and columns.

The weights it starts from stay as they are. Adapters come from the package `peft`; saved models
have them merged into the weights, and the adapters are saved separately, too.

Source: Hu et al., arXiv 2106.09685.
"""

import copy
import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import nn

__all__ = ["adapted", "merged", "save_adapter"]

_LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d)


def adapted(model: nn.Module, rank: int, new: Collection[str] = ()) -> nn.Module:
    """Put adapters on the linear and convolution layers of a model, which is changed.

    Args:
        model: The model.
        rank: Their rank.
        new: Names of weights that are new: they are trained themselves.

    Raises:
        ValueError: When `peft` is not installed, or there is no such layer.
    """
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError:
        raise ValueError("training.lora needs a package: pip install peft") from None
    fresh = {name.rpartition(".")[0] for name in new}
    layers = [n for n, m in model.named_modules() if type(m) in _LAYERS and n not in fresh]
    if not layers:
        raise ValueError("training.lora: the model has no linear and no convolution layer")
    weights = {name: weight for name, weight in model.named_parameters() if name in new}
    config = LoraConfig(r=rank, lora_alpha=rank, target_modules=layers)
    inject_adapter_in_model(config, model)
    for weight in weights.values():
        weight.requires_grad_(True)
    return model


def merged(model: nn.Module) -> nn.Module:
    """Return a copy of a model with its adapters merged into the weights; or itself without any."""
    if not any(hasattr(part, "get_base_layer") for part in model.modules()):
        return model
    whole = copy.deepcopy(model)
    for name, part in list(whole.named_modules()):
        if hasattr(part, "get_base_layer"):
            layer: Any = part
            layer.merge()
            owner, _, last = name.rpartition(".")
            setattr(whole.get_submodule(owner), last, layer.get_base_layer())
    return whole


def save_adapter(model: nn.Module, folder: Path) -> None:
    """Write the adapters of a model, and of what rank they are."""
    weights = {name: p for name, p in model.state_dict().items() if ".lora_" in name}
    if not weights:
        return
    folder.mkdir(parents=True, exist_ok=True)
    save_file({k: v.contiguous().clone() for k, v in weights.items()}, folder / "lora.safetensors")
    config: Any = next(m for m in model.modules() if hasattr(m, "get_base_layer"))
    ranks = {"rank": next(iter(config.r.values())), "scaling": next(iter(config.scaling.values()))}
    (folder / "lora.json").write_text(json.dumps(ranks) + "\n")
