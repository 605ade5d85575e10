r"""U-Nets as a pipeline of diffusers: a `UNet2DModel` and the scheduler of its process.

What `feller.images.importing.diffusers` reads is written here, by the same table of names. Their
network sees a step k that grows with noise, ours :math:`\tau = a + b k` with b = 1 or -1. Its sines
and cosines of :math:`\omega \tau` are sums of those of :math:`\omega k`,

    sin(w(a + b k)) = b cos(w a) sin(w k) + sin(w a) cos(w k),
    cos(w(a + b k)) = -b sin(w a) sin(w k) + cos(w a) cos(w k),

and so the layer after them takes in the difference, exactly.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from feller.core.checkpoint import CheckpointError
from feller.core.heads import FlowHead
from feller.core.nn.embeddings import sinusoids
from feller.core.schedules import CondOT
from feller.core.spaces import Euclidean
from feller.images.networks import UNetConfig
from feller.images.networks.convert import our_name

__all__ = ["to_diffusers"]

_PREDICTIONS = {"noise": "epsilon", "x_1": "sample", "v": "v_prediction"}
_IN_BLOCKS = ("norm1", "conv1", "time_emb_proj", "norm2", "conv2", "conv_shortcut")
_QKV = ("to_q", "to_k", "to_v")
_VERSION = "0.35.0"  # the first that reads all of it


class Clock(NamedTuple):
    """Our number tau of their step k: start + slope k."""

    start: float
    slope: float


class Written(NamedTuple):
    """A scheduler of theirs.

    Attributes:
        config: What `scheduler_config.json` holds.
        clock: What our network is shown at their step k.
        backwards: Whether theirs predicts minus what ours does.
    """

    config: Mapping[str, Any]
    clock: Clock
    backwards: bool


def to_diffusers(model: Any, folder: Path) -> dict[str, str]:
    """Write a pipeline of diffusers into an empty folder.

    Args:
        model: An `ImageModel` of a U-Net.
        folder: The folder.

    Returns:
        How it is to be read.

    Raises:
        CheckpointError: When a `UNet2DModel`, or a scheduler, cannot be that.
    """
    config, network = model.config.network, model.model.network
    _refuse_others(model)
    scheduler = _scheduler(model, config)
    fields, state = _fields(model), _state(network, config, scheduler)
    if (classes := "class_embedding.weight") in state:  # without a null class it has no row for it
        state[classes] = state[classes][: fields["num_class_embeds"]].clone()
    (folder / "unet").mkdir()
    (folder / "scheduler").mkdir()
    name = scheduler.config["_class_name"]
    _write(folder / "unet" / "config.json", fields)
    _write(folder / "scheduler" / "scheduler_config.json", scheduler.config)
    index = {"_class_name": "DDPMPipeline", "_diffusers_version": _VERSION}
    parts = {"scheduler": ["diffusers", name], "unet": ["diffusers", "UNet2DModel"]}
    _write(folder / "model_index.json", index | parts)
    weights = folder / "unet" / "diffusion_pytorch_model.safetensors"
    save_file(state, weights, {"format": "pt"})
    weights.chmod(0o644)
    read = "DDPMPipeline.from_pretrained(DIR), or UNet2DModel with subfolder='unet'"
    reading = {"network": f"UNet2DModel: {read}", "scheduler": f"{name}, {_described(scheduler)}"}
    if classes := len(model.codec.classes):
        null = f", and {classes} for none" if fields["num_class_embeds"] > classes else ""
        reading["labels"] = f"class_labels 0 to {classes - 1}{null}; a pipeline gives none"
    return reading


def _described(scheduler: Written) -> str:
    steps = scheduler.config["num_train_timesteps"]
    if "prediction_type" in scheduler.config:
        return f"{steps} steps, predicting {scheduler.config['prediction_type']}"
    return f"{steps} steps, predicting noise minus data"


def _write(file: Path, fields: Mapping[str, Any]) -> None:
    file.write_text(json.dumps(fields, indent=2) + "\n", encoding="utf-8")


def _refuse_others(model: Any) -> None:
    """Reject what no `UNet2DModel` is."""
    config, head = model.config.network, model.config.head
    if type(config) is not UNetConfig:
        raise CheckpointError(f"a {type(config).__name__} is no UNet2DModel of diffusers")
    if type(head) is not FlowHead or type(model.path.space) is not Euclidean:
        raise CheckpointError(
            f"a {type(head).__name__} is not a process of diffusers: a FlowHead on numbers is"
        )
    due_of = {"patch_size": 1, "condition_size": 0, "two_times": False, "conditions": None}
    for name, due in due_of.items():
        if (found := getattr(config, name)) != due:
            raise CheckpointError(f"network.{name} {found} is no UNet2DModel's: {due} is")
    if config.stem != config.channels[0]:
        raise CheckpointError(
            f"network.stem_channels {config.stem} is no UNet2DModel's: {config.channels[0]} is"
        )


def _scheduler(model: Any, config: UNetConfig) -> Written:
    prediction, schedule = model.config.head.prediction, model.path.schedule
    steps = abs(config.time_scale)
    if not (steps >= 2 and steps.is_integer()):
        raise CheckpointError(
            f"network.time_scale {config.time_scale:g} is not a whole number of steps"
        )
    count, slope = int(steps), -config.time_scale / steps
    if schedule == CondOT() and prediction == "velocity":
        fields = {"_class_name": "FlowMatchEulerDiscreteScheduler", "num_train_timesteps": count}
        shown = Clock(config.time_scale + config.time_offset, slope)
        return Written(fields | {"_diffusers_version": _VERSION, "shift": 1.0}, shown, True)
    if prediction not in _PREDICTIONS:
        raise CheckpointError(
            f"no scheduler of diffusers predicts {prediction} on {schedule}: velocity on CondOT or "
            f"{', '.join(_PREDICTIONS)} where data and noise coefficients square to 1, are"
        )
    fields = {
        "_class_name": "DDPMScheduler",
        "_diffusers_version": _VERSION,
        "num_train_timesteps": count,
        "trained_betas": _fractions(schedule, count),
        "prediction_type": _PREDICTIONS[prediction],
        "clip_sample": False,
        "timestep_spacing": "trailing",
    }
    start = config.time_scale * (1 - 1 / steps) + config.time_offset
    return Written(fields, Clock(start, slope), False)


def _fractions(schedule: Any, count: int) -> list[float]:
    """Return the fraction of noise that each step adds."""
    t = 1 - torch.arange(1, count + 1, dtype=torch.float64) / count
    data, noise = schedule.alpha(t).square(), schedule.sigma(t).square()
    if not torch.allclose(data + noise, torch.ones_like(t), atol=1e-6):
        raise CheckpointError(
            f"{schedule} is held by no scheduler of diffusers: CondOT with velocity is, or where "
            "data and noise coefficients square to 1"
        )
    left = data / torch.cat([torch.ones(1, dtype=torch.float64), data[:-1]])
    if not ((left > 0) & (left < 1)).all():
        raise CheckpointError(f"{schedule} has no data at t = 0: DDPM's steps have some")
    return (1 - left).tolist()


def _fields(model: Any) -> dict[str, Any]:
    """Return the configuration of a `UNet2DModel`."""
    config, network = model.config.network, model.model.network
    groups = _groups(network)
    attends = [i in config.attention_levels for i in range(len(config.channels))]
    kind = "resnet" if config.residual_resampling else "conv"
    plain = ("ResnetDownsample", "ResnetUpsample") if kind == "resnet" else ("Down", "Up")
    down = [f"{'AttnDown' if a else plain[0]}Block2D" for a in attends]
    up = [f"{'AttnUp' if a else plain[1]}Block2D" for a in reversed(attends)]
    null = config.num_classes > 0 and model.config.condition_drop != 0
    sides = list(model.codec.shape[1:])
    return {
        "_class_name": "UNet2DModel",
        "_diffusers_version": _VERSION,
        "_null_class": null,
        "sample_size": sides[0] if sides[0] == sides[1] else sides,
        "in_channels": config.in_channels,
        "out_channels": config.out_channels,
        "freq_shift": config.frequency_shift,
        "flip_sin_to_cos": False,
        "down_block_types": down,
        "up_block_types": up,
        "block_out_channels": list(config.channels),
        "layers_per_block": config.blocks_per_level,
        "downsample_padding": 0 if config.asymmetric_padding else 1,
        "downsample_type": kind,
        "upsample_type": kind,
        "dropout": config.dropout,
        "attention_head_dim": config.head_channels,
        "norm_num_groups": groups,
        "attn_norm_num_groups": groups,
        "norm_eps": config.norm_eps,
        "resnet_time_scale_shift": "scale_shift" if config.scale_shift_norm else "default",
        "add_attention": config.middle_attention,
        "num_class_embeds": config.num_classes + null or None,
    }


def _groups(network: nn.Module) -> int:
    """Return how many groups each norm has."""
    norms = [module for module in network.modules() if type(module) is nn.GroupNorm]
    groups = {norm.num_groups for norm in norms}
    if len(groups) > 1:
        raise CheckpointError(
            f"norms of {' and '.join(map(str, sorted(groups)))} groups are no UNet2DModel's: one "
            "number is (network.norm_groups)"
        )
    return groups.pop()


def _state(network: nn.Module, config: UNetConfig, scheduler: Written) -> dict[str, Tensor]:
    """Return the weights under their names."""
    ours = {k: v.detach().cpu().contiguous().clone() for k, v in network.state_dict().items()}
    hidden = "embed_time.hidden.weight"
    ours[hidden] = _turned(ours[hidden], scheduler.clock, config.frequency_shift)
    if scheduler.backwards:
        ours |= {name: -ours[name] for name in ("head.weight", "head.bias")}
    theirs: dict[str, Tensor] = {}
    for name in _modules(config):
        part = our_name(name, config)
        for kind in ("weight", "bias"):
            if f"{part}.{kind}" in ours:
                theirs[f"{name}.{kind}"] = ours.pop(f"{part}.{kind}")
            elif f"{part}.attend.qkv.{kind}" in ours:
                parts = ours.pop(f"{part}.attend.qkv.{kind}").chunk(3)
                theirs |= {
                    f"{name}.{q}.{kind}": w.clone() for q, w in zip(_QKV, parts, strict=True)
                }
    if ours:
        raise CheckpointError(f"{min(ours)} is not a weight of a UNet2DModel")
    return theirs


def _turned(weight: Tensor, clock: Clock, shift: float) -> Tensor:
    """Return the layer after the sinusoids of tau for those of k."""
    if clock == (0.0, 1.0):
        return weight
    start = torch.tensor(clock.start, dtype=torch.float64)
    sin, cos = sinusoids(start, weight.shape[1], frequency_shift=shift).chunk(2)
    of_sin, of_cos = weight.double().chunk(2, dim=1)
    b = clock.slope
    turned = [b * (cos * of_sin - sin * of_cos), sin * of_sin + cos * of_cos]
    return torch.cat(turned, dim=1).to(weight.dtype)


def _modules(config: UNetConfig) -> Iterator[str]:
    """Yield the names of their layers; of an attention too, for its queries, keys and values."""
    yield from ("conv_in", "time_embedding.linear_1", "time_embedding.linear_2", "conv_norm_out")
    yield from ("conv_out", "class_embedding")
    for i in range(2):
        yield from (f"mid_block.resnets.{i}.{part}" for part in _IN_BLOCKS)
    yield from _attention("mid_block.attentions.0")
    for side, more, resize in (("down", 0, "downsamplers"), ("up", 1, "upsamplers")):
        for level in range(len(config.channels)):
            group = f"{side}_blocks.{level}"
            for j in range(config.blocks_per_level + more):
                yield from (f"{group}.resnets.{j}.{part}" for part in _IN_BLOCKS)
                yield from _attention(f"{group}.attentions.{j}")
            if level < len(config.channels) - 1:
                yield from (f"{group}.{resize}.0.{part}" for part in ("conv", *_IN_BLOCKS))


def _attention(name: str) -> Iterator[str]:
    yield from (name, f"{name}.group_norm", f"{name}.to_out.0")
