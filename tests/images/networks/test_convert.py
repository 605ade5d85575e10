"""Weights of diffusers in our U-Net give the same function."""

import pytest
import torch
from torch.testing import assert_close

from feller.images.networks.convert import unet_state_from_diffusers
from feller.images.networks.unet import UNetConfig

SMALL = UNetConfig(channels=(32, 64), blocks_per_level=1, norm_groups=8)


def test_names_before_and_after_diffusers_0_15():
    place = "mid_block.attentions.0"
    before = {f"{place}.{n}.bias": torch.randn(64) for n in ("query", "key", "value", "proj_attn")}
    after = {
        f"{place}.{new}.bias": before[f"{place}.{old}.bias"]
        for new, old in [
            ("to_q", "query"),
            ("to_k", "key"),
            ("to_v", "value"),
            ("to_out.0", "proj_attn"),
        ]
    }
    old, new = (unet_state_from_diffusers(state, SMALL) for state in (before, after))
    assert set(old) == set(new) == {"middle.1.attend.qkv.bias", "middle.1.attend.out.bias"}
    assert all(torch.equal(old[name], new[name]) for name in old)


DDPM = UNetConfig(
    channels=(32, 64),
    norm_groups=8,
    norm_eps=1e-6,
    asymmetric_padding=True,
    time_scale=-999.0,
    time_offset=999.0,
    frequency_shift=1.0,
)
THEIR_DDPM = {
    "down_block_types": ("DownBlock2D", "AttnDownBlock2D"),
    "up_block_types": ("AttnUpBlock2D", "UpBlock2D"),
    "downsample_padding": 0,
    "attention_head_dim": None,
    "norm_eps": 1e-6,
    "freq_shift": 1,
    "flip_sin_to_cos": False,
}
ADM = UNetConfig(
    channels=(32, 64),
    norm_groups=8,
    head_channels=16,
    scale_shift_norm=True,
    residual_resampling=True,
    time_scale=-999.0,
    time_offset=999.0,
)
THEIR_ADM = {
    "down_block_types": ("ResnetDownsampleBlock2D", "AttnDownBlock2D"),
    "up_block_types": ("AttnUpBlock2D", "ResnetUpsampleBlock2D"),
    "downsample_type": "resnet",
    "upsample_type": "resnet",
    "attention_head_dim": 16,
    "attn_norm_num_groups": 8,
    "resnet_time_scale_shift": "scale_shift",
    "norm_eps": 1e-5,
}


@pytest.mark.parametrize(
    ("config", "theirs"), [(DDPM, THEIR_DDPM), (ADM, THEIR_ADM)], ids=["ddpm", "adm"]
)
def test_the_same_function_as_diffusers(config, theirs, rng):
    diffusers = pytest.importorskip("diffusers", reason="diffusers is the oracle; not installed")
    options = {"block_out_channels": (32, 64), "layers_per_block": 2, "norm_num_groups": 8}
    oracle = diffusers.UNet2DModel(**options, **theirs).eval()
    network = config.build().eval()
    cosine_first = theirs.get("flip_sin_to_cos", True)
    network.load_state_dict(
        unet_state_from_diffusers(oracle.state_dict(), config, cosine_first=cosine_first)
    )
    x, steps = torch.randn(2, 3, 16, 16, generator=rng), torch.tensor([17, 903])
    with torch.no_grad():
        assert_close(network(x, 1 - steps / 999), oracle(x, steps).sample, atol=1e-4, rtol=0)
