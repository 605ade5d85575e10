"""`feller train`: a recipe, with flags laid over its leaves."""

import json
import warnings
from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest
from PIL import Image
from terminal import complaint, feller

from feller.core.cli import main
from feller.core.commands.train import parse_recipe
from feller.core.config import encode, leaves
from feller.core.domains import list_recipes, recipe
from feller.core.times import LogitNormal
from feller.core.training import trainer

DRAWN = "images/drawn-flow"


def test_without_flags_the_recipe_is_as_it_was():
    for name in list_recipes():
        assert parse_recipe(name, []) == recipe(name)


def test_flags_change_leaves():
    flags = {
        "--training.steps": "3",
        "--training.batch-size": "8",
        "--training.mixed_precision": "bf16",
        "--optimizer.lr": "0.1",
        "--optimizer.betas": "0.5 0.75",
        "--times.mean": "-1.5",
        "--data.root": "elsewhere",
        "--model.network.channels": "8 16 32",
        "--model.network.stem-channels": "None",
        "--model.network.head-channels": "8",
    }
    found = parse_recipe(
        DRAWN, [*" ".join(map(" ".join, flags.items())).split(), "--data.download"]
    )
    base = recipe(DRAWN)
    network = replace(base.model.network, channels=(8, 16, 32), stem_channels=None, head_channels=8)
    assert found == replace(
        base,
        training=replace(base.training, steps=3, batch_size=8, mixed_precision="bf16"),
        optimizer=replace(base.optimizer, lr=0.1, betas=(0.5, 0.75)),
        times=LogitNormal(mean=-1.5),
        data=replace(base.data, root="elsewhere", download=True),
        model=replace(base.model, network=network),
    )
    with pytest.raises(FrozenInstanceError):
        found.training.steps = 4


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        (["--training.stepz", "3"], "--training.steps"),
        (["--training.steps", "many"], "--training.steps"),
        (["--data.source", "imagenet"], "fashion-mnist"),
        (["--training.accumulate", "3"], "does not divide into 3 micro-batches"),
        (["--model.network.num-classes", "5"], "num_classes is 5, but codec.classes names 10"),
    ],
)
def test_flags_that_do_not_fit_are_refused(flags, reason):
    code, _, err = feller("train", DRAWN, "--out", "nowhere", *flags)
    assert code == 2
    assert reason in " ".join(err.replace("│", " ").split())
    assert "Traceback" not in err


def test_help_names_every_leaf():
    code, out, err = feller("train", DRAWN, "--help")
    assert code == 0
    assert err == ""
    assert "--out DIR" in out
    assert "--cpu" in out
    encoded = leaves(encode(recipe(DRAWN)))
    names = {name for name in encoded if not name.endswith(("type", *"0123456789"))}
    names.remove("model.network.conditions")  # made in Python
    assert {"times.mean", "training.steps", "model.head.prediction", "data.root"} <= names
    for name in names:
        assert f"--{name.replace('_', '-')}" in out
    assert "Number of optimizer steps. (default: 2000)" in out
    assert max(map(len, out.splitlines())) <= 80


def test_help_without_a_recipe():
    code, out, err = feller("train", "--help")
    assert (code, err) == (0, "")
    assert out.startswith("usage: feller train RECIPE --out DIR [--cpu] [--new-data] [flags]")
    assert "accelerate launch" in out


def test_a_recipe_and_a_folder_are_asked_for(only_images):
    assert complaint("train").endswith("a recipe is missing; `feller list` names them")
    assert complaint("train", DRAWN) == "feller train: --out DIR is missing: the folder of the run"
    assert complaint("train", "images/drawn-flo", "--out", "x").startswith(
        "feller train: unknown recipe 'images/drawn-flo'; did you mean images/drawn-flow"
    )
    assert complaint("train", "cats/flow", "--out", "x").startswith(
        "feller train: unknown recipe 'cats/flow'; there are images/"
    )
    assert "pip install feller-text" in complaint("train", "text/shakespeare-mask", "--out", "x")


