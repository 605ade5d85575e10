"""Images into files: what is written can be read, and nothing is overwritten by mistake."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from feller.images.plots import grid
from feller.images.writing import check_target, write_images

CLASSES = ("cat", "ankle boot", "t-shirt/top")


def images(n, channels=1):
    rng = torch.Generator().manual_seed(0)
    return torch.randint(256, (n, 64, 64, channels), generator=rng, dtype=torch.uint8)


def pixels(file):
    with Image.open(file) as picture:
        return np.asarray(picture)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_grid(channels, tmp_path):
    out = tmp_path / "new" / "a.png"
    write_images(images(3, channels), None, out, ())
    assert np.array_equal(pixels(out), grid(images(3, channels)).squeeze(-1).numpy())
    write_images(images(2, channels), None, out, ())  # a file is replaced
    assert pixels(out).shape[:2] == (68, 134)


def test_a_grid_of_classes_has_a_column_for_each(tmp_path):
    write_images(images(4), torch.tensor([0, 2, 0, 2]), tmp_path / "a.png", CLASSES)
    sheet = grid(images(4), columns=2).squeeze(-1).numpy()
    assert np.array_equal(pixels(tmp_path / "a.png")[-len(sheet) :], sheet)


@pytest.mark.parametrize("labels", [None, torch.tensor([2, 0])])
def test_arrays(labels, tmp_path):
    write_images(images(2), labels, tmp_path / "a.npz", CLASSES)
    with np.load(tmp_path / "a.npz") as arrays:
        assert set(arrays) == ({"images"} if labels is None else {"images", "labels"})
        assert np.array_equal(arrays["images"], images(2).numpy())
        if labels is not None:
            assert arrays["labels"].tolist() == [2, 0]


@pytest.mark.parametrize("channels", [1, 3])
def test_a_folder(channels, tmp_path):
    labels = torch.tensor([0, 1, 2] * 4)
    out = tmp_path / "new" / "folder"
    write_images(images(12, channels), labels, out, CLASSES)
    files = sorted(out.iterdir())
    assert [file.name for file in files[:3]] == [
        "00_cat.png", "01_ankle-boot.png", "02_t-shirt-top.png",
    ]  # fmt: skip
    assert len(files) == 12
    for file, image in zip(files, images(12, channels), strict=True):
        assert np.array_equal(pixels(file), image.squeeze(-1).numpy())


@pytest.mark.parametrize(("n", "names"), [(1, ["0.png"]), (11, ["00.png", "01.png"])])
def test_a_folder_without_labels(n, names, tmp_path):
    write_images(images(n), None, tmp_path / "a", CLASSES)
    assert [file.name for file in sorted((tmp_path / "a").iterdir())][:2] == names


@pytest.mark.parametrize("name", ["a.jpg", "a.PNG", "run.v2", "a.npz.gz"])
def test_an_unknown_suffix_is_refused(name, tmp_path):
    with pytest.raises(ValueError, match=r"--out ends in \.png .* not \.") as caught:
        write_images(images(1), None, tmp_path / name, ())
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_what_exists_is_left_alone(tmp_path):
    (tmp_path / "file").write_text("years of work")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "thesis.tex").write_text("years of work")
    (tmp_path / "a.png").mkdir()
    for name in ("file", "folder", "a.png"):
        with pytest.raises(ValueError, match="choose another --out"):
            check_target(tmp_path / name)
    (tmp_path / "empty").mkdir()
    for name in ("empty", "new", "new.png", "new.npz"):
        check_target(tmp_path / name)


@pytest.mark.parametrize("name", [".png", ".npz"])
def test_an_ending_is_no_name(name, tmp_path):
    with pytest.raises(ValueError, match="is a suffix without a name: choose another --out"):
        check_target(tmp_path / name)


def test_a_device_is_no_folder():
    with pytest.raises(ValueError, match="/dev/null exists already: choose another --out"):
        check_target(Path("/dev/null"))


def test_many_channels_go_into_arrays(tmp_path):
    for name in ("a.png", "a"):
        with pytest.raises(
            ValueError, match="PNGs and films have up to 4 channels, these images 5: give"
        ):
            check_target(tmp_path / name, 5)
    write_images(images(2, 5), None, tmp_path / "a.npz", ())
    assert (tmp_path / "a.npz").is_file()
