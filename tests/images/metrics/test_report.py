"""Metrics of images: on sets whose figures are known, and of models that draw such sets."""

import inspect
import math
import re
from dataclasses import replace

import numpy as np
import pictures
import pytest
import torch

from feller.core.intervals import wilson_interval
from feller.images.classifier import load_classifier
from feller.images.codec import ImageCodec
from feller.images.data import ImageData
from feller.images.metrics import features
from feller.images.metrics.report import (
    class_fractions,
    conditional_accuracy,
    evaluate,
)
from feller.images.models import ImageModelConfig, Sampling
from feller.images.networks import UNetConfig
from feller.images.recipes import drawn_flow
from feller.images.shapes import SHAPES, draw_shapes

DISTANCES = ("KID", "FID", "FID infinity", "precision", "recall", "density", "coverage")


@pytest.fixture
def no_network(monkeypatch):
    """As where the package of EfficientNet is not installed."""

    def missing(name):
        raise ImportError(name)

    monkeypatch.setattr(features, "import_module", missing)


@pytest.fixture(scope="module")
def classifier():
    return load_classifier("drawn")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Few shapes in a file: reading them is quicker than drawing the whole set."""
    file = tmp_path_factory.mktemp("data") / "shapes.npz"
    splits = {"train": draw_shapes(3000, 28, 0), "test": draw_shapes(1000, 28, 1)}
    arrays = {f"{k}_images": images for k, (images, _) in splits.items()}
    arrays |= {f"{k}_labels": labels for k, (_, labels) in splits.items()}
    np.savez(file, **arrays)
    return ImageData(source="npz", root=str(file))


def shapes(count, seed=5):
    images, labels = draw_shapes(count, 28, seed)
    return torch.from_numpy(images), torch.from_numpy(labels)


def test_conditional_accuracy_counts_what_was_asked(classifier):
    images, _ = shapes(100)
    seen = classifier.predict(images)
    assert conditional_accuracy(images, seen, classifier).value == 1
    asked = torch.where(torch.arange(100) < 30, (seen + 1) % 10, seen)
    assert conditional_accuracy(images, asked, classifier) == wilson_interval(70, 100)


def test_class_fractions_of_balanced_shapes(classifier):
    found = class_fractions(shapes(1000)[0], classifier)
    assert found.fractions.sum() == pytest.approx(1)
    assert found.smallest.value == pytest.approx(0.1, abs=0.005)
    assert found.entropy == pytest.approx(math.log(10), abs=0.001)


def test_class_fractions_see_missing_classes(classifier):
    images, labels = shapes(1000)
    found = class_fractions(images[labels < 4], classifier)
    assert found.fractions[:4].sum() > 0.98
    assert found.smallest.value == 0
    assert found.entropy == pytest.approx(math.log(4), abs=0.1)


def artist(draw, classes=SHAPES, side=28):
    """A model whose `draw` is the given function of n and labels, and notes how it was called."""
    network = UNetConfig(
        in_channels=1, out_channels=1, channels=(8,), blocks_per_level=1, attention_levels=(),
        num_classes=len(classes), norm_groups=4,
    )  # fmt: skip
    model = ImageModelConfig(network=network, codec=ImageCodec((1, side, side), classes)).build()
    calls = []

    def noted(n, labels, sampling, *, seed):
        calls.append((n, labels, sampling, seed))
        return draw(n, labels), 7

    model.draw = noted
    return model, calls


def truthful(n, labels):
    """Draw new shapes, of the labels asked for."""
    images, known = shapes(10 * n)
    if labels is None:
        return images[torch.randperm(10 * n, generator=torch.Generator().manual_seed(0))[:n]]
    return images[[int((known == label).nonzero()[i]) for i, label in enumerate(labels)]]


@pytest.mark.gate
def test_a_perfect_model(data):
    model, calls = artist(truthful)
    how = Sampling(solver="euler", grid="uniform", steps=9, guidance=2.5)
    metrics = {metric.name: metric for metric in evaluate(model, data, how, n=400, seed=3)}
    assert list(metrics) == [
        "conditional accuracy",
        *[f"{name} by class" for name in DISTANCES],
        *DISTANCES,
        "smallest class fraction",
        "class entropy",
        "nearest-neighbour ratio",
    ]
    assert metrics["conditional accuracy"].value > 0.98
    for name in ("KID", "KID by class"):
        assert metrics[name].low < 0 < metrics[name].high
    floor = float(re.search(r"training images have ([\d.]+), the bias", metrics["FID"].protocol)[1])
    assert metrics["FID"].low < floor < metrics["FID"].high
    for name in DISTANCES[3:]:
        assert metrics[name].value > 0.9
    assert metrics["smallest class fraction"].value == pytest.approx(0.1, abs=0.04)
    assert metrics["class entropy"].value == pytest.approx(math.log(10), abs=0.04)
    ratio = metrics["nearest-neighbour ratio"]
    assert ratio.low < 1 < ratio.high
    (_, free, plain, seed), (_, asked, guided, _) = calls
    assert free is None
    assert plain.guidance == 1
    assert guided == how
    assert seed == 3
    assert asked.bincount(minlength=10).min() > 20


def test_protocols_say_how(data):
    model, _ = artist(truthful)
    how = Sampling(solver="euler", grid="uniform", steps=9, guidance=2.5)
    metrics = evaluate(model, data, how, n=40, seed=3)
    protocol_of = {metric.name: metric.protocol for metric in metrics}
    for name, protocol in protocol_of.items():
        assert "40 samples" in protocol
        assert "seed 3, euler, 9 steps, uniform grid, " in protocol
        assert "NFE 7" in protocol
        assert "1000 test images" in protocol or name == "nearest-neighbour ratio"
        given = name == "conditional accuracy" or name.endswith("by class")
        assert ("guidance 2.5" in protocol) == given
        assert ("null condition" in protocol) != given
    test = data.build("test")
    accuracy = conditional_accuracy(test.images, test.labels, load_classifier("drawn"))
    assert (
        f"right on {accuracy} of 1000 test images of shapes.npz"
        in protocol_of["conditional accuracy"]
    )


def test_a_model_that_knows_one_class_and_copies(data):
    train = data.build("train")
    model, _ = artist(lambda n, labels: train.images[::10][:n])
    metrics = {metric.name: metric for metric in evaluate(model, data, n=100)}
    assert metrics["conditional accuracy"].high < 0.3
    assert metrics["KID"].low > 0
    assert metrics["recall"].high < 0.2 < metrics["precision"].low
    assert metrics["coverage"].high < 0.2
    assert metrics["smallest class fraction"].value == 0
    assert metrics["class entropy"].value < 0.1
    assert metrics["nearest-neighbour ratio"].value == 0


@pytest.mark.parametrize("classes", [(), ("a", "b")])
def test_without_a_network_only_neighbours_are_measured(data, classes, no_network):
    model, calls = artist(lambda n, labels: shapes(n)[0], classes)
    (metric,) = evaluate(model, data, n=40)
    assert metric.name == "nearest-neighbour ratio"
    assert "no bundled classifier" in metric.protocol
    assert metric.protocol.endswith(
        "no feature network for images (1, 28, 28): pip install feller-images[features], or give "
        "--features FILE"
    )
    with pytest.raises(ValueError, match="no feature network for images"):
        evaluate(model, data, n=40, features="efficientnet")
    with pytest.raises(ValueError, match="no bundled classifier for"):
        evaluate(model, data, n=40, features="classifier")
    assert len(calls) == 1


def test_without_a_classifier_a_network_compares(data, tmp_path):
    class Means(torch.nn.Module):
        def forward(self, x):
            return torch.nn.functional.adaptive_avg_pool2d(x.float(), 2).flatten(1)

    pictures.script(Means(), 28, tmp_path / "a.pt")
    model, _ = artist(lambda n, labels: shapes(n)[0], ("a", "b"))
    found = evaluate(model, data, n=40, features=str(tmp_path / "a.pt"))
    assert [metric.name for metric in found] == [
        *[f"{name} by class" for name in DISTANCES], *DISTANCES, "nearest-neighbour ratio",
    ]  # fmt: skip
    assert all(
        "TorchScript a.pt, 1000 test images of shapes.npz" in metric.protocol
        for metric in found[:-1]
    )


def test_without_a_test_split_a_random_half_stands_for_it(tmp_path, no_network):
    images, labels = shapes(400)
    np.savez(tmp_path / "one.npz", images=images, labels=labels)
    model, _ = artist(lambda n, labels: shapes(n, seed=9)[0], ("a", "b"))
    (ratio,) = evaluate(model, ImageData(source="npz", root=str(tmp_path / "one.npz")), n=40)
    assert ratio.low < 1 < ratio.high
    assert (
        "which has no test split: a random half of what was trained on stands for it"
        in ratio.protocol
    )
    assert "400 training images over that of 40 test images" in ratio.protocol


def test_copies_are_seen_without_a_test_split(tmp_path, no_network):
    images, labels = shapes(400)
    np.savez(tmp_path / "one.npz", images=images, labels=labels)
    model, _ = artist(lambda n, labels: images[:n], ("a", "b"))
    (ratio,) = evaluate(model, ImageData(source="npz", root=str(tmp_path / "one.npz")), n=40)
    assert ratio.value == 0


def test_images_that_the_model_does_not_draw_are_refused(data, tmp_path):
    np.savez(tmp_path / "wide.npz", images=np.zeros((9, 28, 32), np.uint8))
    with pytest.raises(ValueError, match=r"images are \(c, h, w\) = \(1, 28, 28\), these"):
        evaluate(artist(truthful)[0], ImageData(source="npz", root=str(tmp_path / "wide.npz")))


def test_too_few_images_are_refused(data):
    with pytest.raises(ValueError, match="n is at least 4"):
        evaluate(artist(truthful)[0], data, n=3)


@pytest.mark.parametrize(("dropped", "absent"), [(0.0, "null condition"), (1.0, "classes drawn")])
def test_models_are_asked_only_for_what_they_were_trained_for(dropped, absent, data):
    model = replace(drawn_flow().model, condition_drop=dropped).build()
    found = evaluate(model, data, Sampling(steps=1, guidance=2.0), n=8)
    names = [metric.name for metric in found]
    assert ("conditional accuracy" in names) == (dropped == 0)
    assert "KID" in names
    assert not any(absent in metric.protocol for metric in found)
    assert not any("guidance 2" in metric.protocol for metric in found)


def test_images_without_labels_say_nothing_of_the_classifier(tmp_path):
    np.savez(tmp_path / "a.npz", images=draw_shapes(40, 28, 2)[0])
    unlabelled = ImageData(source="npz", root=str(tmp_path / "a.npz"))
    found = evaluate(drawn_flow().model.build(), unlabelled, Sampling(steps=1), n=8)
    assert found[0].name == "conditional accuracy"
    assert not any("right on" in metric.protocol for metric in found)


def test_a_label_for_each_image(classifier):
    images, right = torch.zeros(3, 28, 28, 1, dtype=torch.uint8), torch.tensor([0])
    with pytest.raises(ValueError, match=r"there are 3 images, and labels \(1,\)"):
        inspect.unwrap(conditional_accuracy)(images, right, classifier)


@pytest.mark.parametrize(
    ("images", "reason"),
    [
        (np.zeros((1, 28, 28), np.uint8), "at least 2 test images, which a random half may be"),
        (np.zeros((9, 28, 28), np.uint8), "every test image is a training image too"),
    ],
)
def test_data_of_which_no_figure_is_known(images, reason, tmp_path):
    np.savez(tmp_path / "a.npz", images=images)
    data = ImageData(source="npz", root=str(tmp_path / "a.npz"))
    with pytest.raises(ValueError, match=reason):
        evaluate(drawn_flow().model.build(), data, Sampling(steps=1, solver="euler"), n=4)
