"""`feller sample` on images."""

import json

import numpy as np
import pictures
import pytest
from PIL import Image
from terminal import complaint, feller

from feller.images.commands import sample as commands

FAST = ("--steps", 2, "--solver", "euler")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return pictures.save(tmp_path_factory.mktemp("models") / "tiny")


def drawn(model, out, *flags):
    """The arrays that `feller sample` writes."""
    assert feller("sample", model, "--out", out, *FAST, *flags).code == 0
    with np.load(out) as arrays:
        return dict(arrays)


# sample


def test_a_grid(model, tmp_path):
    out = tmp_path / "new" / "a.png"
    code, said, err = feller("sample", model, "-n", 9, "--out", out, *FAST)
    assert (code, err) == (0, "")
    assert said.startswith(f"{out}: 9 images, 2 network calls each, ")
    with Image.open(out) as picture:
        assert picture.size == (8 * 82, 8 * 22)


def test_a_film_ends_with_the_grid(model, tmp_path):
    flags = ("-n", 6, "--label", "cat,dog", *FAST)
    assert feller("sample", model, "--out", tmp_path / "a.webp", *flags).out.endswith(" s\n")
    assert feller("sample", model, "--out", tmp_path / "a.png", *flags).code == 0
    with Image.open(tmp_path / "a.webp") as film, Image.open(tmp_path / "a.png") as grid:
        assert film.n_frames == 3
        film.seek(0)
        first = np.asarray(film.convert("RGB"))
        film.seek(2)
        last = np.asarray(film.convert("RGB"))
        assert np.array_equal(last, np.asarray(grid.convert("RGB")))
        assert not np.array_equal(first, last)


def test_a_map_of_jumps(model, tmp_path):
    """A flow has none; `test_trajectories` has models that jump."""
    assert complaint("sample", model, "--jumps").endswith("--jumps: the model has none")
    film = complaint("sample", model, "--jumps", "--out", tmp_path / "b.webp")
    assert film.endswith("--jumps is a picture, not a film: --out ends in .png or .npz, or nothing")


def test_arrays(model, tmp_path):
    free = drawn(model, tmp_path / "a.npz", "-n", 3)
    assert set(free) == {"images"}
    assert free["images"].shape == (3, 8, 8, 1)
    assert free["images"].dtype == np.uint8
    labelled = drawn(model, tmp_path / "b.npz", "--n", 3, "--label", "dog")
    assert labelled["labels"].tolist() == [1, 1, 1]
    expected = pictures.model().sample(3, label="dog", steps=2, solver="euler")
    assert np.array_equal(labelled["images"], expected.numpy())


def test_a_folder(model, tmp_path):
    assert feller("sample", model, "-n", 2, "--label", 2, "--out", tmp_path / "a", *FAST).code == 0
    assert [file.name for file in sorted((tmp_path / "a").iterdir())] == [
        "0_Big-Bird.png", "1_Big-Bird.png",
    ]  # fmt: skip
    assert "choose another --out" in complaint("sample", model, "--out", tmp_path / "a")


@pytest.mark.parametrize(
    ("label", "labels"),
    [
        ("cat", [0, 0, 0, 0]),
        ("1", [1, 1, 1, 1]),
        ("big bird,cat", [2, 0, 2, 0]),
        ("2, dog", [2, 1, 2, 1]),
        ("all", [0, 1, 2, 0]),
    ],
)
def test_labels(label, labels, model, tmp_path):
    found = drawn(model, tmp_path / "a.npz", "-n", 4, "--label", label)
    assert found["labels"].tolist() == labels


def test_an_image_does_not_depend_on_how_many_there_are(model, tmp_path):
    flags = ("--label", "all", "--guidance", 2, "--seed", 5)
    four = drawn(model, tmp_path / "4.npz", "-n", 4, *flags)["images"].astype(int)
    two = drawn(model, tmp_path / "2.npz", "-n", 2, *flags)["images"].astype(int)
    assert abs(four[:2] - two).max() <= 1
    other = drawn(model, tmp_path / "o.npz", "-n", 4, *flags[:-1], 6)["images"].astype(int)
    assert abs(other - four).max() > 1


def test_guidance_changes_the_images_and_doubles_the_calls(model, tmp_path):
    plain = drawn(model, tmp_path / "a.npz", "-n", 2, "--label", "cat")["images"]
    guided = drawn(model, tmp_path / "b.npz", "-n", 2, "--label", "cat", "--guidance", 4)["images"]
    assert not np.array_equal(plain, guided)
    out = tmp_path / "c.npz"
    said = feller("sample", model, "--label", 0, "--guidance", 4, "--out", out, "--json", *FAST).out
    assert json.loads(said)["nfe"] == 4


