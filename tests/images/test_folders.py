"""Folders of images: what counts, what its class is, and what is told or refused at the start."""

import os

import numpy as np
import pytest
import torch
from PIL import Image

from feller.images.codec import ImageCodec
from feller.images.data import ImageData
from feller.images.folders import DataError


def noise(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def refusal(build, *given):
    with pytest.raises(DataError) as caught:
        build(*given)
    message = str(caught.value)
    assert "\n" not in message
    return message


def write(file, pixels, **options):
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(file, **options)


@pytest.fixture
def root(tmp_path):
    write(tmp_path / "dog" / "b.png", noise(8, 8, 3))
    write(tmp_path / "dog" / "a.PNG", noise(8, 8, 3, seed=1))
    write(tmp_path / "cat" / "c.bmp", noise(8, 8, 3, seed=2))
    (tmp_path / "cat" / "notes.txt").write_text("not an image")
    (tmp_path / ".cache").mkdir()
    return tmp_path


def folder(root, **options):
    return ImageData(source="folder", root=str(root), **{"size": 8, **options}).build()


def test_a_folder_of_classes(root):
    found = folder(root)
    assert found.classes == ("cat", "dog")
    assert [(file.name, label) for file, label in found.files] == [
        ("c.bmp", 0), ("a.PNG", 1), ("b.png", 1),
    ]  # fmt: skip
    images, labels, names = found[[2, 0]]
    assert names == "cat\ndog"
    assert images.dtype == torch.uint8
    assert np.array_equal(images.numpy(), np.stack([noise(8, 8, 3), noise(8, 8, 3, seed=2)]))
    assert labels.tolist() == [1, 0]


def test_a_folder_without_classes(tmp_path):
    write(tmp_path / "a.png", noise(8, 8))
    found = folder(tmp_path, gray=True)
    assert found.classes == ()
    assert len(found) == 1
    images, labels, names = found[[0]]
    assert names == ""
    assert np.array_equal(images[..., 0].numpy(), noise(1, 8, 8))
    assert labels.tolist() == [0]


def test_images_are_cut_to_squares_and_scaled(tmp_path):
    wide = np.zeros((10, 30), np.uint8)
    wide[:, 10:20] = 200
    write(tmp_path / "a.png", wide)
    images, *_ = folder(tmp_path, size=5, gray=True)[[0]]
    assert images.shape == (1, 5, 5, 1)
    assert (images > 180).all()  # the black sides are cut off


@pytest.mark.parametrize(("gray", "channels"), [(False, 3), (True, 1)])
def test_colours_are_those_asked_for(gray, channels, tmp_path):
    write(tmp_path / "a.png", np.full((8, 8, 3), 128, np.uint8))
    write(tmp_path / "b.png", np.full((8, 8), 128, np.uint8))
    images, *_ = folder(tmp_path, gray=gray)[[0, 1]]
    assert images.shape == (2, 8, 8, channels)
    assert (images == 128).all()


@pytest.mark.parametrize(
    ("background", "seen"), [("white", 255), ("black", 0), ("#808080", 128), ("gray", 128)]
)
def test_transparent_pixels_show_the_background(background, seen, tmp_path):
    """Not the colour that is hidden under them, here 77."""
    clear = np.full((8, 8, 4), 77, np.uint8)
    clear[:, :4, 3], clear[:, 4:, 3] = 0, 255
    write(tmp_path / "rgba.png", clear)
    write(tmp_path / "gray.png", clear[..., 2:])
    palette = Image.fromarray(np.tile(np.arange(8, dtype=np.uint8) // 4, (8, 1))).convert("P")
    palette.putpalette([9, 9, 9, 77, 77, 77])
    palette.save(tmp_path / "palette.png", transparency=0)
    palette.save(tmp_path / "palette.gif", transparency=0)
    images, *_ = folder(tmp_path, background=background)[[0, 1, 2, 3]]
    assert abs(images[:, :, :4].int() - seen).max() <= 1
    assert (images[:, :, 4:] == 77).all()


def test_a_background_is_a_colour(tmp_path):
    write(tmp_path / "a.png", noise(8, 8))
    assert refusal(lambda: folder(tmp_path, background="chequered")) == (
        "background is a colour such as white or #808080, not 'chequered'"
    )


def test_images_beside_folders_of_classes_are_not_passed_over(root):
    write(root / "e.png", noise(8, 8))
    assert "has images, e.png, beside the folders of classes, cat" in refusal(folder, root)


def test_hidden_files_are_no_images(root):
    (root / "cat" / "._c.png").write_text("what a Mac writes beside a file")
    assert [file.name for file, _ in folder(root).files] == ["c.bmp", "a.PNG", "b.png"]


def test_photographs_stand_upright(tmp_path):
    left, exif = np.zeros((8, 8), np.uint8), Image.Exif()
    left[:, :4] = 255
    exif[0x0112] = 6  # turn clockwise
    write(tmp_path / "a.png", left, exif=exif)
    images, *_ = folder(tmp_path, gray=True)[[0]]
    assert images[0, :4].eq(255).all() and images[0, 4:].eq(0).all()


def test_splits_are_folders(tmp_path):
    write(tmp_path / "train" / "cat" / "a.png", noise(8, 8))
    config = ImageData(source="folder", root=str(tmp_path), size=8)
    assert config.build("train").classes == ("cat",)
    assert refusal(config.build, "test") == f"{tmp_path / 'test'} is not a folder of images"
    write(tmp_path / "test" / "cat" / "b.png", noise(8, 8))
    assert [file.name for file, _ in config.build("test").files] == ["b.png"]


def test_a_file_that_is_no_image_is_named_at_the_start(root):
    (root / "dog" / "b.png").write_text("not an image")
    message = refusal(folder, root)
    assert message.startswith(f"{root / 'dog' / 'b.png'} is not a readable image: ")
    assert message.endswith("; fix or remove such files")
    (root / "cat" / "c.bmp").write_text("")
    assert " (and 1 more of 3); fix" in refusal(folder, root)


@pytest.mark.parametrize("name", ["b.png", "b.jpg"])
def test_a_file_that_is_cut_short_is_named_at_the_start(name, root):
    write(root / "dog" / name, noise(64, 64, 3))
    content = (root / "dog" / name).read_bytes()
    for length in (0, 10, 50, len(content) // 2, len(content) - 400):
        (root / "dog" / name).write_bytes(content[:length])
        assert f"{name} is not a readable image: " in refusal(folder, root)
    (root / "dog" / name).write_bytes(content + bytes(100_000))  # as some cameras write
    assert len(folder(root)) >= 3


@pytest.mark.parametrize("ending", ["png", "tif", "pgm", "jp2"])
def test_sixteen_bits_are_scaled(ending, tmp_path):
    dark = np.full((8, 8), 0, np.uint16)
    dark[:, 4:] = 40_000
    write(tmp_path / f"a.{ending}", dark, **({"irreversible": False} if ending == "jp2" else {}))
    for gray in (True, False):
        images, *_ = folder(tmp_path, gray=gray)[[0]]
        assert (images[:, :, :4] == 0).all()
        assert (images[:, :, 4:] == 156).all()  # 40,000 / 257 = 155.6


@pytest.mark.parametrize(
    ("pixels", "reason"),
    [
        (np.full((8, 8), 0.5, np.float32), "it is a TIFF of floats, or not of 16 bits: convert it"),
        (np.full((8, 8), 70_000, np.int32), "it is a TIFF of floats, or not of 16 bits: convert"),
    ],
)
def test_numbers_without_a_white_are_refused(pixels, reason, tmp_path):
    write(tmp_path / "a.tif", pixels)
    assert f"a.tif is not a readable image: {reason}" in refusal(folder, tmp_path)


def test_a_pipe_is_no_image_and_is_not_waited_for(root):
    os.mkfifo(root / "dog" / "z.png")
    assert "z.png is not a readable image: it is not a file; fix" in refusal(folder, root)


def test_a_folder_that_cannot_be_looked_into_is_not_empty(root, monkeypatch):
    look = os.scandir

    def closed(place):
        if str(place).endswith("dog"):
            raise PermissionError(13, "Permission denied", str(place))
        return look(place)

    monkeypatch.setattr(os, "scandir", closed)
    assert refusal(folder, root) == f"{root / 'dog'} cannot be opened: Permission denied"


def test_a_class_has_a_name_of_one_line(root):
    (root / "dog").rename(root / "do\ng")
    assert refusal(folder, root) == (
        "a class has a name of one line, not 'do\\ng': rename its folder"
    )


def test_lab_colours_are_refused(tmp_path):
    Image.new("LAB", (8, 8)).save(tmp_path / "a.tif")
    assert "it is in Lab colours: convert it to RGB first" in refusal(folder, tmp_path)


def test_a_file_that_breaks_later_is_named(root):
    found = folder(root)
    (root / "dog" / "b.png").write_text("not an image")
    assert f"{root / 'dog' / 'b.png'} is not a readable image: " in refusal(
        found.__getitem__, [0, 2]
    )
    assert len(found[[0, 1]][0]) == 2


@pytest.mark.parametrize("ending", ["tif", "TIFF", "gif", "webp", "jpeg", "ppm", "tga"])
def test_formats(ending, tmp_path):
    write(tmp_path / f"a.{ending}", np.full((8, 8, 3), 200, np.uint8))
    images, *_ = folder(tmp_path)[[0]]
    assert abs(images.int() - 200).max() <= 2


def test_the_first_frame_is_read_and_it_is_reported(tmp_path):
    frames = [Image.fromarray(np.full((8, 8), value, np.uint8)) for value in (10, 200)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    found = folder(tmp_path, gray=True)
    assert (found[[0]][0] == 10).all()
    assert str(found).endswith("; skipped: all but the first frame of 1 files")


def test_a_folder_without_images_is_refused(tmp_path):
    (tmp_path / "cat").mkdir()
    assert refusal(folder, tmp_path).startswith(f"{tmp_path} has no images (.bmp, .gif, ")
    assert "none is not a folder of images" in refusal(folder, tmp_path / "none")


# What counts


def make(root, *names):
    for name in names:
        write(root / name, noise(8, 8))
    return root


def test_a_class_may_be_called_train(tmp_path):
    make(tmp_path, "bus/a.png", "car/a.png", "train/a.png", "train/b.png")
    for split in ("train", "test"):
        found = ImageData(source="folder", root=str(tmp_path), size=8).build(split)
        assert found.classes == ("bus", "car", "train")
        assert [label for _, label in found.files] == [0, 1, 2, 2]


@pytest.mark.parametrize(
    ("names", "split", "count"),
    [
        (["train/cat/a.png", "val/cat/a.png", "val/cat/b.png"], "test", 2),
        (["Train/cat/a.png", "validation/cat/a.png", "validation/dog/a.png"], "test", 2),
        (["train/a.png", "test/a.png", "test/b.png", "val/a.png"], "test", 2),
        (["train/train/a.png", "train/test/a.png", "test/train/a.png"], "train", 2),
        (["train/cat/a.png", "notes/.a.png"], "train", 1),
    ],
)
def test_splits(names, split, count, tmp_path):
    make(tmp_path, *names)
    found = ImageData(source="folder", root=str(tmp_path), size=8).build(split)
    assert len(found) == count


def test_splits_beside_classes_are_refused(tmp_path):
    make(tmp_path, "train/a.png", "test/a.png", "extra/a.png")
    assert "has folders test and train beside extra: splits stand" in refusal(folder, tmp_path)


def test_folders_in_a_class_are_read(tmp_path):
    make(tmp_path, "cat/a.png", "cat/old/b.png", "cat/old/older/c.png", "dog/x/d.png")
    (tmp_path / "cat" / "old" / "again").symlink_to(tmp_path / "cat")
    found = folder(tmp_path)
    assert [(file.name, label) for file, label in found.files] == [
        ("a.png", 0), ("b.png", 0), ("c.png", 0), ("d.png", 1),
    ]  # fmt: skip


def test_what_was_read_and_passed_over_is_reported(tmp_path, capsys):
    make(tmp_path, "cat/a.png", "dog/a.png", "dog/b.png")
    (tmp_path / "dog" / "labels.txt").write_text("")
    (tmp_path / "LICENSE").write_text("")
    (tmp_path / "empty").mkdir()
    folder(tmp_path)
    assert capsys.readouterr().err == (
        f"{tmp_path}, train: 3 images in 2 classes (cat, dog); skipped: "
        "2 other files (.txt, no ending), folders without images (empty)\n"
    )


def test_a_flat_folder_trains_no_classes(tmp_path):
    make(tmp_path, "a.png", "b.png")
    batch = folder(tmp_path, gray=True)[[0, 1]]
    with pytest.raises(ValueError, match="the images have no labels, the model has classes cat, "):
        ImageCodec((1, 8, 8), ("cat", "dog")).encode(batch)
    assert ImageCodec((1, 8, 8)).encode(batch)[1] is None
    assert ImageCodec((1, 8, 8), ("cat",)).encode(batch)[1].tolist() == [0, 0]
