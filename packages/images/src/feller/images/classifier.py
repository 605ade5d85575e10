"""Small classifiers: what the metrics of images look with.

A classifier maps images x in [-1, 1] to features phi(x), standardised so that over the training
data each has mean 0 and variance 1, and to logits W phi(x) + b. Bundled ones need no download; the
bigger networks that papers measure with (Inception) do. `tools/train_classifier.py` trains them.
"""

from dataclasses import dataclass
from importlib.resources import files
from itertools import pairwise
from pathlib import Path

import torch
from einops import reduce
from jaxtyping import Float, Int, UInt8
from torch import Tensor, nn

from feller.core.checkpoint import load_model
from feller.core.checks import check_sizes
from feller.core.config import tagged
from feller.images.codec import ImageCodec

__all__ = [
    "Classifier",
    "ClassifierConfig",
    "NoClassifierError",
    "bundled_classifiers",
    "classifier_for",
    "load_classifier",
]


class NoClassifierError(ValueError):
    """There is no bundled classifier of that name, or for those images."""


@tagged("images/classifier")
@dataclass(frozen=True, kw_only=True)
class ClassifierConfig:
    """What a `Classifier` is made of.

    Attributes:
        codec: The images' size, an even number of pixels each way, and the classes' names.
        widths: Channels of each stage; a stage has half the resolution of the one before. The last
            is the number of features.
    """

    codec: ImageCodec
    widths: tuple[int, ...] = (32, 96)

    def __post_init__(self) -> None:
        """Reject no stage, no class, or images that have no half at some stage."""
        check_sizes(self, "widths")
        multiple, sides = 2 ** len(self.widths), self.codec.shape[1:]
        if not self.codec.classes:
            raise ValueError("a classifier has at least one class")
        if any(side % 2 for side in sides) or min(sides) < multiple:
            raise ValueError(
                f"a classifier of {len(self.widths)} widths takes even sides of at least "
                f"{multiple}, not {sides}"
            )

    def build(self) -> "Classifier":
        """Make the classifier with fresh weights."""
        return Classifier(self)


class Classifier(nn.Module):
    """A convolutional network on 2 x 2 patches: two 3 x 3 convolutions a stage.

    Example:
        >>> classifier = load_classifier("fashion-mnist")
        >>> classifier(torch.zeros(2, 1, 28, 28)).shape
        torch.Size([2, 10])
        >>> classifier.embed(torch.zeros(2, 28, 28, 1, dtype=torch.uint8)).shape
        torch.Size([2, 96])
    """

    def __init__(self, config: ClassifierConfig) -> None:
        super().__init__()
        self.config = config
        self.codec = config.codec
        channels = (4 * config.codec.shape[0], *config.widths)
        layers: list[nn.Module] = [nn.PixelUnshuffle(2)]
        for stage, (before, width) in enumerate(pairwise(channels)):
            pool = [nn.MaxPool2d(2)] if stage else []
            layers += [*pool, *_convolution(before, width), *_convolution(width, width)]
        self.body = nn.Sequential(*layers)
        self.standardise = nn.BatchNorm1d(config.widths[-1], affine=False)
        self.head = nn.Linear(config.widths[-1], len(config.codec.classes))

    def features(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d"]:
        """Return the features of images in [-1, 1]."""
        return self.standardise(reduce(self.body(x), "b d h w -> b d", "mean"))

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b k"]:
        """Return the logits of images in [-1, 1]."""
        return self.head(self.features(x))

    @torch.no_grad()
    def embed(
        self, images: UInt8[Tensor, "n h w c"], *, batch_size: int = 500
    ) -> Float[Tensor, "n d"]:
        """Return the features of raw images, in double precision.

        Raises:
            ValueError: When there are no images, or they are not of the classifier's size.
        """
        device = self.head.weight.device
        if not len(images):
            raise ValueError("there are no images to look at")
        parts = (self.codec.encode((part, None))[0] for part in images.split(batch_size))
        return torch.cat([self.features(x.to(device)).double() for x in parts])

    @torch.no_grad()
    def predict(self, images: UInt8[Tensor, "n h w c"]) -> Int[Tensor, " n"]:
        """Return the most probable label of raw images.

        Raises:
            ValueError: When the images are not of the classifier's size.
        """
        features = self.embed(images).to(self.head.weight.dtype)
        return self.head(features).argmax(-1).cpu()


def bundled_classifiers() -> list[str]:
    """List the bundled classifiers; each has the name of the `source` it was trained on.

    Example:
        >>> "fashion-mnist" in bundled_classifiers()
        True
    """
    return sorted(file.parent.name for file in _folder().glob("*/config.json"))


def load_classifier(name: str | Path) -> Classifier:
    """Load a classifier, in evaluation mode.

    Args:
        name: A bundled name, or a folder.

    Raises:
        NoClassifierError: When there is none.
        CheckpointError: When its files are not what they should be.
    """
    for folder in (_folder() / name, Path(name)):
        if (folder / "config.json").is_file():
            found = load_model(folder)
            if not isinstance(found, Classifier):
                raise NoClassifierError(f"{folder} holds no classifier, but another model")
            return found
    known = ", ".join(bundled_classifiers()) or "none"
    raise NoClassifierError(f"no classifier {str(name)!r}; there are {known}")


def classifier_for(codec: ImageCodec) -> Classifier:
    """Load the bundled classifier of a model's images: the same size and classes.

    Raises:
        NoClassifierError: When there is none.
    """
    for name in bundled_classifiers():
        classifier = load_classifier(name)
        if (classifier.codec.shape, classifier.codec.classes) == (codec.shape, codec.classes):
            return classifier
    raise NoClassifierError(
        f"no bundled classifier for {len(codec.classes)} classes of images (c, h, w) = "
        f"{codec.shape}; there are {', '.join(bundled_classifiers()) or 'none'}"
    )


def _convolution(before: int, after: int) -> list[nn.Module]:
    convolution = nn.Conv2d(before, after, 3, padding=1, bias=False)
    return [convolution, nn.BatchNorm2d(after), nn.ReLU()]


def _folder() -> Path:
    return Path(str(files("feller.images"))) / "weights" / "classifiers"
