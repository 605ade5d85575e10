"""Classifiers: their parts, the bundled ones, and the script that trains them."""

import json
from importlib.resources import files
from pathlib import Path

import pictures
import pytest
import torch
from torch.testing import assert_close

import train_classifier
from feller.core.cards import ModelCard
from feller.core.checkpoint import CheckpointError
from feller.core.config import decode, encode
from feller.core.domains import list_models
from feller.images import data
from feller.images.classifier import (
    ClassifierConfig,
    NoClassifierError,
    bundled_classifiers,
    classifier_for,
    load_classifier,
)
from feller.images.codec import ImageCodec
from feller.images.data import ArrayImages, ImageData
from feller.images.metrics.report import conditional_accuracy
from feller.images.recipes import cifar10_dit_flow, drawn_flow, fashion_flow, mnist_flow
from feller.images.shapes import draw_shapes
from train_classifier import Schooling, shifted, train

CONFIG = ClassifierConfig(codec=ImageCodec((3, 8, 12), ("day", "night")), widths=(4, 6))
BUNDLED = ["drawn", "fashion-mnist", "mnist"]
RECIPES = {"drawn": drawn_flow, "fashion-mnist": fashion_flow, "mnist": mnist_flow}


def pixels(rng, *shape):
    return torch.randint(256, shape, generator=rng, dtype=torch.uint8)


def classifier_folder(name):
    return Path(str(files("feller.images"))) / "weights" / "classifiers" / name


@pytest.fixture(scope="module")
def shapes():
    return ImageData(source="drawn").build("test")


def test_config_survives_json():
    assert decode(json.loads(json.dumps(encode(CONFIG)))) == CONFIG


def test_shapes(rng):
    classifier = CONFIG.build().eval()
    x = torch.rand(5, 3, 8, 12, generator=rng) * 2 - 1
    assert classifier.features(x).shape == (5, 6)
    assert classifier(x).shape == (5, 2)


def test_features_are_standardised_in_training(rng):
    features = CONFIG.build().train().features(torch.randn(64, 3, 8, 12, generator=rng))
    assert_close(features.mean(0), torch.zeros(6), atol=1e-5, rtol=0)
    assert_close(features.var(0, correction=0), torch.ones(6), atol=0.02, rtol=0)


def test_raw_images_are_scaled_and_chunked(rng):
    classifier = CONFIG.build().eval()
    images = pixels(rng, 7, 8, 12, 3)
    x = images.movedim(-1, 1) / 127.5 - 1
    embedded = classifier.embed(images, batch_size=3)
    assert embedded.dtype == torch.float64
    assert_close(embedded, classifier.features(x).double(), atol=1e-5, rtol=1e-5)
    assert torch.equal(classifier.predict(images), classifier(x).argmax(-1))


def test_images_of_another_size_are_refused(rng):
    with pytest.raises(ValueError, match="images are"):
        CONFIG.build().eval().embed(pixels(rng, 2, 8, 8, 3))


def test_the_bundled_ones():
    assert bundled_classifiers() == BUNDLED
    assert not [name for name in list_models() if "classifier" in name]


@pytest.mark.parametrize("name", BUNDLED)
def test_a_bundled_one_is_small_and_stated(name):
    classifier = load_classifier(name)
    folder = classifier_folder(name)
    assert (folder / "model.safetensors").stat().st_size < 1_000_000
    assert not classifier.training
    assert classifier.codec == RECIPES[name]().model.codec
    card = ModelCard.read(folder)
    (accuracy,) = card.metrics
    assert accuracy.low < accuracy.value <= accuracy.high
    assert accuracy.value > {"drawn": 0.99, "fashion-mnist": 0.915, "mnist": 0.99}[name]
    assert {"seed", "seconds", "epochs", "cores"} <= card.training.keys()
    assert str(accuracy) in (folder / "README.md").read_text()


def test_the_classifier_of_a_model():
    codec = fashion_flow().model.codec
    assert classifier_for(codec).codec.classes == codec.classes


