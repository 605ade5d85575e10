"""How good generated images are, measured offline.

Images are uint8 `(n, h, w, c)`.

- Conditional accuracy: the fraction of samples that the classifier assigns to the class asked for.
- Class fractions p_k: the fraction of samples of each class, and their entropy - sum_k p_k log p_k.
- Kernel distance (KID) and nearest-neighbour ratio: see `kid`.

A figure comes with a 95% interval, and a metric with the protocol it was measured by. Figures of
another classifier, or of another number of samples, are other figures.
"""

from dataclasses import replace
from pathlib import Path
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from feller.core import random
from feller.core.cards import Metric
from feller.core.intervals import Estimate, wilson_interval
from feller.images.classifier import Classifier, NoClassifierError, classifier_for
from feller.images.data import ImageData
from feller.images.metrics.kid import (
    kernel_distance,
    nearest_distances,
    nearest_neighbour_ratio,
)
from feller.images.models import ImageModel
from feller.images.sampling import Sampling, suited

__all__ = [
    "ClassFractions",
    "class_fractions",
    "conditional_accuracy",
    "evaluate",
    "kernel_distance",
    "nearest_distances",
    "nearest_neighbour_ratio",
]

Images = UInt8[Tensor, "n h w c"]


class ClassFractions(NamedTuple):
    """Which classes a set of images has.

    Attributes:
        fractions: The fraction of each class.
        smallest: The smallest of them, with a Wilson interval that does not know it was picked.
        entropy: - sum_k p_k log p_k in nats; log(number of classes) when all are equal.
    """

    fractions: Float[Tensor, " k"]
    smallest: Estimate
    entropy: float


def conditional_accuracy(
    images: Images, labels: Int[Tensor, " n"], classifier: Classifier
) -> Estimate:
    """Return the fraction of images that the classifier assigns to their label.

    Raises:
        ValueError: When there is not one label an image.

    Example:
        >>> from feller.images.classifier import load_classifier
        >>> shapes = ImageData(source="drawn").build("test")
        >>> found = conditional_accuracy(shapes.images, shapes.labels, load_classifier("drawn"))
        >>> found.low > 0.95
        True
    """
    if labels.shape != (len(images),):
        raise ValueError(f"there are {len(images)} images, and labels {tuple(labels.shape)}")
    right = classifier.predict(images) == labels.cpu()
    return wilson_interval(int(right.sum()), len(images))


def class_fractions(images: Images, classifier: Classifier) -> ClassFractions:
    """Return the fraction of each class among images.

    Example:
        >>> from feller.images.classifier import load_classifier
        >>> black = torch.zeros(5, 28, 28, 1, dtype=torch.uint8)
        >>> class_fractions(black, load_classifier("drawn")).fractions.max()
        tensor(1., dtype=torch.float64)
    """
    counts = classifier.predict(images).bincount(minlength=len(classifier.codec.classes))
    fractions = counts.double() / len(images)
    smallest = wilson_interval(int(counts.min()), len(images))
    return ClassFractions(fractions, smallest, float(torch.special.entr(fractions).sum()))


def evaluate(
    model: ImageModel,
    data: ImageData,
    sampling: Sampling | None = None,
    *,
    n: int = 1_000,
    seed: int = 0,
) -> list[Metric]:
    """Measure a model against the data it was trained on.

    `n` images are drawn with the null condition and, where a classifier is bundled for the model's
    classes, `n` more with classes drawn uniformly; equal numbers of each would make the kernel
    distance too low. Without a classifier, only what needs none is measured, and the protocol says
    so.

    Args:
        model: The model.
        data: Where its data are: distances are to the test split, neighbours in the training split.
        sampling: How images are drawn; guidance acts only where a class is asked for.
        n: Images in each draw, at least four.
        seed: Chooses them.

    Raises:
        DataError: When data are missing or corrupt.
        ValueError: When `n` is below four.

    Example:
        >>> from feller.images.recipes import drawn_flow
        >>> untrained = drawn_flow().model.build()
        >>> metrics = evaluate(untrained, ImageData(source="drawn"), Sampling(steps=1), n=20)
        >>> [metric.name for metric in metrics][:2]
        ['conditional accuracy', 'KID by class']
    """
    if n < 4:
        raise ValueError(f"n is at least 4, not {n}")
    sampling = suited(sampling or Sampling(guidance=2.0), model)
    plain = replace(sampling, guidance=1.0)
    train, test, test_labels, name = splits(model, data)
    labels = _uniform(model, n, seed)
    always = model.config.condition_drop == 0  # it does not know how to draw without a label
    drawn, how = _draw(model, n, labels if always else None, plain, seed)
    near = _neighbours(drawn, train, some_of(test, n, seed), f"{how}; {name}")
    try:
        classifier = classifier_for(model.codec)
    except NoClassifierError as missing:
        return [replace(near, protocol=f"{near.protocol}; {missing}")]
    judge = _judge(classifier, test, test_labels, name)
    real = classifier.embed(test)
    same = kernel_distance(classifier.embed(some := some_of(train, n, seed)), real)
    against = f"{judge}; to these, where {len(some)} training images have {same}"
    overall = kernel_distance(classifier.embed(drawn), real)
    fractions = class_fractions(drawn, classifier), class_fractions(test, classifier)
    found = [
        _metric("KID", overall, f"{how}; {against}"),
        *_coverage(*fractions, f"{how}; {judge}"),
        near,
    ]
    if model.config.condition_drop == 1:
        return found
    asked, how = _draw(model, n, labels, plain if always else sampling, seed)
    by_class = kernel_distance(classifier.embed(asked), real)
    accuracy = _metric(
        "conditional accuracy", conditional_accuracy(asked, labels, classifier), f"{how}; {judge}"
    )
    return [accuracy, _metric("KID by class", by_class, f"{how}; {against}"), *found]


