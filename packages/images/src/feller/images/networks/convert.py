"""Weights of public networks, under our names."""

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from feller.images.networks.unet import UNetConfig

__all__ = ["unet_state_from_diffusers"]

_NAMES = {
    "conv_in": "stem",
    "time_embedding.linear_1": "embed_time.hidden",
    "time_embedding.linear_2": "embed_time.out",
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
_QKV = (("to_q", "to_k", "to_v"), ("query", "key", "value"))  # the second until diffusers 0.15


def unet_state_from_diffusers(
    state: Mapping[str, Tensor], config: UNetConfig, *, cosine_first: bool = False
) -> dict[str, Tensor]:
    """Rename the weights of a `UNet2DModel` of diffusers, such as google/ddpm-cifar10-32.

    Args:
        state: Its state dict. Attention has one head, or heads of `config.head_channels`.
        config: Our network of the same make.
        cosine_first: Whether it was built with `flip_sin_to_cos=True`; our sines come first.

    Returns:
        What `config.build().load_state_dict` takes.

    Example:
        >>> state = {"conv_in.bias": torch.zeros(128)}
        >>> list(unet_state_from_diffusers(state, UNetConfig()))
        ['stem.bias']
    """
    ours: dict[str, Tensor] = {}
    for name, weight in _fuse_qkv(state).items():
        module, kind = name.rsplit(".", 1)
        ours[f"{_rename(module, config)}.{kind}"] = weight
    if cosine_first:
        cosines, sines = ours["embed_time.hidden.weight"].chunk(2, dim=1)
        ours["embed_time.hidden.weight"] = torch.cat([sines, cosines], dim=1)
    return ours


def _fuse_qkv(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Join the weights, and the biases, of queries, keys and values."""
    fused = dict(state)
    for q, k, v in _QKV:
        for name in [name for name in state if f".{q}." in name]:
            parts = [fused.pop(name.replace(f".{q}.", f".{part}.")) for part in (q, k, v)]
            fused[name.replace(f".{q}.", ".attend.qkv.")] = torch.cat(parts)
    return fused


def _rename(module: str, config: UNetConfig) -> str:
    if module in _NAMES:
        return _NAMES[module]
    place = re.match(r"(down|up)_blocks\.(\d+)\.(\w+)\.(\d+)", module)
    if place is None:
        start = next(start for start in _NAMES if module.startswith(start))
        ours, rest = _NAMES[start], module.removeprefix(start)
    else:
        ours, rest = _part(config, *place.groups()), module[place.end() :]
    rest = rest.removeprefix(".")
    return f"{ours}.{_NAMES_IN_BLOCKS.get(rest, rest)}"


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
