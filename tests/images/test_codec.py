"""The codec of images: every byte survives, and randomness is each row's own."""

import inspect
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from feller.core import random
from feller.images.codec import ImageCodec
from feller.images.data import ArrayImages, FolderImages
from feller.images.pixels import Reading

SHAPES = ("disc", "Ankle boot", "5", "0")


def test_all_bytes_survive_exactly():
    images = torch.arange(256, dtype=torch.uint8).reshape(1, 16, 16, 1)
    codec = ImageCodec((1, 16, 16))
    z, labels = codec.encode((images, None))
    assert labels is None
    assert z.shape == (1, 1, 16, 16)
    assert z.min() == -1
    assert z.max() == 1
    assert z.double().mean().abs() < 1e-7
    assert codec.decode(z).equal(images)


def test_channels_come_first():
    images = torch.zeros(2, 3, 4, 3, dtype=torch.uint8)
    images[1, 2, 3] = torch.tensor([0, 51, 255])
    z, _ = ImageCodec((3, 3, 4)).encode((images, None))
    torch.testing.assert_close(z[1, :, 2, 3], torch.tensor([-1.0, -0.6, 1.0]))
    assert (z[0] == -1).all()


def test_what_is_out_of_range_is_clipped_and_the_rest_rounded():
    values = torch.tensor([-9.0, -1.01, -1.0, -0.9962, -0.9959, 0.0, 1.0, 1.01, 300.0])
    decoded = ImageCodec((1, 1, 9)).decode(values.reshape(1, 1, 1, 9))
    assert decoded.flatten().tolist() == [0, 0, 0, 0, 1, 128, 255, 255, 255]
    assert decoded.dtype == torch.uint8
    assert decoded.is_contiguous()


def test_flips_are_each_rows_own():
    images = torch.arange(40 * 6, dtype=torch.uint8).reshape(40, 2, 3, 1)
    codec = ImageCodec((1, 2, 3), flip=True)
    plain, _ = codec.encode((images, None))
    flipped, _ = codec.encode((images, None), random.rows(7, 0, 40))
    mirrored = (flipped == plain.flip(-1)).flatten(1).all(1)
    assert ((flipped == plain).flatten(1).all(1) ^ mirrored).all()
    assert 10 < mirrored.sum() < 30
    again, _ = codec.encode((images[20:], None), random.rows(7, 20, 40))
    assert again.equal(flipped[20:])
    other, _ = codec.encode((images, None), random.rows(8, 0, 40))
    assert not other.equal(flipped)


def test_only_who_asks_is_flipped():
    images = torch.arange(6, dtype=torch.uint8).reshape(1, 2, 3, 1).repeat(40, 1, 1, 1)
    plain, _ = ImageCodec((1, 2, 3)).encode((images, None), random.rows(7, 0, 40))
    assert plain.unique(dim=0).shape[0] == 1


def test_labels_go_only_where_there_are_classes():
    raw = (torch.zeros(2, 1, 1, 1, dtype=torch.uint8), torch.tensor([1, 0]))
    assert ImageCodec((1, 1, 1), ("a", "b")).encode(raw)[1].equal(raw[1])
    assert ImageCodec((1, 1, 1)).encode(raw)[1] is None


def test_the_null_label_is_the_number_of_classes():
    codec = ImageCodec((1, 1, 1), SHAPES)
    dropped = codec.drop(torch.tensor([0, 1, 2]), torch.tensor([True, False, True]))
    assert dropped.tolist() == [4, 1, 4]


@pytest.mark.parametrize(
    ("name", "label"),
    [("disc", 0), ("DISC", 0), ("ankle boot", 1), ("1", 1), ("3", 3), ("5", 2), ("0", 3)],
)
def test_a_class_has_a_name_and_a_number(name, label):
    assert ImageCodec((1, 1, 1), SHAPES).label(name) == label


@pytest.mark.parametrize("name", ["4", "-1", "", "discs", "²"])
def test_an_unknown_class_is_refused(name):
    with pytest.raises(ValueError, match=r"there are 0 disc, 1 Ankle boot, 2 5, 3 0$") as caught:
        ImageCodec((1, 1, 1), SHAPES).label(name)
    assert repr(name) in str(caught.value)
    with pytest.raises(ValueError, match="there are none"):
        ImageCodec((1, 1, 1)).label(name)


@pytest.mark.parametrize("shape", [(1, 8, 9), (1, 9, 8), (3, 8, 8)])
def test_images_of_another_size_are_refused(shape):
    with pytest.raises(ValueError, match=r"images are \(c, h, w\) = .*, these \(1, 8, 8\)"):
        ImageCodec(shape).encode((torch.zeros(1, 8, 8, 1, dtype=torch.uint8), None))


def test_a_label_without_a_class_is_refused():
    codec = ImageCodec((1, 2, 2), SHAPES)
    images = torch.zeros(2, 2, 2, 1, dtype=torch.uint8)
    codec.encode((images, torch.tensor([0, 3])))
    with pytest.raises(ValueError, match="label 4 has no class: the codec names 4"):
        codec.encode((images, torch.tensor([0, 4])))


