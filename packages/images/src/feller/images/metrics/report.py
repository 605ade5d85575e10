"""Quality of generated images, measured offline.

Images are uint8 `(n, h, w, c)`.

- Conditional accuracy: the fraction of samples that the classifier assigns to the class asked for.
- Class fractions p_k: the fraction of samples of each class, and their entropy - sum_k p_k log p_k.
- Kernel distance (KID) and nearest-neighbour ratio: see `kid`; Fréchet distance (FID): `frechet`;
  precision, recall, density and coverage: `neighbours`; what images are compared by: `features`.

Each figure has a 95% interval and the protocol it was measured by. Figures with another classifier,
or another number of samples, are not comparable.
"""

from dataclasses import replace
from typing import NamedTuple

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from feller.core import random
from feller.core.cards import Metric
from feller.core.intervals import Estimate, wilson_interval
from feller.images.classifier import Classifier, NoClassifierError, classifier_for
from feller.images.data import ImageData
from feller.images.metrics.distances import Distances, metric
from feller.images.metrics.features import BUNDLED, NoFeaturesError, feature_network
from feller.images.metrics.kid import (
    kernel_distance,
    nearest_distances,
    nearest_neighbour_ratio,
)
from feller.images.metrics.splits import Splits, some_of, splits
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
    "uniform_labels",
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
    features: str = "auto",
) -> list[Metric]:
    """Measure a model against the data it was trained on.

    `n` images are drawn with the null condition and, where there are classes, `n` more with classes
    drawn uniformly; equal numbers of each would make the kernel distance too low. Without a
    classifier or a feature network, only what needs none is measured, and the protocol says so.

    Args:
        model: The model.
        data: Where its data are: distances are to the test split, neighbours in the training split.
        sampling: How images are drawn; guidance acts only where a class is asked for, or away from
            a worse model.
        n: Images in each draw, at least four.
        seed: Chooses them.
        features: The features that images are compared by: see `feature_network`.

    Raises:
        DataError: When data are missing or corrupt.
        ValueError: When `n` is below four, or there is no such feature network.

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
    plain = sampling if sampling.autoguidance else replace(sampling, guidance=1.0)
    real = splits(model, data)
    judges = _judges(model, features, real, some_of(real.train, n, seed))
    labels = _conditions(model, real, n, seed)
    always = model.config.condition_drop == 0  # it does not know how to draw without a label
    drawn, how = _draw(model, n, labels if always else None, plain, seed)
    near = _neighbours(drawn, real, some_of(real.test, n, seed), f"{how}; {real.name}")
    near = replace(near, protocol="; ".join([near.protocol, *judges.missing]))
    found = [*judges.distances(drawn, how), *judges.coverage(drawn, real.test, how), near]
    if labels is None or not judges:
        return found
    asked, how = _draw(model, n, labels, plain if always else sampling, seed)
    if model.codec.numbers:
        return [*judges.distances(asked, how, " by condition"), *found]
    accuracy = judges.accuracy(asked, labels, how)
    return [*accuracy, *judges.distances(asked, how, " by class"), *found]


class Judges(NamedTuple):
    """The networks that evaluate images.

    Attributes:
        classifier: Predicts their classes, where one is bundled.
        compared: Measures how far they are from real ones, where there is a feature network.
        words: The accuracy of the classifier, in words.
        missing: What is missing, and why.
    """

    classifier: Classifier | None
    compared: Distances | None
    words: str
    missing: list[str]

    def __bool__(self) -> bool:
        """Return whether there is any."""
        return bool(self.classifier or self.compared)

    def distances(self, images: Images, how: str, suffix: str = "") -> list[Metric]:
        """Return how far images are from real ones."""
        return self.compared.of(images, how, suffix) if self.compared else []

    def accuracy(self, images: Images, labels: Int[Tensor, " n"], how: str) -> list[Metric]:
        """Return how many images are of the class asked for."""
        if not self.classifier:
            return []
        right = conditional_accuracy(images, labels, self.classifier)
        return [metric("conditional accuracy", right, f"{how}; {self.words}")]

    def coverage(self, images: Images, test: UInt8[Tensor, "m h w c"], how: str) -> list[Metric]:
        """Return how evenly images are spread over classes."""
        if not self.classifier:
            return []
        found, usual = (class_fractions(each, self.classifier) for each in (images, test))
        return _coverage(found, usual, f"{how}; {self.words}")


def _judges(model: ImageModel, features: str, real: Splits, same: Images) -> Judges:
    """Return what there is to look at images with.

    Raises:
        ValueError: When there is no feature network of the name that was asked for.
    """
    classifier, network, words, missing = None, None, "", []
    try:
        classifier = classifier_for(model.codec)
        words = _judge(classifier, real.test, real.labels, real.name)
    except NoClassifierError as error:
        missing.append(str(error))
    try:
        device = next(model.parameters()).device
        network = feature_network(features, model.codec, device)
    except NoFeaturesError as error:
        if features != "auto":
            raise
        missing.append(str(error))
    if network is None:
        return Judges(classifier, None, words, missing)
    by = (
        words
        if network.name == BUNDLED
        else f"{network.name}, {len(real.test)} test images of {real.name}"
    )
    compared = Distances(network, by, network.embed(real.test), network.embed(same))
    return Judges(classifier, compared, words, missing)


def _conditions(model: ImageModel, real: Splits, n: int, seed: int) -> Tensor | None:
    """Return classes drawn uniformly, or the numbers of test images drawn at random."""
    if not model.codec.numbers or model.config.condition_drop == 1:
        return uniform_labels(model, n, seed)
    if real.labels is None:
        raise ValueError("the test images have no numbers: name columns by --data.conditions")
    rng = random.rows(seed, 0, n, stream="labels")
    return model.codec.scaled(real.labels)[random.integers(len(real.labels), (n,), rng)]


def uniform_labels(model: ImageModel, n: int, seed: int) -> Int[Tensor, " n"] | None:
    """Return classes drawn uniformly; None for a model that takes none.

    Example:
        >>> from feller.images.recipes import drawn_flow
        >>> uniform_labels(drawn_flow().model.build(), 3, 0).shape
        torch.Size([3])
    """
    classes = len(model.codec.classes)
    if not classes or model.config.condition_drop == 1:
        return None
    return random.integers(classes, (n,), random.rows(seed, 0, n, stream="labels"))


def _judge(classifier: Classifier, test: Images, labels: Tensor | None, name: str) -> str:
    """Say how accurate the classifier is on the test images, where their labels are known."""
    if labels is None:
        return "bundled classifier"
    right = conditional_accuracy(test, labels, classifier)
    return f"bundled classifier, right on {right} of {len(test)} test images of {name}"


def _neighbours(images: Images, real: Splits, test: Tensor, protocol: str) -> Metric:
    count = len(real.known)
    how = f"pixel distance to {count} training images over that of {len(test)} test images"
    ratio = nearest_neighbour_ratio(images, real.known, test, held_out=real.held_out)
    return metric("nearest-neighbour ratio", ratio, f"{protocol}, {how}")


def _coverage(found: ClassFractions, usual: ClassFractions, protocol: str) -> list[Metric]:
    smallest = f"{protocol}; in the test images {usual.smallest.value:.4g}"
    entropy = f"{protocol}; nats, in the test images {usual.entropy:.4g}"
    return [
        metric("smallest class fraction", found.smallest, smallest),
        Metric(name="class entropy", value=found.entropy, protocol=entropy),
    ]


def _draw(
    model: ImageModel, n: int, labels: Tensor | None, sampling: Sampling, seed: int
) -> tuple[Images, str]:
    """Draw images, and say how."""
    images, nfe = model.draw(n, labels, sampling, seed=seed)
    condition = "classes drawn uniformly"
    if labels is None:
        condition = "null condition"
    elif labels.is_floating_point():
        condition = "conditions of test images"
    return images, (f"{n} samples, {condition}, seed {seed}, {sampling.words()}, NFE {nfe}")
