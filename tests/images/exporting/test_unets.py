"""U-Nets that diffusers reads back: the same outputs, and a scheduler of the same process."""

import json
import warnings
from dataclasses import replace

import pytest
import torch
from torch.testing import assert_close

from feller.core import load
from feller.core.checkpoint import CheckpointError
from feller.core.exporting import export_model
from feller.core.heads import FlowHead, JumpHead
from feller.core.nn.transformer import TransformerConfig
from feller.core.paths import GaussianPath
from feller.core.schedules import CondOT, VariancePreserving
from feller.core.spaces import Euclidean
from feller.images import DiTConfig, ImageModelConfig, Tabulated, UNetConfig
from feller.images.codec import ImageCodec

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    diffusers = pytest.importorskip("diffusers", reason="parity needs diffusers")

SMALL = {"channels": (32, 64), "blocks_per_level": 1, "attention_levels": (1,), "norm_groups": 8}
STEPS = torch.tensor([0.0, 17.0, 500.0, 999.0])


def model(prediction="velocity", schedule=None, classes=0, **fields):
    torch.manual_seed(0)
    config = ImageModelConfig(
        network=UNetConfig(num_classes=classes, **SMALL | fields),
        codec=ImageCodec((3, 8, 8), tuple("abcd")[:classes]),
        path=GaussianPath(Euclidean(3), schedule or CondOT()),
        head=FlowHead(prediction),
        condition_drop=0.1 if classes else None,
    )
    made = config.build().eval()
    with torch.no_grad():
        for p in made.parameters():
            noise = torch.randn(p.shape)
            p.copy_(0.1 * noise if p.ndim > 1 else 1 + 0.3 * noise)
    return made


@torch.no_grad()
@pytest.mark.parametrize(
    ("made", "fields"),
    [
        ({}, {}),
        ({}, {"time_scale": -1000.0, "time_offset": 1000.0, "residual_resampling": True,
              "scale_shift_norm": True, "middle_attention": False, "head_channels": 16}),
        ({"prediction": "noise", "schedule": VariancePreserving(), "classes": 3}, {}),
        ({"prediction": "v", "schedule": Tabulated.linear()},
         {"time_scale": -1000.0, "time_offset": 999.0, "frequency_shift": 1.0,
          "asymmetric_padding": True}),
    ],
    ids=["flow", "flow of their clock", "noise with classes", "v of their clock"],
)  # fmt: skip
def test_diffusers_reads_what_is_written(made, fields, tmp_path, rng):
    ours = model(**made, **fields)
    export_model(ours, "diffusers", tmp_path / "out")
    theirs = diffusers.UNet2DModel.from_pretrained(tmp_path / "out" / "unet").eval()
    flows = ours.config.head.prediction == "velocity"
    kind = "FlowMatchEulerDiscreteScheduler" if flows else "DDPMScheduler"
    scheduler = getattr(diffusers, kind).from_pretrained(tmp_path / "out" / "scheduler")
    t = 1 - (STEPS + (not flows)) / 1000
    classes = len(ours.codec.classes)
    labels = torch.arange(4) % (classes + 1) if classes else None
    x = torch.randn(4, 3, 8, 8, generator=rng)
    right = ours.model.network(x, t, labels)
    found = theirs(x, STEPS, class_labels=labels).sample * (-1 if flows else 1)
    assert right.std() > 0.5 and float((found - right).norm() / right.norm()) < 1e-5
    if not flows:
        alphas = ours.path.schedule.alpha(t).square()
        assert torch.allclose(scheduler.alphas_cumprod[STEPS.long()], alphas, rtol=1e-3)
    again = load(tmp_path / "out")
    back = again.model.network(x, t, labels)
    assert float((back - right).norm() / right.norm()) < 1e-5
    assert again.config.check_condition(labels=False) is None  # no label is a row of its own
    export_model(again, "diffusers", tmp_path / "again")
    files = [tmp_path / home / "unet" / "config.json" for home in ("out", "again")]
    assert files[0].read_text() == files[1].read_text()


@torch.no_grad()
def test_a_pipeline_of_theirs_draws(tmp_path, rng):
    """Their Euler steps are ours."""
    from feller.core.grids import uniform_grid
    from feller.core.solvers import named_solver, simulate

    ours = model()
    export_model(ours, "diffusers", tmp_path / "out")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pipeline = diffusers.DDPMPipeline.from_pretrained(tmp_path / "out")
    pipeline.set_progress_bar_config(disable=True)
    draw = torch.Generator().manual_seed(3)
    found = pipeline(2, draw, num_inference_steps=4, output_type="pt", return_dict=False)[0]
    start = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(3))
    grid = 1 - torch.cat([pipeline.scheduler.sigmas[:-1], torch.zeros(1)])
    state = simulate(ours, start, grid, named_solver("euler")).state
    right = (state / 2 + 0.5).clamp(0, 1)
    assert right.std() > 0.1 and float((found - right).abs().max()) < 1e-4
    assert len(uniform_grid(4)) == len(grid)


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (lambda: model(patch_size=2), "network.patch_size 2 is no UNet2DModel's: 1 is"),
        (lambda: model(stem_channels=16), "network.stem_channels 16 is no UNet2DModel's: 32 is"),
        (
            lambda: model(norm_groups=32, channels=(32, 64)),
            "norms of 8 and 16 and 24 and 32 groups are no UNet2DModel",
        ),
        (lambda: model(time_scale=1.5), "time_scale 1.5 is not a whole number of steps"),
        (lambda: model(prediction="noise", schedule=CondOT()), "alpha"),
        (lambda: model(prediction="x_1"), r"CondOT\(\) is held by no scheduler"),
        (lambda: model(prediction="velocity", schedule=VariancePreserving()), "predicts velocity"),
    ],
)
def test_what_diffusers_does_not_have(given, reason, tmp_path):
    with pytest.raises(ValueError, match=reason) as caught:
        export_model(given(), "diffusers", tmp_path / "out")
    assert "\n" not in str(caught.value) and not (tmp_path / "out").exists()


def test_other_networks_and_heads(tmp_path):
    dit = DiTConfig(transformer=TransformerConfig(dim=8, depth=1, num_heads=1))
    codec = ImageCodec((3, 8, 8))
    jumps = UNetConfig(**SMALL)
    for config, reason in [
        (ImageModelConfig(network=dit, codec=codec), "a DiTConfig is no UNet2DModel"),
        (
            ImageModelConfig(network=jumps, codec=codec, head=JumpHead()),
            "JumpHead is not a process",
        ),
    ]:
        with pytest.raises(CheckpointError, match=reason):
            export_model(config.build(), "diffusers", tmp_path / "out")


def test_classes_without_a_null_class_come_back(tmp_path):
    ours = model(classes=2)
    ours.config = replace(ours.config, condition_drop=0.0)
    export_model(ours, "diffusers", tmp_path / "out")
    fields = json.loads((tmp_path / "out" / "unet" / "config.json").read_text())
    assert fields["num_class_embeds"] == 2
    again, x = load(tmp_path / "out"), torch.randn(2, 3, 8, 8)
    label = torch.tensor([0, 1])
    assert_close(again(x, 0.5, label).velocity, ours(x, 0.5, label).velocity, rtol=1e-4, atol=1e-4)