def test_labels_of_other_names_are_numbered_as_the_classes_are():
    codec, images = (
        ImageCodec((1, 1, 1), ("dog", "Cat")),
        torch.zeros(3, 1, 1, 1, dtype=torch.uint8),
    )
    labels = torch.tensor([0, 1, 0])
    assert codec.encode((images, labels, "cat\ndog"))[1].tolist() == [1, 0, 1]
    assert codec.encode((images, labels, "cat\nDOG"))[1].tolist() == [1, 0, 1]
    with pytest.raises(ValueError, match="the images have no labels, the model has classes dog, "):
        codec.encode((images, labels, ""))
    assert ImageCodec((1, 1, 1)).encode((images, labels, "cat\nrat"))[1] is None
    with pytest.raises(ValueError) as caught:
        codec.encode((images, labels, "cat\nrat"))
    assert str(caught.value) == (
        "folders are named rat, the classes of the model dog, Cat: "
        "give --model.codec.classes cat rat --model.network.num-classes 2"
    )


def test_a_whole_number_is_no_name():
    codec = ImageCodec((1, 2, 2), ("1", "2", "3"))
    assert [codec.label(number) for number in (0, 1, 2, np.int64(1))] == [0, 1, 2, 1]
    assert [codec.label(name) for name in ("1", "2", "3", np.str_("3"))] == [0, 1, 2, 2]
    for missing in ("0", 3):
        with pytest.raises(ValueError, match=f"unknown label '{missing}'; there are "):
            codec.label(missing)


@pytest.mark.parametrize("names", [("Cat", "cat"), ("caf\u00e9", "cafe\u0301"), ("a", "b", "a")])
def test_classes_differ_by_more_than_case(names):
    with pytest.raises(ValueError, match="classes differ by more than case, and "):
        ImageCodec((1, 2, 2), names)
    images, labels = torch.zeros(2, 2, 2, 1, dtype=torch.uint8), torch.tensor([0, 1])
    with pytest.raises(ValueError, match="classes differ by more than case, and "):
        ImageCodec((1, 2, 2), names[:1]).encode((images, labels, "\n".join(names)))


def test_accents_are_the_same_however_they_are_written():
    codec = ImageCodec((1, 2, 2), ("caf\u00e9",))
    assert codec.numbered(torch.tensor([0]), "cafe\u0301").tolist() == [0]
    assert codec.label("CAFE\u0301") == 0


def test_images_are_bytes():
    with pytest.raises(ValueError, match=r"images are bytes 0 \.\.\. 255 \(torch\.uint8\), these "):
        inspect.unwrap(ImageCodec._scale)(ImageCodec((1, 2, 2)), torch.zeros(1, 2, 2, 1))
    with pytest.raises(ValueError, match="shape is at least 1, not "):
        ImageCodec((1, 0, 2))


def test_labels_are_looked_at_before_a_training():
    codec, images = ImageCodec((1, 2, 2), ("cat", "dog")), torch.zeros(3, 2, 2, 1).byte()
    assert codec.check_data(ArrayImages(images, torch.tensor([0, 1, 0]))) == ""
    assert codec.check_data(ArrayImages(images, torch.tensor([0, 0, 0]))) == (
        "no image has the class dog: nothing trains what is drawn with that label"
    )
    assert codec.check_data(ArrayImages(images, torch.zeros(3).long(), labelled=False)) == ""
    with pytest.raises(ValueError, match="label 2 has no class: the codec names 2"):
        codec.check_data(ArrayImages(images, torch.tensor([0, 1, 2])))
    files = FolderImages(((Path("a.png"), 0), (Path("b.png"), 1)), ("dog", "cat"), Reading((2, 2)))
    assert codec.check_data(files) == ""
    assert "no image has the class cat" in codec.check_data(replace(files, files=files.files[:1]))
    with pytest.raises(ValueError, match="folders are named bird, the classes of the model cat, "):
        codec.check_data(replace(files, classes=("dog", "bird")))


@pytest.mark.parametrize("levels", [2, 16, 256])
def test_levels_are_tokens_that_survive(levels, rng):
    codec = ImageCodec((1, 4, 8), levels=levels)
    z = torch.randint(levels, (5, 1, 4, 8), generator=rng)
    images = codec.decode(z)
    assert images.dtype == torch.uint8
    assert codec.encode((images, None))[0].equal(z)
    raw = torch.randint(256, (5, 4, 8, 1), generator=rng, dtype=torch.uint8)
    gap = codec.decode(codec.encode((raw, None))[0]).int() - raw.int()
    assert gap.abs().max() <= 255 / (levels - 1) / 2 + 1
    flipped, _ = replace(codec, flip=True).encode((raw, None), rng)
    assert flipped.dtype == torch.int64


@pytest.mark.parametrize("levels", [1, -2, 257])
def test_levels_that_are_none_are_refused(levels):
    with pytest.raises(ValueError, match=f"levels are 2 ... 256, or 0 for numbers, not {levels}"):
        ImageCodec((1, 4, 4), levels=levels)
