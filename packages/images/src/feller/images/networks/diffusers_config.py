"""The `config.json` of a `UNet2DModel` of diffusers, as a `UNetConfig`, or a reason why not.

The weights do not show how many groups a norm has, how wide an attention head is, where a strided
convolution pads, or what is added to a variance: another choice loads as well and is another
function. So everything their configuration may say is read here; what our network cannot be is
refused.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from feller.images.networks.unet import UNetConfig

__all__ = ["unet_config_from_diffusers"]

# What a configuration means that does not say, as of diffusers 0.42.
_DEFAULTS: Mapping[str, Any] = MappingProxyType(
    {
        "in_channels": 3,
        "out_channels": 3,
        "center_input_sample": False,
        "time_embedding_type": "positional",
        "time_embedding_dim": None,
        "freq_shift": 0,
        "flip_sin_to_cos": True,
        "down_block_types": ("DownBlock2D", *["AttnDownBlock2D"] * 3),
        "mid_block_type": "UNetMidBlock2D",
        "up_block_types": (*["AttnUpBlock2D"] * 3, "UpBlock2D"),
        "block_out_channels": (224, 448, 672, 896),
        "layers_per_block": 2,
        "mid_block_scale_factor": 1,
        "downsample_padding": 1,
        "downsample_type": "conv",
        "upsample_type": "conv",
        "dropout": 0.0,
        "act_fn": "silu",
        "attention_head_dim": 8,
        "norm_num_groups": 32,
        "attn_norm_num_groups": None,
        "norm_eps": 1e-5,
        "resnet_time_scale_shift": "default",
        "add_attention": True,
        "class_embed_type": None,
        "num_class_embeds": None,
    }
)
_SILENT = ("sample_size", "num_train_timesteps")  # these change nothing that is held here
_HELD: Mapping[str, tuple[Any, ...]] = MappingProxyType(
    {
        "center_input_sample": (False,),
        "time_embedding_type": ("positional",),
        "mid_block_type": ("UNetMidBlock2D",),
        "mid_block_scale_factor": (1,),
        "downsample_padding": (0, 1),
        "act_fn": ("silu", "swish"),
        "resnet_time_scale_shift": ("default", "scale_shift"),
        "add_attention": (True, False),
        "flip_sin_to_cos": (True, False),
        "class_embed_type": (None,),
    }
)


class Level(NamedTuple):
    """How a level of theirs is made: whether it attends, and what changes its size."""

    attends: bool
    resizes: str


# A block with attention is made as `downsample_type` and `upsample_type` say.
_BLOCKS: Mapping[str, Level] = MappingProxyType(
    {
        "DownBlock2D": Level(False, "conv"),
        "ResnetDownsampleBlock2D": Level(False, "resnet"),
        "AttnDownBlock2D": Level(True, "downsample_type"),
        "UpBlock2D": Level(False, "conv"),
        "ResnetUpsampleBlock2D": Level(False, "resnet"),
        "AttnUpBlock2D": Level(True, "upsample_type"),
    }
)


def unet_config_from_diffusers(
    theirs: Mapping[str, Any], *, null_class: bool = False
) -> UNetConfig:
    """Read the configuration of a `UNet2DModel` of diffusers.

    Its time k, a step 0 ... 999 of DDPM's, is our t by k = 1000 (1 - t) - 1: on
    `VariancePreserving` their noise level is within 4.9 percent of ours; a `Tabulated`
    schedule of their `alphas_cumprod` is exact.

    Args:
        theirs: What its `config.json` holds; what is missing has diffusers' default.
        null_class: Whether the last of its classes stands for no label.

    Raises:
        ValueError: When a network of ours cannot be that function.

    Example:
        >>> unet_config_from_diffusers({"norm_eps": 1e-6, "attention_head_dim": None}).channels
        (224, 448, 672, 896)
    """
    full = _complete(theirs)
    channels = tuple(full["block_out_channels"])
    levels, residual = _levels(full, len(channels))
    classes = full["num_class_embeds"] or 0
    if classes < 0:
        raise ValueError(f"num_class_embeds is at least 0, not {classes}")
    if null_class and classes < 2:
        raise ValueError(f"num_class_embeds is {classes}: there is no last class for no label")
    return UNetConfig(
        in_channels=full["in_channels"],
        out_channels=full["out_channels"],
        channels=channels,
        blocks_per_level=full["layers_per_block"],
        attention_levels=levels,
        head_channels=full["attention_head_dim"],
        dropout=full["dropout"],
        num_classes=classes - null_class,
        scale_shift_norm=full["resnet_time_scale_shift"] == "scale_shift",
        residual_resampling=residual,
        asymmetric_padding=full["downsample_padding"] == 0,
        norm_groups=full["norm_num_groups"],
        norm_eps=full["norm_eps"],
        time_scale=-1000.0,
        time_offset=999.0,
        frequency_shift=float(full["freq_shift"]),
        smallest_group=1,
        middle_attention=full["add_attention"],
    )


def _complete(theirs: Mapping[str, Any]) -> dict[str, Any]:
    """Return every field, and refuse values that ours cannot be."""
    name = theirs.get("_class_name", "UNet2DModel")
    if name != "UNet2DModel":
        raise ValueError(f"this is a {name} of diffusers: a UNet2DModel is supported")
    for key, value in theirs.items():
        if not (key in _DEFAULTS or key in _SILENT or key.startswith("_") or value is None):
            raise ValueError(f"{key} = {value!r} is not a known field of a UNet2DModel")
    full = {key: theirs.get(key, default) for key, default in _DEFAULTS.items()}
    for key, held in _HELD.items():
        if full[key] not in held:
            known = " or ".join(repr(value) for value in held)
            raise ValueError(f"{key} = {full[key]!r} is not supported: {known} is")
    _check_embedding(full)
    _check_groups(full)
    return full


def _check_embedding(full: Mapping[str, Any]) -> None:
    usual = 4 * full["block_out_channels"][0]
    if (full["time_embedding_dim"] or usual) != usual:
        raise ValueError(
            f"time_embedding_dim = {full['time_embedding_dim']} is not supported: {usual}, four "
            "times the first of block_out_channels, is"
        )


def _check_groups(full: Mapping[str, Any]) -> None:
    """Reject an attention of the middle with another norm, or groups that do not divide."""
    groups, special = full["norm_num_groups"], full["attn_norm_num_groups"]
    if (
        not isinstance(groups, int)
        or groups < 1
        or any(width % groups for width in full["block_out_channels"])
    ):
        raise ValueError(
            f"norm_num_groups = {groups!r} does not divide {full['block_out_channels']}"
        )
    plain = full["resnet_time_scale_shift"] == "default"
    if full["add_attention"] and special != groups and not (special is None and plain):
        raise ValueError(
            f"attn_norm_num_groups = {special!r} with resnet_time_scale_shift = "
            f"{full['resnet_time_scale_shift']!r} is not supported: norm_num_groups = {groups} is"
        )


def _levels(full: Mapping[str, Any], count: int) -> tuple[tuple[int, ...], bool]:
    """Return the levels that attend, and whether residual blocks change the size."""
    halves = [
        [_level(name, full) for name in full["down_block_types"]],
        [_level(name, full) for name in reversed(full["up_block_types"])],
    ]
    down, up = ([level.attends for level in half] for half in halves)
    if not len(down) == len(up) == count or down != up:
        raise ValueError(
            f"down_block_types {list(full['down_block_types'])} and up_block_types "
            f"{list(full['up_block_types'])} are not supported: mirror images, one for each of "
            "block_out_channels, are"
        )
    # The coarsest level changes no size.
    kinds = {level.resizes for half in halves for level in half[: count - 1]} or {"conv"}
    if not kinds <= {"conv", "resnet"} or len(kinds) > 1:
        raise ValueError(
            f"sizes changed by {' and '.join(sorted(map(str, kinds)))} are not supported: all by "
            "conv, or all by resnet, are"
        )
    return tuple(i for i, attends in enumerate(down) if attends), kinds == {"resnet"}


def _level(name: str, full: Mapping[str, Any]) -> Level:
    known = _BLOCKS.get(name.removeprefix("UNetRes"))
    if known is None:
        raise ValueError(f"{name} is not supported: {', '.join(_BLOCKS)} are")
    # None stands for convolutions where a size changes.
    return known._replace(resizes=full.get(known.resizes, known.resizes) or "conv")
