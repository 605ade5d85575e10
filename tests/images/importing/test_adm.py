"""The U-Net of torchcfm is read as it is: the same outputs, the same trajectories."""

import warnings

import pytest
import torch
from parity import same_outputs
from safetensors.torch import save_file

from feller.core import load
from feller.core.checkpoint import CheckpointError
from feller.core.grids import uniform_grid
from feller.core.importing import import_model
from feller.core.solvers import named_solver, simulate
from feller.images.importing.processes import from_diffusers

SMALL = {
    "dim": (3, 16, 16),
    "num_channels": 32,
    "num_res_blocks": 1,
    "channel_mult": [1, 2],
    "num_heads": 4,
    "num_head_channels": 16,
    "attention_resolutions": "8",
}
CASES = {
    "published": {"num_res_blocks": 2, "channel_mult": [1, 2, 2, 2]},
    "classes": {"class_cond": True, "num_classes": 4},
    "adm": {"use_scale_shift_norm": True, "resblock_updown": True},
    "other order": {"use_new_attention_order": True},
    "one head": {"num_heads": 1, "num_head_channels": -1},
    "two heads": {"num_heads": 2, "num_head_channels": -1, "attention_resolutions": "4"},
}


def theirs(**options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        unet = pytest.importorskip(
            "torchcfm.models.unet.unet", reason="parity needs torchcfm: uv pip install torchcfm"
        )
    torch.manual_seed(0)
    oracle = unet.UNetModelWrapper(**SMALL | options).eval()
    with torch.no_grad():
        for parameter in oracle.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape))
    return oracle


def written(oracle, stem):
    """The file of its weights; that of the published case is what its training writes."""
    file = stem.with_suffix(".pt" if stem.name == "published" else ".safetensors")
    if file.suffix == ".pt":
        torch.save({"net_model": {}, "ema_model": oracle.state_dict(), "step": 3}, file)
    else:
        save_file(dict(oracle.state_dict()), file)
    return file


def options_of(**options):
    asked = {"objective": "flow"} if options.get("channel_mult") is None else {}
    asked |= {k: (SMALL | options)[k] for k in ("dim", "num_heads", "num_head_channels")}
    return asked | {"use_new_attention_order": options.get("use_new_attention_order", False)}


@torch.no_grad()
@pytest.mark.parametrize("case", CASES)
def test_the_same_function(case, tmp_path, rng):
    oracle = theirs(**CASES[case])
    model = import_model(written(oracle, tmp_path / case), options_of(**CASES[case])).model
    x, t = torch.randn(2, 3, 16, 16, generator=rng), torch.tensor([0.2, 0.9])
    labels = (torch.tensor([3, 0]),) if case == "classes" else ()
    right, found = oracle(t, x, *labels), model.model.network(x, t, *labels)
    same_outputs(f"U-Net of torchcfm, {case}", found, right, oracle="torchcfm", relative=True)


@torch.no_grad()
def test_the_same_samples_as_its_euler_steps(tmp_path, rng):
    oracle = theirs()
    held = {k: v for k, v in oracle.state_dict().items()}
    save_file(held, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(
        '{"objective": "flow", "image_size": 16, "num_head_channels": 16}'
    )
    x = right = torch.randn(2, 3, 16, 16, generator=rng)
    for i in range(5):
        right = right + oracle(torch.full((2,), i / 5), right) / 5
    found = simulate(load(tmp_path), x, uniform_grid(5), named_solver("euler")).state
    name = "U-Net of torchcfm, trajectory of Euler"
    same_outputs(name, found, right, oracle="torchcfm", relative=True)


@torch.no_grad()
def test_adm_learned_noise_and_a_variance(tmp_path, rng):
    oracle = theirs(learn_sigma=True, use_scale_shift_norm=True)
    save_file(dict(oracle.state_dict()), tmp_path / "64.safetensors")
    asked = {"image_size": 16, "num_head_channels": 16, "noise_schedule": "cosine"}
    found = import_model(tmp_path, asked)
    x, steps = torch.randn(2, 3, 16, 16, generator=rng), torch.tensor([3.0, 800.0])
    right = oracle(steps, x)[:, :3]
    ours = found.model.model.network(x, 1 - (steps + 1) / 1000)
    same_outputs("ADM, learned noise", ours, right, oracle="torchcfm", relative=True)
    cosine = from_diffusers({"beta_schedule": "squaredcos_cap_v2"})
    assert found.model.config.path == cosine.path and found.model.config.head == cosine.head


def test_what_weights_do_not_tell_has_to_be_said(tmp_path):
    held = dict(theirs().state_dict())
    file = tmp_path / "model.safetensors"
    save_file(held, file)
    asked = {
        "objective": "noise",
        "image_size": 16,
        "num_head_channels": 16,
        "noise_schedule": "linear",
    }
    for name in asked:
        less = {k: v for k, v in asked.items() if k != name}
        with pytest.raises(CheckpointError, match=f"give --set {name}="):
            import_model(tmp_path, less)
    for name, value in [("objective", "x"), ("noise_schedule", "y")]:
        with pytest.raises(CheckpointError, match=f"{name} = '{value}' is not supported"):
            import_model(tmp_path, asked | {name: value})
    with pytest.raises(CheckpointError, match="num_heads = 2 at widths"):
        import_model(theirs_file(tmp_path), {"num_heads": 2, "objective": "flow", "image_size": 16})
    for change, reason in [
        ({"middle_block.1.qkv.bias": None}, "lacks middle_block.1.qkv.bias"),
        (
            {"input_blocks.2.0.op.bias": torch.zeros(3)},
            r"encoder.1.conv.bias is \[3\], the network",
        ),
        (
            {"input_blocks.1.1.transformer_blocks.0.x": torch.zeros(1)},
            "unknown in a U-Net of torch",
        ),
        ({"time_embed.0.weight": torch.zeros(128, 16)}, "channel_mult that does not begin"),
    ]:
        save_file({k: v for k, v in (held | change).items() if v is not None}, file)
        with pytest.raises(CheckpointError, match=reason):
            import_model(tmp_path, asked)


def theirs_file(folder):
    """One that attends at two widths."""
    file = folder / "two.safetensors"
    save_file(dict(theirs(attention_resolutions="16,8").state_dict()), file)
    return file
