"""A `UNet2DModel` and its pipeline as they are: the same outputs and trajectories."""

import json
import warnings

import pytest
import torch
from parity import same_outputs
from PIL import Image
from safetensors.torch import load_file, save_file

from feller.core import load
from feller.core.checkpoint import CheckpointError, load_model
from feller.core.cli import main
from feller.core.grids import uniform_grid
from feller.core.importing import import_model
from feller.core.models import GeneratorModel
from feller.core.solvers import (
    DDIM,
    HEUN,
    DPMSolverPP2M,
    Euler,
    Evaluation,
    RungeKutta,
    follow,
    named_solver,
    simulate,
)

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    diffusers = pytest.importorskip("diffusers", reason="parity needs diffusers")

SMALL = {
    "sample_size": 8,
    "block_out_channels": (32, 64),
    "layers_per_block": 1,
    "down_block_types": ("DownBlock2D", "AttnDownBlock2D"),
    "up_block_types": ("AttnUpBlock2D", "UpBlock2D"),
}


def write(folder, scheduler, **fields):
    """A pipeline of theirs with random weights."""
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        oracle = diffusers.UNet2DModel(**SMALL | fields).eval()
    with torch.no_grad():
        for parameter in oracle.parameters():
            if parameter.ndim == 1:
                parameter.add_(0.3 * torch.randn(parameter.shape))
    oracle.save_pretrained(folder / "unet")
    scheduler.save_pretrained(folder / "scheduler")
    (folder / "model_index.json").write_text('{"_class_name": "DDPMPipeline"}')
    return oracle


def same(family, right, found):
    same_outputs(family, found, right, oracle="diffusers", relative=True)


@torch.no_grad()
@pytest.mark.parametrize("prediction", ["epsilon", "sample", "v_prediction"])
def test_ddpm_s_steps(prediction, tmp_path, rng):
    """Outputs and DDIM's trajectory, for each prediction."""
    ddim = diffusers.DDIMScheduler(
        beta_schedule="scaled_linear",
        prediction_type=prediction,
        clip_sample=False,
        timestep_spacing="trailing",
    )
    oracle = write(tmp_path, ddim)
    model = load(tmp_path)
    x, steps = torch.randn(2, 3, 8, 8, generator=rng), torch.tensor([17, 903])
    found = model.model.network(x, 1 - (steps + 1) / 1000)
    same(f"UNet2DModel, {prediction}", oracle(x, steps).sample, found)
    ddim.set_timesteps(5)
    right = x
    for k in ddim.timesteps:
        right = ddim.step(oracle(right, k).sample, k, right).prev_sample
    found = simulate(model, x, uniform_grid(5), named_solver("ddim")).state
    assert float((found - right).norm() / right.norm()) < 1e-4


def test_what_a_scheduler_says_can_be_said_without_its_file(tmp_path):
    write(tmp_path, diffusers.DDIMScheduler())
    for file in tmp_path.rglob("scheduler_config.json"):
        file.unlink()
    given = {"scheduler": "DDPMScheduler", "prediction_type": "v_prediction"}
    found = import_model(tmp_path, given | {"num_train_timesteps": 500}).model
    assert found.config.head.prediction == "v"
    assert len(found.path.schedule.alphas_cumprod) == 500


@torch.no_grad()
def test_a_rectified_flow(tmp_path, rng):
    """Their Euler steps on an even grid are ours."""
    euler = diffusers.FlowMatchEulerDiscreteScheduler()
    oracle = write(tmp_path, euler)
    found = import_model(tmp_path)
    x = torch.randn(2, 3, 8, 8, generator=rng)
    theirs = -oracle(x, torch.tensor([250.0, 900.0])).sample
    same("UNet2DModel, rectified flow", theirs, found.model(x, torch.tensor([0.75, 0.1])).velocity)
    euler.set_timesteps(sigmas=[1 - i / 5 for i in range(5)])
    right = x
    for k in euler.timesteps:
        right = euler.step(oracle(right, k.expand(2)).sample, k, right).prev_sample
    drawn = simulate(found.model, x, uniform_grid(5), named_solver("euler")).state
    same("UNet2DModel, trajectory of FlowMatchEuler", right, drawn)
    assert "minus what the network returns" in found.reading["head"]


SAMPLERS = {
    "DDPM": ("DDPMScheduler", {"clip_sample": False}, DDIM(churn=1.0)),
    "DDIM": ("DDIMScheduler", {"clip_sample": False}, DDIM()),
    "DPM++": ("DPMSolverMultistepScheduler", {"final_sigmas_type": "zero"}, DPMSolverPP2M()),
    "flow Euler": ("FlowMatchEulerDiscreteScheduler", {}, Euler()),
    "flow Heun": ("FlowMatchHeunDiscreteScheduler", {}, RungeKutta(HEUN)),
}


