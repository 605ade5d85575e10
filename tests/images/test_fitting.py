"""One's own images: what is read off them, and what is refused before the first step."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from terminal import complaint, feller

from feller.core.config import decode, encode
from feller.core.registry import load
from feller.images import recipes
from feller.images.data import ImageData
from feller.images.fitting import FittedModelConfig, suited_network

TINY = ("--training.steps", 1, "--training.batch-size", 4, "--training.sample-every", 0, "--cpu")


def save(file, mode, height, width, seed=0):
    rng = np.random.default_rng(seed)
    channels = {"L": (), "I;16": (), "RGB": (3,), "RGBA": (4,), "CMYK": (4,)}[mode]
    kind = np.uint16 if mode == "I;16" else np.uint8
    pixels = rng.integers(0, 256, (height, width, *channels)).astype(kind)
    file.parent.mkdir(parents=True, exist_ok=True)
    if mode == "CMYK":
        Image.frombytes(mode, (width, height), pixels.tobytes()).save(file)
    else:
        Image.fromarray(pixels * 256 if mode == "I;16" else pixels).save(file)


def completed(root, **model):
    config = FittedModelConfig(**model)
    data = ImageData(source="folder", root=str(root), size=None)
    return config.completed(recipes.folder(), data.build())


FOLDERS = {
    "RGB of several sizes": [("a.png", "RGB", 20, 16), ("b.jpg", "RGB", 40, 90),
                             ("c.bmp", "RGB", 16, 16)],
    "gray of 16 bits": [("a.png", "I;16", 16, 16), ("b.tif", "I;16", 16, 16)],
    "CMYK": [("a.jpg", "CMYK", 16, 16)],
    "transparent": [("a.png", "RGBA", 16, 16), ("b.png", "RGBA", 16, 16)],
    "a class called train": [("train/a.png", "L", 16, 16), ("plane/a.png", "L", 16, 16)],
    "one image": [("a.png", "L", 16, 24)],
    "unbalanced": [*((f"cat/{i}.png", "L", 16, 16) for i in range(9)),
                   ("dog/a.png", "L", 16, 16), ("owl/a.png", "L", 16, 16),
                   ("owl/b.png", "L", 16, 16)],
}  # fmt: skip
CHOSEN = {
    "RGB of several sizes": ((3, 16, 16), ()),
    "gray of 16 bits": ((1, 16, 16), ()),
    "CMYK": ((3, 16, 16), ()),
    "transparent": ((3, 16, 16), ()),
    "a class called train": ((1, 16, 16), ("plane", "train")),
    "one image": ((1, 16, 24), ()),
    "unbalanced": ((1, 16, 16), ("cat", "dog", "owl")),
}


@pytest.mark.gate
@pytest.mark.parametrize("kind", FOLDERS)
def test_a_folder_is_trained_resumed_and_sampled(kind, tmp_path):
    root, out = tmp_path / "data", tmp_path / "run"
    for i, (name, *what) in enumerate(FOLDERS[kind]):
        save(root / name, *what, seed=i)
    train = ("train", "images/folder", "--data.root", root, "--out", out, *TINY)
    code, said, error = feller(*train, "--model.channels", 8, 16)
    assert code == 0, error
    shape, classes = CHOSEN[kind]
    assert f"images: {shape[1]} x {shape[2]} pixels, {'RGB' if shape[0] == 3 else 'gray'}" in said
    assert (f"classes: {classes[0]}" if classes else "classes: none") in said
    recipe = decode(json.loads((out / "recipe.json").read_text()))
    assert (recipe.model.codec.shape, recipe.model.codec.classes) == (shape, classes)
    assert recipe.data.size == shape[1] and recipe.data.gray == (shape[0] == 1)
    assert (recipe.training.condition_drop > 0) == bool(classes)
    again = [*train, "--model.channels", 8, 16]
    again[again.index("--training.steps") + 1] = 2
    assert feller(*again).code == 0
    assert load(out).sample(2, steps=1).shape == (2, *shape[1:], shape[0])
    assert recipe.data.build().facts().shape == shape  # as it is written, so it is read


def test_its_training_is_planned_by_its_data(tmp_path):
    save(tmp_path / "a.png", "L", 16, 24)
    code, out, error = feller("plan", "images/folder", "--data.root", tmp_path, "--json")
    assert code == 0, error
    codec = completed(tmp_path).recipe.model.codec
    assert codec.shape == (1, 16, 24) and json.loads(out)["parameters"] > 0
    assert "not a folder of images" in complaint("plan", "images/folder")


def test_a_truncated_file_is_refused_in_a_line(tmp_path):
    save(tmp_path / "data" / "a.png", "RGB", 40, 40)
    file = tmp_path / "data" / "a.png"
    file.write_bytes(file.read_bytes()[:-2000])
    said = complaint(
        "train", "images/folder", "--data.root", file.parent, "--out", tmp_path / "run", *TINY
    )
    assert said.endswith("; fix or remove such files") and "a.png is not a readable image" in said
    assert not (tmp_path / "run" / "log.jsonl").exists()


def test_photographs_of_one_shape_keep_it(tmp_path):
    for i in range(4):
        save(tmp_path / f"{i}.jpg", "RGB", 90 + 3 * i, 120 + 4 * i)
    found = completed(tmp_path)
    assert found.recipe.model.codec.shape == (3, 48, 64)
    assert found.recipe.model.codec.flip
    assert (found.recipe.data.size, found.recipe.data.width) == (48, 64)
    assert "scaled from 90 x 120 to 99 x 132, what sticks out of that shape cut off" in found.said
    assert not completed(tmp_path, flip=False).recipe.model.codec.flip


def test_a_size_that_is_asked_for_is_kept(tmp_path):
    save(tmp_path / "a.png", "L", 50, 50)
    data = ImageData(source="folder", root=str(tmp_path), size=24, width=32, fit="pad")
    found = FittedModelConfig().completed(recipes.folder(), data.build())
    assert found.recipe.model.codec.shape == (1, 24, 32)
    assert "with margins to that shape" in found.said
    with pytest.raises(ValueError, match="width is 32 and size None: give both, or neither"):
        ImageData(source="folder", size=None, width=32)


def test_sides_that_halve_too_seldom_are_refused_with_those_that_do(tmp_path):
    save(tmp_path / "a.png", "L", 50, 50)
    said = complaint(
        *("train", "images/folder", "--data.root", tmp_path, "--out", tmp_path / "run"),
        *("--data.size", 101, "--data.width", 45, *TINY),
    )
    assert said.endswith("101 x 45 do not allow: give --data.size 104 --data.width 48")


@pytest.mark.parametrize("side", [8, 16, 28, 30, 32, 36, 44, 48, 60, 64, 96, 128, 256])
def test_networks_of_all_sizes(side):
    network = suited_network((3, side, 2 * side), 4)
    with torch.device("meta"):
        built = network.build()
        x = torch.zeros(2, 3, side, 2 * side)
        assert built(x, torch.zeros(2), torch.zeros(2, dtype=torch.int64)).shape == x.shape
    assert sum(p.numel() for p in built.parameters()) < 8e6
    lowest = side / network.side_multiple
    assert 2 * lowest**2 <= 1024


def test_a_file_of_arrays_does_as_well(tmp_path):
    np.savez(tmp_path / "a.npz", images=np.zeros((6, 8, 12, 1), np.uint8), labels=np.arange(6) % 3)
    data = ImageData(source="npz", root=str(tmp_path / "a.npz"))
    found = FittedModelConfig().completed(recipes.folder(), data.build())
    assert found.recipe.model.codec.shape == (1, 8, 12)
    assert found.recipe.model.codec.classes == ("0", "1", "2")
    assert "classes: 0 2, 1 2, 2 2" in found.said and "6 images are few" in found.said


def test_one_class_is_none_and_labels_may_be_left_out(tmp_path):
    save(tmp_path / "one" / "cat" / "a.png", "L", 16, 16)
    assert completed(tmp_path / "one").recipe.model.codec.classes == ()
    for name in ("cat", "dog"):
        save(tmp_path / "two" / name / "a.png", "L", 16, 16)
    assert completed(tmp_path / "two").recipe.model.codec.classes == ("cat", "dog")
    found = completed(tmp_path / "two", labels=False).recipe
    assert found.model.codec.classes == () and found.training.condition_drop == 0


def test_the_recipe_survives_json_and_builds_nothing_before_its_data():
    recipe = recipes.folder()
    assert decode(encode(recipe)) == recipe
    with pytest.raises(ValueError, match="this model is sized by its data"):
        recipe.model.build()
    assert Path(recipe.data.root) == Path("data")
