"""Weights of public networks, under our names."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from feller.core.files import read_json
from feller.core.sizes import build_within
from feller.images.networks.diffusers_config import unet_config_from_diffusers
from feller.images.networks.unet import UNet, UNetConfig

__all__ = ["our_name", "unet_from_diffusers", "unet_state_from_diffusers"]

_NAMES = {
    "conv_in": "stem",
    "time_embedding.linear_1": "embed_time.hidden",
    "time_embedding.linear_2": "embed_time.out",
    "class_embedding": "embed_label.table",
    "mid_block.resnets.0": "middle.0",
    "mid_block.attentions.0": "middle.1",
    "mid_block.resnets.1": "middle.2",
    "conv_norm_out": "norm",
    "conv_out": "head",
}
_NAMES_IN_BLOCKS = {
    "norm1": "norm_in",
    "conv1": "conv_in",
    "time_emb_proj": "embed",
    "norm2": "norm_out",
    "conv2": "conv_out",
    "conv_shortcut": "shortcut",
    "group_norm": "norm",
    "to_out.0": "attend.out",
    "proj_attn": "attend.out",
}
_WEIGHTS = "diffusion_pytorch_model.safetensors"
_QKV = (("to_q", "to_k", "to_v"), ("query", "key", "value"))  # the second until diffusers 0.15


def unet_from_diffusers(folder: str | Path, *, null_class: bool = False) -> UNet:
    """Read a `UNet2DModel` that diffusers saved: the folder `unet` of a pipeline.

    Args:
        folder: Holds `config.json` and `diffusion_pytorch_model.safetensors`.
        null_class: Whether the last of its classes stands for no label; otherwise our row for no
            label is zeros, which nobody trained.

    Raises:
        ValueError: When a file is missing or damaged, or a network of ours cannot be that function.
    """
    file, weights = (Path(folder) / name for name in ("config.json", _WEIGHTS))
    try:
        theirs, state = read_json(file), load_file(weights)
        config = unet_config_from_diffusers(theirs, null_class=null_class)
        held = sum(weight.numel() for weight in state.values())
        network = build_within(config.build, 2 * held + 1_000_000)
    except FileNotFoundError:
        raise ValueError(
            f"{folder} has not both {file.name} and {weights.name}: save_pretrained of diffusers "
            "writes them"
        ) from None
    except (OSError, ValueError, SafetensorError) as error:
        raise ValueError(f"{folder} is not a UNet2DModel that feller supports: {error}") from None
    except (AttributeError, LookupError, TypeError):
        raise ValueError(f"{file} is not the configuration of a UNet2DModel") from None
    try:
        network.load_state_dict(unet_state_from_diffusers(state, theirs, null_class=null_class))
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"{weights} does not fit {file}: {reason[:200]}") from None
    return network.eval()


def unet_state_from_diffusers(
    state: Mapping[str, Tensor], theirs: Mapping[str, Any], *, null_class: bool = False
) -> dict[str, Tensor]:
    """Rename the weights of a `UNet2DModel` of diffusers, such as google/ddpm-cifar10-32.

    Args:
        state: Its state dict.
        theirs: What its `config.json` holds: the weights alone do not determine the function.
        null_class: See `unet_from_diffusers`.

    Returns:
        What `unet_config_from_diffusers(theirs).build().load_state_dict` takes.

    Raises:
        ValueError: When a network of ours cannot be that function, or has no such weight.

    Example:
        >>> state = {"conv_in.bias": torch.zeros(224)}
        >>> list(unet_state_from_diffusers(state, {"norm_num_groups": 32}))
        ['stem.bias']
    """
    config = unet_config_from_diffusers(theirs, null_class=null_class)
    ours: dict[str, Tensor] = {}
    for name, weight in _fuse_qkv(state).items():
        module, _, kind = name.rpartition(".")
        if not module:
            raise ValueError(f"{name} is unknown in a UNet2DModel: is this another network?")
        ours[f"{our_name(module, config)}.{kind}"] = weight
    hidden, table = "embed_time.hidden.weight", "embed_label.table.weight"
    if theirs.get("flip_sin_to_cos", True) and hidden in ours:  # our sines come first
        cosines, sines = ours[hidden].chunk(2, dim=1)
        ours[hidden] = torch.cat([sines, cosines], dim=1)
    if table in ours and not null_class:
        ours[table] = torch.cat([ours[table], torch.zeros_like(ours[table][:1])])
    return ours


def _fuse_qkv(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Join the weights, and the biases, of queries, keys and values."""
    fused = dict(state)
    for q, k, v in _QKV:
        for name in [name for name in state if f".{q}." in name]:
            parts = [fused.pop(name.replace(f".{q}.", f".{part}.")) for part in (q, k, v)]
            fused[name.replace(f".{q}.", ".attend.qkv.")] = torch.cat(parts)
    return fused


def our_name(module: str, config: UNetConfig) -> str:
    """Return our name of a layer of a `UNet2DModel` of diffusers.

    Raises:
        ValueError: When it is none.
    """
    block = re.match(r"(down|up)_blocks\.(\d+)\.(\w+)\.(\d+)", module)
    if block is None:
        start = next((s for s in _NAMES if f"{module}.".startswith(f"{s}.")), None)
        if start is None:
            raise ValueError(f"{module} is unknown in a UNet2DModel: is this another network?")
        part = _NAMES[start]
        if part == "middle.2" and not config.middle_attention:
            part = "middle.1"
        return _inside(part, module.removeprefix(start))
    return _inside(_part(config, *block.groups()), module[block.end() :])


def _inside(part: str, rest: str) -> str:
    """Return our name of what is inside a part."""
    rest = rest.removeprefix(".")
    return f"{part}.{_NAMES_IN_BLOCKS.get(rest, rest)}" if rest else part


def _part(config: UNetConfig, half: str, group: str, kind: str, index: str) -> str:
    """Find our name of the block that diffusers numbers by group and index."""
    side = "encoder" if half == "down" else "decoder"
    first = int(group) * (config.blocks_per_level + 1)
    if kind == "downsamplers":
        return f"{side}.{first + config.blocks_per_level}"
    if kind == "upsamplers":
        level = len(config.channels) - 1 - int(group)
        last = 2 if level in config.attention_levels else 1
        return f"{side}.{first + config.blocks_per_level}.{last}"
    return f"{side}.{first + int(index)}.{0 if kind == 'resnets' else 1}"
