"""Images in shards: what each sample is, from the disk and the web, and a training on them."""

import io
import json
import warnings

import numpy as np
import pytest
import torch
import webs
from PIL import Image

from feller.core.registry import load
from feller.core.training.fingerprints import fingerprint
from feller.images.data import DataError, ImageData
from feller.images.shards import ShardImages


def png(color, size=(8, 8)):
    stream = io.BytesIO()
    Image.new("RGB", size, color).save(stream, "png")
    return stream.getvalue()


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "web"
    folder.mkdir()
    for shard in range(3):
        names = range(4 * shard, 4 * shard + 4)
        samples = {
            f"{i:04}": {"png": png((10 * i, 0, 0)), "cls": f"{i % 2}".encode()} for i in names
        }
        webs.write_shard(folder / f"{shard}.tar", samples)
    return folder


def opened(root, split="train", **more):
    return ImageData(source="shards", root=str(root), size=8, **more).build(split)


def test_samples_are_images_with_labels(home, capsys):
    data = opened(home)
    images, labels = data[[0, 5, 7]]
    assert images.shape == (3, 8, 8, 3)
    assert images.dtype == torch.uint8
    assert images[:, 0, 0, 0].tolist() == [0, 50, 70]
    assert labels.tolist() == [0, 1, 1]
    assert "8 images in 2 shards, with labels" in capsys.readouterr().err
    held_out, _ = opened(home, "test")[[0]]
    assert held_out[0, 0, 0, 0] == 80
    assert data.chunks.tolist() == [4, 4]


def test_the_web_has_the_same_images(home):
    with webs.serving(home) as (url, handler):
        there = opened(f"{url}/{{0..2}}.tar")
        here = opened(home)
        assert all(map(torch.equal, there[[3, 6]], here[[3, 6]]))
        assert fingerprint(there) == fingerprint(here)
        assert len(handler.asked) == 2  # the third is held out


def test_labels_are_in_json_too_or_nowhere(home):
    webs.write_shard(home / "0.tar", {"a": {"png": png("red"), "json": b'{"label": 7}'}})
    assert opened(home / "0.tar")[[0]][1].tolist() == [7]
    webs.write_shard(home / "0.tar", {"a": {"jpg": png("red"), "txt": b"a red square"}})
    _, labels, names = opened(home / "0.tar")[[0]]
    assert (labels.tolist(), names) == ([0], "")


@pytest.mark.parametrize(
    ("samples", "reason"),
    [
        ({"a": {"png": b"no image"}}, r"sample 0, \.png is not a readable image"),
        ({"a": {"txt": b"x"}}, "sample 0 has no image, but txt"),
        ({"a": {"png": png("red"), "cls": b"dog"}}, "a label that is not a whole number"),
        ({"a": {"png": png("red"), "cls": b"1_0"}}, "a label that is not a whole number"),
        ({"a": {"png": png("red"), "json": b'{"label": 1.7}'}}, "that is not a whole number"),
        ({"a": {"png": png("red"), "json": b'{"label": true}'}}, "a label that is not a whole"),
        (
            {"a": {"png": png("red"), "cls": b"1"}, "b": {"png": png("red")}},
            "sample 1 has no label",
        ),
        ({}, "has no samples"),
    ],
)
def test_what_is_no_image_is_refused(samples, reason, home):
    webs.write_shard(home / "0.tar", samples)
    with pytest.raises(DataError, match=reason):
        opened(home / "0.tar")


def test_the_size_and_the_colours_are_read_off_the_images(home):
    for shard in range(3):
        samples = {f"{i}": {"png": png((i, i, i), (16, 12))} for i in range(6)}
        webs.write_shard(home / f"{shard}.tar", samples)
    data = ImageData(source="shards", root=str(home), size=None).build()
    assert data.facts().shape == (3, 12, 16)
    assert isinstance(data.suited(), ShardImages)


@pytest.mark.gate
def test_a_recipe_trains_on_shards_of_the_web_by_flags(home, tmp_path, monkeypatch):
    """And goes on from a step, with the log of a run that was not stopped."""
    from feller.core.commands.train import run

    with webs.serving(home) as (url, _), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        flags = ["--data.source", "shards", "--data.root", f"{url}/{{0..2}}.tar", "--cpu"]
        flags += ["--data.size", "8", "--training.batch-size", "4", "--training.sample-every", "0"]
        flags += ["--training.log-every", "1", "--model.channels", "16", "16"]
        flags += ["--training.validate-every", "2", "--training.validate-n", "4"]
        flags += ["--optimizer.decay", "constant", "--training.steps", "0"]
        for out, steps in (("a", 2), ("a", 4), ("b", 4)):
            flags[-1] = str(steps)
            run(["images/folder", *flags, "--out", str(tmp_path / out)])
    logs = []
    for out in ("a", "b"):
        lines = map(json.loads, (tmp_path / out / "log.jsonl").read_text().splitlines())
        keep = ("step", "loss", "validation", "validation/high")
        logs.append([{k: line[k] for k in keep if k in line} for line in lines])
    assert logs[0] == logs[1]
    assert sum("validation" in line for line in logs[0]) == 2
    assert np.isfinite(load(tmp_path / "a").sample(1, steps=2).float().mean().item())
