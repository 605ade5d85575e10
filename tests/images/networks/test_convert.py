"""Networks of diffusers as ours give the same function. This module alone imports diffusers."""

import json
import re
import warnings

import pytest
import torch
from safetensors.torch import save_file

from feller.core.grids import uniform_grid
from feller.core.heads import FlowHead
from feller.core.models import GeneratorModel
from feller.core.paths import GaussianPath
from feller.core.solvers import named_solver, simulate
from feller.core.spaces import Euclidean
from feller.images.networks.convert import unet_from_diffusers, unet_state_from_diffusers
from feller.images.networks.diffusers_config import unet_config_from_diffusers
from feller.images.schedules import Tabulated

ATTEND = {
    "down_block_types": ("DownBlock2D", "AttnDownBlock2D"),
    "up_block_types": ("AttnUpBlock2D", "UpBlock2D"),
}
PLAIN = {
    "down_block_types": ("DownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "UpBlock2D"),
}
SMALL = {"block_out_channels": (32, 64), "layers_per_block": 1}
CASES = {
    # google/ddpm-cifar10-32 and its like, in its shape at a quarter of its width
    "ddpm": {
        "block_out_channels": (32, 64, 64, 64),
        "down_block_types": ("DownBlock2D", "AttnDownBlock2D", "DownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "UpBlock2D", "AttnUpBlock2D", "UpBlock2D"),
        "downsample_padding": 0,
        "attention_head_dim": None,
        "norm_eps": 1e-6,
        "freq_shift": 1,
        "flip_sin_to_cos": False,
    },
    "defaults": {},  # of UNet2DModel, but for its widths
    "narrow": SMALL | ATTEND,
    "64-256": {"block_out_channels": (64, 256), "layers_per_block": 1} | ATTEND,
    "classes": SMALL | ATTEND | {"num_class_embeds": 5},
    "no attention": SMALL | PLAIN | {"add_attention": False},
    "the middle alone attends": SMALL | PLAIN,
    "few groups": SMALL | ATTEND | {"norm_num_groups": 4, "norm_eps": 1e-2},
    "adm": SMALL
    | {
        "layers_per_block": 2,
        "down_block_types": ("ResnetDownsampleBlock2D", "AttnDownBlock2D"),
        "up_block_types": ("AttnUpBlock2D", "ResnetUpsampleBlock2D"),
        "downsample_type": "resnet",
        "upsample_type": "resnet",
        "attention_head_dim": 16,
        "attn_norm_num_groups": 32,
        "resnet_time_scale_shift": "scale_shift",
    },
}


def theirs(case):
    """A network of theirs with random weights, biases and norms too."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of diffusers and what it imports, which takes seconds
        from diffusers import UNet2DModel
    options = CASES[case] or {"block_out_channels": (32, 64, 96, 128)}
    torch.manual_seed(0)
    oracle = UNet2DModel(**options).eval()
    with torch.no_grad():
        for name, parameter in oracle.named_parameters():
            if parameter.ndim == 1:
                parameter.add_(0.3 * torch.randn(parameter.shape))
            if "time_emb" in name or "class_emb" in name:
                parameter.mul_(2)
    return oracle


@pytest.mark.parametrize("case", CASES)
def test_the_same_function(case, rng):
    oracle = theirs(case)
    told = json.loads(oracle.to_json_string())
    network = unet_config_from_diffusers(told).build().eval()
    network.load_state_dict(unet_state_from_diffusers(oracle.state_dict(), told))
    x, steps = torch.randn(2, 3, 16, 16, generator=rng), torch.tensor([17, 903])
    labels = (torch.tensor([3, 0]),) if told["num_class_embeds"] else ()
    with torch.no_grad():
        right = oracle(x, steps, *labels).sample
        found = network(x, 1 - (steps + 1) / 1000, *labels)
        plain = unet_config_from_diffusers(told).build()(x, torch.rand(2))
    assert right.std() > 0.01
    assert not plain.any()  # a fresh one returns zeros
    assert float((found - right).norm() / right.norm()) < 1e-5


def test_the_same_samples_as_ddim_of_diffusers(rng):
    """At a table of their `alphas_cumprod`, on a uniform grid: their `trailing` steps."""
    oracle = theirs("ddpm")
    from diffusers import DDIMScheduler

    scheduler = DDIMScheduler(timestep_spacing="trailing", clip_sample=False)
    scheduler.set_timesteps(10)
    told = dict(oracle.config)
    network = unet_config_from_diffusers(told).build().eval()
    network.load_state_dict(unet_state_from_diffusers(oracle.state_dict(), told))
    schedule = Tabulated(tuple(scheduler.alphas_cumprod.tolist()))
    model = GeneratorModel(network, GaussianPath(Euclidean(3), schedule), FlowHead("noise"))
    x = right = torch.randn(2, 3, 8, 8, generator=rng)
    found = simulate(model, x, uniform_grid(10), named_solver("ddim")).state
    with torch.no_grad():
        for k in scheduler.timesteps:
            right = scheduler.step(oracle(right, k).sample, k, right).prev_sample
    assert float((found - right).norm() / right.norm()) < 1e-4


def test_a_pipeline_s_folder(tmp_path, rng):
    oracle = theirs("narrow")
    oracle.save_pretrained(tmp_path)
    x = torch.randn(2, 3, 16, 16, generator=rng)
    with torch.no_grad():
        right = oracle(x, torch.tensor([0, 999])).sample
        found = unet_from_diffusers(tmp_path)(x, torch.tensor([0.999, 0.0]))
    assert float((found - right).norm() / right.norm()) < 1e-5


def test_their_last_class_may_be_no_label(rng):
    oracle = theirs("classes")
    told, state = dict(oracle.config), oracle.state_dict()
    x, steps = torch.randn(2, 3, 16, 16, generator=rng), torch.tensor([17, 903])
    network = unet_config_from_diffusers(told, null_class=True).build()
    network.load_state_dict(unet_state_from_diffusers(state, told, null_class=True))
    assert network.config.num_classes == 4
    with torch.no_grad():
        right = oracle(x, steps, torch.tensor([4, 4])).sample
        found = network(x, 1 - (steps + 1) / 1000)
    assert float((found - right).norm() / right.norm()) < 1e-5
    assert not unet_state_from_diffusers(state, told)["embed_label.table.weight"][5].any()
    with pytest.raises(ValueError, match="num_class_embeds is 0: there is no last class"):
        unet_config_from_diffusers({}, null_class=True)


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
    old, new = (unet_state_from_diffusers(state, SMALL | ATTEND) for state in (before, after))
    assert set(old) == set(new) == {"middle.1.attend.qkv.bias", "middle.1.attend.out.bias"}
    assert all(torch.equal(old[name], new[name]) for name in old)


def test_weights_of_another_network_are_refused(tmp_path):
    with pytest.raises(ValueError, match="encoder_hid_proj"):
        unet_state_from_diffusers({"encoder_hid_proj.weight": torch.zeros(1)}, {})
    with pytest.raises(ValueError, match=r"has not both config\.json and diffusion_pytorch_model"):
        unet_from_diffusers(tmp_path)
    theirs("narrow").save_pretrained(tmp_path)
    file = tmp_path / "config.json"
    told = json.loads(file.read_text())
    for text, reason in [
        (json.dumps(told | {"layers_per_block": 2}), r"does not fit .*config\.json: "),
        (json.dumps(told | {"act_fn": "gelu"}), "act_fn = 'gelu' is not supported"),
        (json.dumps([]), "is not the configuration of a UNet2DModel"),
        (json.dumps(told | {"block_out_channels": 3}), "is not the configuration of a UNet2DModel"),
        ("{", "is not a UNet2DModel that feller supports: "),
    ]:
        file.write_text(text)
        with pytest.raises(ValueError, match=reason) as caught:
            unet_from_diffusers(tmp_path)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("field", "reason"),
    [
        ({"block_out_channels": [320_000, 640_000]}, "it has more than 1,000,064 numbers"),
        ({"layers_per_block": 10**9}, "it has more than 1,000,064 numbers"),
        ({"num_class_embeds": 10**11}, "it has more than 1,000,064 numbers"),
        ({"num_class_embeds": -3}, "num_class_embeds is at least 0, not -3"),
        ({"norm_num_groups": 0}, "norm_num_groups = 0 does not divide "),
    ],
)
def test_sizes_are_looked_at_before_they_are_built(field, reason, tmp_path):
    small = {"block_out_channels": [32, 64], "layers_per_block": 1, "add_attention": False}
    blocks = {f"{half}_block_types": [f"{half.title()}Block2D"] * 2 for half in ("down", "up")}
    (tmp_path / "config.json").write_text(json.dumps({**small, **blocks, **field}))
    save_file({"conv_in.bias": torch.zeros(32)}, tmp_path / "diffusion_pytorch_model.safetensors")
    with pytest.raises(ValueError, match=re.escape(f"that feller supports: {reason}")):
        unet_from_diffusers(tmp_path)
    (tmp_path / "config.json").write_text("[" * 100_000 + "]" * 100_000)
    with pytest.raises(ValueError, match="that feller supports: it is nested too"):
        unet_from_diffusers(tmp_path)
