"""What a configuration of diffusers says is read; what we cannot be is refused in one line."""

import pytest

from feller.images.networks.diffusers_config import unet_config_from_diffusers
from feller.images.networks.unet import UNetConfig

CIFAR10 = {  # google/ddpm-cifar10-32
    "_class_name": "UNet2DModel",
    "_diffusers_version": "0.0.4",
    "act_fn": "silu",
    "attention_head_dim": None,
    "block_out_channels": [128, 256, 256, 256],
    "center_input_sample": False,
    "down_block_types": ["DownBlock2D", "AttnDownBlock2D", "DownBlock2D", "DownBlock2D"],
    "downsample_padding": 0,
    "flip_sin_to_cos": False,
    "freq_shift": 1,
    "in_channels": 3,
    "layers_per_block": 2,
    "mid_block_scale_factor": 1,
    "norm_eps": 1e-06,
    "norm_num_groups": 32,
    "out_channels": 3,
    "sample_size": 32,
    "time_embedding_type": "positional",
    "up_block_types": ["UpBlock2D", "UpBlock2D", "AttnUpBlock2D", "UpBlock2D"],
}


def test_the_network_of_ddpm():
    assert unet_config_from_diffusers(CIFAR10) == UNetConfig(
        norm_eps=1e-6,
        asymmetric_padding=True,
        time_scale=-1000.0,
        time_offset=999.0,
        frequency_shift=1.0,
        smallest_group=1,
    )


def test_what_is_missing_has_their_default():
    found = unet_config_from_diffusers({})
    assert found.channels == (224, 448, 672, 896)
    assert (found.head_channels, found.attention_levels) == (8, (1, 2, 3))
    assert (found.norm_groups, found.norm_eps, found.num_classes) == (32, 1e-5, 0)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"_class_name": "UNet2DConditionModel"}, "a UNet2DConditionModel of diffusers"),
        ({"center_input_sample": True}, "center_input_sample = True is not supported: False is"),
        ({"time_embedding_type": "fourier"}, "time_embedding_type = 'fourier' is not supported"),
        ({"time_embedding_type": "learned"}, "time_embedding_type = 'learned' is not supported"),
        ({"time_embedding_dim": 64}, "time_embedding_dim = 64 is not supported: 512, four times"),
        ({"mid_block_scale_factor": 1.4142}, "scale_factor = 1.4142 is not supported: 1 is"),
        ({"mid_block_type": None}, "mid_block_type = None is not supported"),
        ({"downsample_padding": 2}, "downsample_padding = 2 is not supported: 0 or 1 is"),
        ({"act_fn": "gelu"}, "act_fn = 'gelu' is not supported: 'silu' or 'swish' is"),
        ({"class_embed_type": "timestep"}, "class_embed_type = 'timestep' is not supported"),
        ({"resnet_time_scale_shift": "ada_group"}, "= 'ada_group' is not supported"),
        ({"resnet_time_scale_shift": "scale_shift"}, "attn_norm_num_groups = None with"),
        ({"attn_norm_num_groups": 8}, "attn_norm_num_groups = 8 with"),
        ({"norm_num_groups": 48}, "norm_num_groups = 48 does not divide"),
        ({"norm_num_groups": None}, "norm_num_groups = None does not divide"),
        ({"attention_head_dim": 48}, "head_channels 48 does not divide the width 256"),
        ({"down_block_types": ["DownBlock2D"] * 4}, "mirror images"),
        ({"block_out_channels": [128, 256]}, "mirror images"),
        ({"down_block_types": ["SkipDownBlock2D"] * 4}, "SkipDownBlock2D is not supported: Down"),
        ({"downsample_type": "resnet"}, "sizes changed by conv and resnet are not supported"),
        ({"controlnet": True}, "controlnet = True is not a known field of a UNet2DModel"),
    ],
    ids=str,
)  # fmt: skip
def test_what_is_not_held_is_refused(change, reason):
    with pytest.raises(ValueError, match=reason) as caught:
        unet_config_from_diffusers(CIFAR10 | change)
    assert "\n" not in str(caught.value)