def test_json(model, tmp_path):
    out = tmp_path / "a.png"
    code, said, _ = feller("sample", model, "-n", 2, "--out", out, "--seed", 7, "--json", *FAST)
    assert code == 0
    report = json.loads(said)
    assert report.pop("seconds") >= 0
    assert report == {"out": str(out), "n": 2, "nfe": 2, "seed": 7, "solver": "euler"}


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        (("--label", "cow"), "unknown label 'cow'; there are 0 cat, 1 dog, 2 Big Bird"),
        (("--label", "cat,cow"), "unknown label 'cow'; there are 0 cat, 1 dog, 2 Big Bird"),
        (("--label", "3"), "unknown label '3'; there are 0 cat, 1 dog, 2 Big Bird"),
        (("--label", ""), "unknown label ''; there are 0 cat, 1 dog, 2 Big Bird"),
        (("--guidance", "2"), "--guidance needs --label: without one there is nothing to guide to"),
        (("--solver", "ode45"), "unknown solver 'ode45'; there are euler, "),
        (("--steps", "0"), "steps is at least 1, not 0"),
        (("-n", "0"), "-n is at least 1, not 0"),
        (
            ("--out", "a.gif"),
            "--out ends in .png (a grid), .webp (a film), .npz or nothing (a folder), not .gif",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(flags, reason, model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert complaint("sample", model, *flags).startswith(f"feller sample: {reason}")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("flags", [("--out", "a.gif"), ("-n", "0"), ("--out", "taken")])
def test_a_target_is_refused_before_anything_is_computed(flags, model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "taken").write_text("years of work")
    monkeypatch.setattr(commands, "load", None)
    complaint("sample", model, *flags)


def test_a_damaged_model_is_refused(tmp_path):
    folder = pictures.save(tmp_path / "tiny")
    (folder / "model.safetensors").unlink()
    assert complaint("sample", folder, "--out", tmp_path / "a.png") == (
        f"feller sample: {folder / 'model.safetensors'} is missing"
    )


@pytest.mark.parametrize("flags", [("--colour", "red"), ("-n", "many"), ("--steps",)])
def test_flags_that_do_not_exist_are_refused(flags, model):
    code, _, err = feller("sample", model, *flags)
    assert code == 2
    assert "Traceback" not in err


def test_a_model_without_classes(tmp_path):
    folder = pictures.save(tmp_path / "tiny", pictures.UNCONDITIONAL)
    assert set(drawn(folder, tmp_path / "a.npz", "-n", 2)) == {"images"}
    for label in ("all", "cat", "0"):
        assert complaint("sample", folder, "--label", label, "--out", tmp_path / "b.png") == (
            f"feller sample: unknown label {label!r}; there are none"
        )


def test_a_bundled_model(tmp_path):
    out = tmp_path / "bags.npz"
    flags = ("-n", 8, "--label", "bag", "--steps", 5, "--guidance", 2, "--out", out)
    assert feller("sample", "images/fashion-flow", *flags).code == 0
    with np.load(out) as arrays:
        assert arrays["images"].shape == (8, 28, 28, 1)
        assert arrays["labels"].tolist() == [8] * 8


# evaluate


def test_training_looks_at_the_labels_first(tmp_path):
    images = np.zeros((200, 8, 8), np.uint8)
    labels = np.zeros(200, np.int64)
    labels[77] = 2
    flags = ("train", "images/mnist-flow", "--training.steps", 1, "--training.batch-size", 2)
    shape = ("--model.codec.shape", 1, 8, 8, "--model.codec.classes", "cat", "dog")
    network = ("--model.network.num-classes", 2, "--model.network.channels", 8, 8)
    heads = ("--model.network.head-channels", 8, "--data.source", "npz", "--data.root")
    flags = (*flags, *shape, *network, *heads, tmp_path / "a.npz", "--out", tmp_path / "run")
    np.savez(tmp_path / "a.npz", images=images, labels=labels)
    assert complaint(*flags) == "feller train: label 2 has no class: the codec names 2"
    np.savez(tmp_path / "a.npz", images=images, labels=0 * labels)
    code, out, _ = feller(*flags)
    assert code == 0
    assert "no image has the class dog: nothing trains what is drawn with that label" in out