@pytest.mark.parametrize(
    "codec", [cifar10_dit_flow().model.codec, ImageCodec((1, 28, 28))], ids=["cifar10", "none"]
)
def test_no_classifier_is_said_in_one_line(codec):
    with pytest.raises(NoClassifierError, match=r"no bundled classifier.*fashion-mnist") as error:
        classifier_for(codec)
    assert "\n" not in str(error.value)


def test_unknown_names():
    with pytest.raises(NoClassifierError, match="there are drawn, fashion-mnist, mnist"):
        load_classifier("imagenet")


def test_the_drawn_classifier_is_as_good_as_its_card(shapes):
    stated = ModelCard.read(classifier_folder("drawn")).metrics[0]
    measured = conditional_accuracy(shapes.images, shapes.labels, load_classifier("drawn"))
    assert abs(measured.value - stated.value) < 0.001


@pytest.mark.slow
@pytest.mark.parametrize("name", ["fashion-mnist", "mnist"])
def test_accuracy_on_real_data_is_the_stated_one(name, data_root):
    test = ImageData(source=name, root=str(data_root / "images")).build("test")
    stated = ModelCard.read(classifier_folder(name)).metrics[0]
    measured = conditional_accuracy(test.images, test.labels, load_classifier(name))
    assert abs(measured.value - stated.value) < 0.0005


def test_a_shift_moves_whole_images(rng):
    images = torch.zeros(200, 6, 6, 1, dtype=torch.uint8)
    images[:, 3, 2] = 9
    moved = shifted(images, rng)
    assert moved.shape == images.shape
    assert torch.equal(moved.sum((1, 2, 3)), torch.full((200,), 9))
    rows, columns = moved.squeeze(-1).nonzero()[:, 1:].T
    assert set(rows.tolist()) == {1, 2, 3, 4, 5}
    assert set(columns.tolist()) == {0, 1, 2, 3, 4}


def test_training_learns_and_repeats(rng):
    labels = torch.arange(256) % 2
    images = (pixels(rng, 256, 8, 12, 3) // 2) + 100 * labels.to(torch.uint8)[:, None, None, None]
    marked = ArrayImages(images, labels)
    first, second = (train(CONFIG, marked, Schooling(epochs=8, batch_size=32)) for _ in range(2))
    assert conditional_accuracy(images, labels, first).value == 1
    for name, weight in first.state_dict().items():
        assert torch.equal(weight, second.state_dict()[name])


def test_the_script_writes_a_folder_that_loads(tmp_path, monkeypatch, capsys):
    small = ClassifierConfig(codec=train_classifier.CODECS["drawn"], widths=(4, 4))
    monkeypatch.setattr(train_classifier, "ClassifierConfig", lambda codec: small)
    monkeypatch.setattr(data, "draw_shapes", lambda n, *rest: draw_shapes(n // 20, *rest))
    monkeypatch.setattr(torch, "set_num_threads", lambda n: None)
    folder = tmp_path / "shapes"
    train_classifier.main(["--source", "drawn", "--out", str(folder), "--epochs", "1"])
    assert "accuracy" in capsys.readouterr().out
    assert load_classifier(folder).config == small
    assert ModelCard.read(folder).training["seed"] == 0
    (folder / "model.safetensors").write_bytes(b"")
    with pytest.raises(CheckpointError):
        load_classifier(folder)


def test_a_model_of_images_is_no_classifier(tmp_path):
    folder = pictures.save(tmp_path / "tiny")
    with pytest.raises(NoClassifierError, match="tiny holds no classifier, but another model"):
        load_classifier(folder)


@pytest.mark.parametrize(
    ("shape", "widths", "reason"),
    [
        ((1, 27, 28), (4, 8), r"even sides of at least 4, not \(27, 28\)"),
        ((1, 4, 4), (4, 8, 8), "even sides of at least 8, not"),
        ((1, 8, 8), (), "widths is at least 1, not "),
    ],
)
def test_sizes_that_a_classifier_cannot_have(shape, widths, reason):
    with pytest.raises(ValueError, match=reason):
        ClassifierConfig(codec=ImageCodec(shape, ("a", "b")), widths=widths)


def test_no_images_are_refused():
    with pytest.raises(ValueError, match="there are no images to look at"):
        load_classifier("drawn").predict(torch.zeros(0, 28, 28, 1, dtype=torch.uint8))