@torch.no_grad()
@pytest.mark.filterwarnings("ignore:__array__ impl:DeprecationWarning")  # theirs, with numpy 2
@pytest.mark.parametrize("name", SAMPLERS)
def test_whole_trajectories(name, tmp_path):
    """State by state, of a network with random weights, from the same noise."""
    kind, fields, solver = SAMPLERS[name]
    discrete = not name.startswith("flow")
    spacing = {"timestep_spacing": "trailing"} if discrete else {}
    scheduler = getattr(diffusers, kind)(**fields, **spacing)
    oracle = write(tmp_path, scheduler)
    model = load(tmp_path)
    scheduler.set_timesteps(10)
    if discrete:
        times = uniform_grid(10).double()
    else:  # their levels, each once
        times = 1 - scheduler.sigmas.unique_consecutive().double()
    x = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    drawn = {"generator": torch.Generator().manual_seed(2)} if name == "DDPM" else {}
    right, state = [], x
    for k in scheduler.timesteps:
        seen = oracle(state.float(), k.float().expand(2)).sample.double()
        state = scheduler.step(seen, k, state, **drawn).prev_sample.double()
        right.append(state)
    own = GeneratorModel(Single(model.model.network), model.path, model.config.head)
    rng = torch.Generator().manual_seed(2)
    found = list(follow(Evaluation(own, None), x, times, solver, rng))
    if name == "flow Heun":  # states after their first halves count for nothing, but at the end
        right = right[1:-1:2] + right[-1:]
    for ours, theirs in zip(found[-len(right) :], right, strict=True):
        same(f"UNet2DModel, trajectory of {name}", theirs, ours)