@pytest.mark.parametrize("order", ["recipe first", "out first"])
def test_the_trainer_is_called(order, tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(
        trainer,
        "train",
        lambda found, out, **options: calls.append((found, out, options)) or out / "model",
    )
    out, flags = tmp_path / "a", ["--cpu", "--training.steps", "7"]
    argv = (
        [DRAWN, "--out", out, *flags] if order == "recipe first" else ["--out", out, DRAWN, *flags]
    )
    code, _, err = feller("train", *argv)
    assert code == 0
    assert err == f"{out / 'model'} is ready: feller sample {out}\n"
    options = {"cpu": True, "new_data": False}
    assert calls == [(parse_recipe(DRAWN, ["--training.steps", "7"]), out, options)]


def test_only_the_first_process_speaks(tmp_path, monkeypatch):
    monkeypatch.setattr(trainer, "train", lambda found, out, **options: out)
    monkeypatch.setenv("RANK", "1")
    assert feller("train", DRAWN, "--out", tmp_path / "a") == (0, "", "")


def test_from_data_to_samples(tmp_path):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (20, 8, 8), dtype=np.uint8)
    np.savez(tmp_path / "own.npz", train_images=images, train_labels=np.arange(20) % 2)
    values = {
        "training.steps": [2], "training.batch-size": [4], "training.sample-every": [0],
        "data.source": ["npz"], "data.root": [tmp_path / "own.npz"],
        "model.codec.shape": [1, 8, 8], "model.codec.classes": ["cat", "dog"],
        "model.network.num-classes": [2], "model.network.channels": [8, 16],
        "model.network.head-channels": [8],
    }  # fmt: skip
    flags = [word for name, value in values.items() for word in (f"--{name}", *value)]
    flags += ["--cpu", "--out", tmp_path / "a"]
    assert feller("train", DRAWN, *flags).code == 0
    saved = json.loads((tmp_path / "a" / "recipe.json").read_text())
    assert saved["model"]["codec"]["classes"] == ["cat", "dog"]
    page = feller("show", tmp_path / "a").out
    assert "| steps | 2 |" in page
    assert "| data set | npz |" in page
    out = tmp_path / "samples"
    assert feller("sample", tmp_path / "a", "-n", 2, "--label", "dog", "--out", out).code == 0
    assert [file.name for file in sorted(out.iterdir())] == ["0_dog.png", "1_dog.png"]
    assert complaint("train", DRAWN, *flags, "--optimizer.lr", "0.5").startswith(
        f"feller train: {tmp_path / 'a'} took its 2 steps with optimizer.lr = 0.0008, not 0.5"
    )


def test_a_folder_of_ones_own_is_trained_on_anew_and_from_a_model(tmp_path, capsys):
    """The lines of the README."""
    for name in ("cup", "hat", "key"):
        (tmp_path / "mine" / name).mkdir(parents=True)
        for i in range(4):
            Image.new("RGB", (30, 28), (40 * i, 90, 10)).save(tmp_path / "mine" / name / f"{i}.png")
    data = ["--data.source", "folder", "--data.root", str(tmp_path / "mine"), "--data.gray"]
    classes = ["--model.codec.classes", "cup", "hat", "key", "--model.network.num-classes", "3"]
    short = ["--training.steps", "1", "--training.batch-size", "2", "--cpu"]
    start = ["--training.start", "images/fashion-flow"]
    for recipe_name, more in (("mnist-flow", []), ("fashion-flow", start)):
        out = str(tmp_path / recipe_name)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "training.start")
            run = ["train", f"images/{recipe_name}", "--out", out]
            assert main([*run, *data, *classes, *short, *more]) == 0
        drawn = str(tmp_path / f"{recipe_name}.npz")
        assert (
            main(["sample", out, "-n", "3", "--label", "all", "--steps", "1", "--out", drawn]) == 0
        )
        assert np.load(drawn)["labels"].tolist() == [0, 1, 2]
    printed = capsys.readouterr().out
    assert printed.count(" tensors are taken; initialised: ") == 1
    assert "embed_label.table.weight (new rows: cup, hat, key" in printed