def _uniform(model: ImageModel, n: int, seed: int) -> Int[Tensor, " n"]:
    """Draw classes uniformly."""
    rng = random.rows(seed, 0, n, stream="labels")
    return random.integers(max(1, len(model.codec.classes)), (n,), rng)


def _judge(classifier: Classifier, test: Images, labels: Tensor | None, name: str) -> str:
    """Say how accurate the classifier is on the test images, where their labels are known."""
    if labels is None:
        return "bundled classifier"
    right = conditional_accuracy(test, labels, classifier)
    return f"bundled classifier, right on {right} of {len(test)} test images of {name}"


def some_of(images: Tensor, n: int, seed: int) -> Tensor:
    """Return a few images at random: those of a folder come class by class."""
    rng = torch.Generator().manual_seed(seed)
    return images[torch.randperm(len(images), generator=rng)[:n]]


def _metric(name: str, estimate: Estimate, protocol: str) -> Metric:
    return Metric(name=name, **estimate._asdict(), protocol=protocol)


def _neighbours(images: Images, train: Tensor, test: Tensor, protocol: str) -> Metric:
    how = f"pixel distance to {len(train)} training images over that of {len(test)} test images"
    ratio = nearest_neighbour_ratio(images, train, test)
    return _metric("nearest-neighbour ratio", ratio, f"{protocol}, {how}")


def _coverage(found: ClassFractions, usual: ClassFractions, protocol: str) -> list[Metric]:
    smallest = f"{protocol}; in the test images {usual.smallest.value:.4g}"
    entropy = f"{protocol}; nats, in the test images {usual.entropy:.4g}"
    return [
        _metric("smallest class fraction", found.smallest, smallest),
        Metric(name="class entropy", value=found.entropy, protocol=entropy),
    ]


def _draw(
    model: ImageModel, n: int, labels: Tensor | None, sampling: Sampling, seed: int
) -> tuple[Images, str]:
    """Draw images, and say how."""
    images, nfe = model.draw(n, labels, sampling, seed=seed)
    condition = "null condition" if labels is None else "classes drawn uniformly"
    return images, (
        f"{n} samples, {condition}, seed {seed}, {sampling.solver}, {sampling.steps} steps, "
        f"NFE {nfe}, guidance {sampling.guidance:g}"
    )


def splits(model: ImageModel, data: ImageData) -> tuple[Tensor, Tensor, Tensor | None, str]:
    """Return training images, test images with any labels, and what the data are called."""
    (train, _), (test, labels) = (_read(model, data, split) for split in ("train", "test"))
    name = Path(data.root).name if data.source in ("npz", "folder") else data.source
    if not train.equal(test):
        return train, _several(test), labels, name
    order = torch.randperm(len(train), generator=torch.Generator().manual_seed(0))
    known, held_out = order.tensor_split(2)
    name = f"{name}, which has no test split: a random half stands for it"
    return (
        train[known],
        _several(test[held_out]),
        None if labels is None else labels[held_out],
        name,
    )


def _several(test: Tensor) -> Tensor:
    """Refuse one test image: there is no interval of one."""
    if len(test) < 2:
        raise ValueError(
            f"figures need at least 2 test images, which a random half may be, not {len(test)}"
        )
    return test


def _read(
    model: ImageModel, data: ImageData, split: Literal["train", "test"]
) -> tuple[Images, Int[Tensor, " n"] | None]:
    """Return all images, which must be such as the model draws, and any labels by its classes."""
    dataset = data.build(split)
    images, labels, *names = dataset[list(range(len(dataset)))]
    model.codec.encode((images[:1], None))
    if not names or not model.codec.classes:
        return images, labels
    return images, model.codec.numbered(labels, names[0]) if names[0] else None