class Single(torch.nn.Module):
    """A network in single precision, of states in double: as theirs, whose clocks are single."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, x, t, condition):
        return self.network(x.float(), t.float()).double()


@torch.no_grad()
def test_classes_and_a_learned_variance(tmp_path, rng):
    oracle = write(tmp_path, diffusers.DDPMScheduler(), num_class_embeds=5, out_channels=6)
    model, labels = load(tmp_path), torch.tensor([3, 0])
    x, steps = torch.randn(2, 3, 8, 8, generator=rng), torch.tensor([17, 903])
    found = model.model.network(x, 1 - (steps + 1) / 1000, labels)
    same("UNet2DModel, classes and a variance", oracle(x, steps, labels).sample[:, :3], found)
    assert model.codec.classes == ("0", "1", "2", "3", "4")
    with pytest.raises(ValueError, match="the model was trained with every label"):
        model.sample(1)
    assert model.sample(2, label=3, steps=2).shape == (2, 8, 8, 3)


def test_the_command(tmp_path, capsys):
    oracle = write(tmp_path / "theirs", diffusers.DDPMScheduler(clip_sample=True))
    (tmp_path / "theirs" / "README.md").write_text("---\nlicense: mit\n---\n# ddpm\n")
    assert main(["import", str(tmp_path / "theirs"), "--out", str(tmp_path / "ours")]) == 0
    said = capsys.readouterr().out
    for word in ("UNet2DModel of diffusers", "Tabulated(<1000 steps>)", "FlowHead of noise", "mit",
                 "3 x 8 x 8", "clip_sample"):  # fmt: skip
        assert word in said
    model = load_model(tmp_path / "ours")
    assert model.sample(1, steps=2, seed=0).shape == (1, 8, 8, 3)
    count = sum(p.numel() for p in oracle.parameters())
    assert sum(p.numel() for p in model.parameters()) == count
    capsys.readouterr()
    assert main(["sample", str(tmp_path / "theirs" / "unet")]) == 2
    assert "feller import" in capsys.readouterr().err


@pytest.fixture
def theirs(tmp_path):
    write(tmp_path, diffusers.DDPMScheduler())
    return tmp_path


def refused(capsys, folder, *flags):
    code = main(["import", str(folder), "--out", str(folder / "out"), *flags])
    error = capsys.readouterr().err
    assert code == 2 and error.count("\n") == 1 and not (folder / "out").exists()
    return error


def test_wrong_missing_and_extra_tensors_are_refused(theirs, capsys):
    file = theirs / "unet" / "diffusion_pytorch_model.safetensors"
    whole = load_file(file)
    for change, reason in [
        ({"conv_in.weight": torch.zeros(32, 3, 5, 5)}, "stem.weight is [32, 3, 5, 5], the network"),
        ({"conv_in.weight": None}, "lacks model.network.stem.weight"),
        ({"mid_block.attentions.0.to_k.bias": None}, "to_k.bias' is missing"),
        ({"conv_out.more": torch.zeros(1)}, "has model.network.head.more, which the network"),
        ({"encoder_hid_proj.weight": torch.zeros(1)}, "encoder_hid_proj is unknown in a UNet2D"),
    ]:
        save_file({k: v for k, v in (whole | change).items() if v is not None}, file)
        assert reason in refused(capsys, theirs)


def test_half_a_download_is_refused(theirs, capsys):
    file = theirs / "unet" / "diffusion_pytorch_model.safetensors"
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    assert "is damaged or half a download" in refused(capsys, theirs)
    file.write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    assert "is a pointer, not the weights: git lfs pull" in refused(capsys, theirs)
    file.rename(file.with_name(file.name + ".incomplete"))
    assert "half a download: finish it" in refused(capsys, theirs)


def test_what_is_not_held_is_refused(theirs, capsys):
    content = json.loads((theirs / "unet" / "config.json").read_text())
    for fields, reason in [
        ({"act_fn": "gelu"}, "act_fn = 'gelu' is not supported"),
        ({"sample_size": None}, "does not say its sample_size: give --set sample_size=VALUE"),
        ({"block_out_channels": [32_000_000, 64]}, "it has more than"),
    ]:
        (theirs / "unet" / "config.json").write_text(json.dumps(content | fields))
        assert reason in refused(capsys, theirs)
    (theirs / "unet" / "config.json").write_text(json.dumps(content | {"sample_size": None}))
    assert main(["import", str(theirs), "--out", str(theirs / "o"), "--set", "sample_size=8"]) == 0
    for fields, reason in [
        ({"_class_name": "KarrasVeScheduler"}, "a KarrasVeScheduler is not supported"),
        ({"rescale_betas_zero_snr": True}, "rescale_betas_zero_snr is not supported"),
        ({"beta_schedule": "exp"}, "beta_schedule = 'exp' is not supported"),
        ({"prediction_type": "flow"}, "prediction_type = 'flow' is not supported"),
    ]:
        (theirs / "scheduler" / "scheduler_config.json").write_text(json.dumps(fields))
        assert reason in refused(capsys, theirs)
    (theirs / "scheduler" / "scheduler_config.json").unlink()
    assert "has no scheduler_config.json, and its weights do not show" in refused(capsys, theirs)


def test_wrong_folders_keep_the_error_of_load(tmp_path):
    with pytest.raises(LookupError, match=r"has no config\.json: it is neither a model nor"):
        load(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "nothing known"}')
    with pytest.raises(
        CheckpointError, match=r"is of no family known here; there are .*UNet2DModel"
    ):
        load(tmp_path)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_what_was_read_is_trained_measured_and_verified(tmp_path, capsys, rng):
    """By the same commands as any model."""
    write(tmp_path / "theirs", diffusers.DDPMScheduler())
    ours, run, root = (str(tmp_path / name) for name in ("ours", "run", "pictures"))
    main(["import", str(tmp_path / "theirs"), "--out", ours])
    (tmp_path / "pictures").mkdir()
    for i in range(12):
        picture = torch.randint(256, (8, 8, 3), generator=rng, dtype=torch.uint8)
        Image.fromarray(picture.numpy()).save(tmp_path / "pictures" / f"{i}.png")
    start = ("--training.start", ours, "--training.start-model", "--training.condition-drop", "0")
    short = ("--training.steps", "2", "--training.batch-size", "4", "--training.sample-every", "0")
    data = ("--data.root", root, "--data.size", "8")
    main(["train", "images/folder", "--out", run, "--cpu", *start, *short, *data])
    assert "tensors are taken\n" in capsys.readouterr().out
    before, after = (load_file(f"{f}/model.safetensors") for f in (ours, f"{run}/model"))
    assert before.keys() == after.keys()
    assert any(not after[name].equal(value) for name, value in before.items())
    assert load(run).config == load(ours).config
    few = ("-n", "8", "--steps", "2", "--likelihood-n", "2", "--likelihood-steps", "2")
    main(["evaluate", run, *few, "--json"])
    assert json.loads(capsys.readouterr().out)
    states = ("-n", "64", "--moments", "1", "--threshold", "1e9", "--split", "train")
    main(["verify", run, *states])
    assert "relative" in capsys.readouterr().out
