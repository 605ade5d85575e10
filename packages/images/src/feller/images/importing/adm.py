"""The U-Net of ADM (guided-diffusion) and torchcfm: the same layers, another process.

Its weights show widths, levels and which of them attend, and not how many heads there are, how
large images are, or what was learned: a flow from noise to data (torchcfm, arXiv 2302.00482) or
the noise of a diffusion (ADM, arXiv 2105.05233). What the weights do not show has to be given.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

import torch
from einops import rearrange
from torch import Tensor

from feller.core.checkpoint import CheckpointError
from feller.core.importing import Foreign, Imported, Importer, Tensors
from feller.images.importing.models import Labels, image_model, sides
from feller.images.importing.processes import Process, forward_flow, from_diffusers
from feller.images.networks import UNetConfig

__all__ = ["ADM", "cosines_last"]

_NAME = "U-Net of torchcfm or ADM"
_MARKS = frozenset({"time_embed.0.weight", "input_blocks.0.0.weight", "out.2.weight"})
_BLOCK: Mapping[str, str] = MappingProxyType(
    {
        "norm_in": "in_layers.0",
        "conv_in": "in_layers.2",
        "embed": "emb_layers.1",
        "norm_out": "out_layers.0",
        "conv_out": "out_layers.3",
    }
)
_TABLES: Mapping[str, str] = MappingProxyType({"linear": "linear", "cosine": "squaredcos_cap_v2"})


class Shape(NamedTuple):
    """What the names and shapes of the weights show.

    Attributes:
        channels: Width of each level.
        blocks: Residual blocks of a level.
        attends: Levels that attend.
        residual: Whether residual blocks change the size.
    """

    channels: tuple[int, ...]
    blocks: int
    attends: tuple[int, ...]
    residual: bool


def cosines_last(weight: Tensor) -> Tensor:
    """Return weights of sines, then cosines, of those that see cosines first."""
    cosines, sines = weight.chunk(2, dim=1)
    return torch.cat([sines, cosines], dim=1)


def _is_adm(foreign: Foreign) -> bool:
    return {name.removeprefix("module.") for name in foreign.names} >= _MARKS


def _convert(foreign: Foreign) -> Imported:
    held = foreign.tensors("module.")
    config, count = _config(foreign, held)
    process = _process(foreign, held)
    state = _state(held, config, legacy=not foreign.config.get("use_new_attention_order", False))
    held.end(f"a {_NAME}")
    for name in ("head.weight", "head.bias"):
        state[name] = process.turned(state[name][: config.in_channels])
    size = foreign.config.get("dim", [0, *[foreign.config.get("image_size")] * 2])[1:]
    if size[0] is None:
        foreign.need("image_size", "32")
    return image_model(config, state, process, sides(size), labels=Labels(count), reading={})


def _process(foreign: Foreign, held: Tensors) -> Process:
    """Return what was learned, as far as anything says it."""
    variance = held.rows("out.2.weight") == 2 * held.look("input_blocks.0.0.weight").shape[1]
    known = "noise" if variance else ""
    if foreign.stored.entry in ("ema_model", "net_model"):  # what torchcfm's training writes
        known = "flow"
    learned = known or foreign.need("objective", "flow for torchcfm's, noise for ADM's")
    if learned == "flow":
        return forward_flow()
    if learned != "noise":
        raise CheckpointError(f"objective = {learned!r} is not supported: flow and noise are")
    kind = foreign.need("noise_schedule", "linear")
    if kind not in _TABLES:
        raise CheckpointError(f"noise_schedule = {kind!r} is not supported: linear and cosine are")
    steps = int(foreign.config.get("diffusion_steps", 1000))
    ends = {"beta_start": 0.1 / steps, "beta_end": 20 / steps}
    return from_diffusers({"beta_schedule": _TABLES[kind], "num_train_timesteps": steps} | ends)


def _config(foreign: Foreign, held: Tensors) -> tuple[UNetConfig, int]:
    """Return our configuration, and the number of classes."""
    shape = _shape(held)
    stem, channels = held.rows("input_blocks.0.0.weight"), held.look("input_blocks.0.0.weight")
    if held.look("time_embed.0.weight").shape[1] != stem:
        raise CheckpointError("channel_mult that does not begin with 1 is not supported")
    count = held.rows("label_emb.weight") if "label_emb.weight" in held else 0
    embedded = held.rows("input_blocks.1.0.emb_layers.1.weight")
    config = UNetConfig(
        in_channels=channels.shape[1],
        out_channels=channels.shape[1],
        channels=shape.channels,
        blocks_per_level=shape.blocks,
        attention_levels=shape.attends,
        head_channels=_head_channels(foreign, shape),
        num_classes=count,
        scale_shift_norm=embedded == 2 * shape.channels[0],
        residual_resampling=shape.residual,
        smallest_group=1,
    )
    return config, count


def _head_channels(foreign: Foreign, shape: Shape) -> int | None:
    widths = {shape.channels[level] for level in shape.attends} | {shape.channels[-1]}
    hint = "64, or num_heads=4 where heads are counted"
    if "num_heads" in foreign.config and foreign.config.get("num_head_channels", -1) == -1:
        heads = int(foreign.config["num_heads"])
        if heads == 1:
            return None
        if len(widths) > 1:
            raise CheckpointError(
                f"num_heads = {heads} at widths {sorted(widths)} is not supported: "
                "num_head_channels is"
            )
        return widths.pop() // heads
    return int(foreign.need("num_head_channels", hint))


def _shape(held: Tensors) -> Shape:
    outs = held.count("output_blocks")
    ups = [
        kind
        for i in range(outs)
        for k in (1, 2)
        for kind in ("conv", "in_layers.0")
        if f"output_blocks.{i}.{k}.{kind}.weight" in held
    ]
    levels = len(ups) + 1
    blocks, rest = divmod(outs, levels)
    if rest or blocks < 2:
        raise CheckpointError(f"{outs} output blocks are not those of {levels} levels")
    first = [1 + level * blocks for level in range(levels)]
    return Shape(
        channels=tuple(held.rows(f"input_blocks.{i}.0.in_layers.2.weight") for i in first),
        blocks=blocks - 1,
        attends=tuple(n for n, i in enumerate(first) if f"input_blocks.{i}.1.qkv.weight" in held),
        residual="in_layers.0" in ups,
    )


def _state(held: Tensors, config: UNetConfig, *, legacy: bool) -> dict[str, Tensor]:
    inputs, outputs = held.count("input_blocks"), held.count("output_blocks")
    layers = {
        "embed_time.hidden": "time_embed.0",
        "embed_time.out": "time_embed.2",
        "stem": "input_blocks.0.0",
        "norm": "out.0",
        "head": "out.2",
    }
    state: dict[str, Tensor] = {}
    for ours, theirs in layers.items():
        state |= held.layers(theirs, ours)
    state["embed_time.hidden.weight"] = cosines_last(state["embed_time.hidden.weight"])
    if config.num_classes:  # our row for no label, which they have not
        table = held.take("label_emb.weight")
        state["embed_label.table.weight"] = torch.cat([table, torch.zeros_like(table[:1])])
    channels = config.head_channels if legacy else 0
    for i in range(1, inputs):
        whole = i % (config.blocks_per_level + 1) == 0  # it changes the size, and is alone
        state |= _parts(held, f"input_blocks.{i}", f"encoder.{i - 1}", channels, whole=whole)
    for i in range(outputs):
        state |= _parts(held, f"output_blocks.{i}", f"decoder.{i}", channels)
    return state | _parts(held, "middle_block", "middle", channels)


def _parts(
    held: Tensors, theirs: str, ours: str, channels: int | None, *, whole: bool = False
) -> dict[str, Tensor]:
    """Take the parts of a block of theirs.

    Args:
        held: The weights.
        theirs: Their name of the block.
        ours: Our name of it.
        channels: Channels of a head whose queries, keys and values follow each other; None for one
            head, 0 where all queries come first.
        whole: Whether ours is the first part itself.
    """
    state: dict[str, Tensor] = {}
    for k in range(3):
        place, mine = f"{theirs}.{k}", ours if whole else f"{ours}.{k}"
        if f"{place}.in_layers.0.weight" in held:
            for name, layer in _BLOCK.items():
                state |= held.layers(f"{place}.{layer}", f"{mine}.{name}")
            if f"{place}.skip_connection.weight" in held:
                state |= held.layers(f"{place}.skip_connection", f"{mine}.shortcut")
        elif f"{place}.qkv.weight" in held:
            state |= _attention(held, place, mine, channels)
        for layer in ("op", "conv"):
            if f"{place}.{layer}.weight" in held:
                state |= held.layers(f"{place}.{layer}", f"{mine}.conv")
    return state


def _attention(held: Tensors, theirs: str, ours: str, channels: int | None) -> dict[str, Tensor]:
    state = held.layers(f"{theirs}.norm", f"{ours}.norm")
    for name, layer in (("qkv", "qkv"), ("out", "proj_out")):
        state |= held.layers(f"{theirs}.{layer}", f"{ours}.attend.{name}")
    state |= {name: value.flatten(1) for name, value in state.items() if value.ndim == 3}
    for kind in ("weight", "bias") if channels != 0 else ():
        qkv = state[f"{ours}.attend.qkv.{kind}"]
        size = {"three": 3, "d": channels or len(qkv) // 3}
        order = "(heads three d) ... -> (three heads d) ..."
        state[f"{ours}.attend.qkv.{kind}"] = rearrange(qkv, order, **size)
    return state


ADM = Importer(_NAME, _is_adm, _convert)
