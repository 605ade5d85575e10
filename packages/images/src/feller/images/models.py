"""Image models: a generator model with a codec and a `sample` method."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from numbers import Integral
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from feller.core.checks import check_count
from feller.core.config import tagged
from feller.core.generators import Generator
from feller.core.heads import FlowHead, Head, Kinds
from feller.core.models import GeneratorModel, Model
from feller.core.paths import GaussianPath, MixturePath
from feller.core.spaces import Euclidean
from feller.core.training import Evaluation, ModelConfig, Training
from feller.core.typing import Time
from feller.images.codec import ImageCodec
from feller.images.conditions import Given
from feller.images.drawing import Request, draw
from feller.images.networks import DiTConfig, JiTConfig, UNetConfig, build_network
from feller.images.networks.checks import check_data_at_start, check_space
from feller.images.plots import Images
from feller.images.sampling import Sampling, suited
from feller.images.schedules import Tabulated

__all__ = ["ImageModel", "ImageModelConfig", "Sampling", "Tabulated"]


class NetworkConfig(Protocol):
    """What a network is made of."""

    def build(self, numbers: int = 1) -> nn.Module:
        """Make the network, with `numbers` outputs for each channel of a pixel."""
        ...


@tagged("images/model")
@dataclass(frozen=True, kw_only=True)
class ImageModelConfig(ModelConfig):
    """What an `ImageModel` is made of.

    Attributes:
        network: A U-Net, a DiT or a JiT. Its `out_channels` are those of the image; the channels
            that the head needs for each are added automatically.
        codec: Size of the images, their labels, and whether they are tokens.
        path: The conditional path: Gaussian or mixture for continuous pixels, mixture for tokens.
        head: How the network's output is read.
        condition_drop: Fraction of images trained without their labels, written by training: with 0
            the model cannot sample without a label, with 1 not with one. None if unknown, as before
            training.
        pixel_times: Whether pixels have their own times, for exact inpainting: train with `times`
            such as `KnownPixels`.
    """

    hub_task: ClassVar[str] = "unconditional-image-generation"
    network: UNetConfig | DiTConfig | JiTConfig
    codec: ImageCodec
    path: GaussianPath | MixturePath = field(default_factory=lambda: GaussianPath(Euclidean(3)))
    head: Head = field(default_factory=FlowHead)
    condition_drop: float | None = None
    pixel_times: bool = False

    def __post_init__(self) -> None:
        """Reject a network for other images or labels."""
        channels, classes = self.codec.shape[0], len(self.codec.classes)
        for name in ("in_channels", "out_channels"):
            if getattr(self.network, name) != channels:
                raise ValueError(
                    f"network.{name} is {getattr(self.network, name)}, but images have {channels}"
                )
        check_space(self.path.space, self.codec.levels)
        if self.pixel_times and getattr(self.network, "two_times", False):
            raise ValueError("a network takes pixel_times or two_times, not both")
        if self.head.divides_by_alpha:  # samples start at t = 0
            check_data_at_start(self.path.schedule)
        if self.codec.numbers and self.network.condition_size != len(self.codec.numbers):
            raise ValueError(
                f"network.condition_size is {self.network.condition_size}, but codec.numbers names "
                f"{len(self.codec.numbers)}"
            )
        if self.network.num_classes != classes:
            raise ValueError(
                f"network.num_classes is {self.network.num_classes}, but codec.classes names "
                f"{classes}"
            )

    @property
    def is_conditional(self) -> bool:
        """Whether images have a label, a vector of numbers, or conditions by name."""
        network = self.network
        return bool(network.num_classes or network.condition_size or network.conditions)

    def row_names(self) -> dict[str, tuple[str, ...]]:
        """Return what the rows of the label embedding stand for: classes, and no label."""
        return {"model.network.embed_label.table.weight": (*self.codec.classes, "<no label>")}

    def build(self) -> "ImageModel":
        """Make the model with fresh weights."""
        return ImageModel(self)

    def trained(self, training: Training) -> "ImageModelConfig":
        """Return the configuration with the training's `condition_drop`, where there are labels."""
        return (
            replace(self, condition_drop=training.condition_drop) if self.is_conditional else self
        )

    def evaluation(self, model: Any, data: Any, *, n: int) -> Evaluation:
        """Return KID and FID of `n` samples, for the log of a run."""
        from feller.images.metrics.while_training import ImageEvaluation

        return ImageEvaluation(model, data, n=n)

    def check_condition(self, *, labels: bool, guidance: float = 1.0) -> None:
        """Refuse to draw from a row of the label embedding that was never trained.

        Args:
            labels: Whether labels are given.
            guidance: Guidance scale: other than 1, the model is also called without labels.

        Raises:
            ValueError: When the model was not trained for it.
        """
        if self.condition_drop == 0 and (not labels or guidance != 1):
            what = "guidance" if labels else "drawing without a label"
            raise ValueError(
                f"the model was trained with every label, so {what} has no meaning: give a label "
                "and no guidance, or train with --training.condition-drop 0.1"
            )
        if self.condition_drop == 1 and labels:
            raise ValueError("the model was trained without labels (condition_drop 1): give none")


class ImageModel(nn.Module, Model):
    """A model of images.

    Example:
        >>> from feller.core import load
        >>> model = load("images/fashion-flow")
        >>> model.sample(4, label="bag", steps=2, guidance=2.0, seed=0).shape
        torch.Size([4, 28, 28, 1])
    """

    def __init__(self, config: ImageModelConfig) -> None:
        super().__init__()
        self.config = config
        self.codec, self.path = config.codec, config.path
        self.model = GeneratorModel(
            build_network(
                config.network,
                config.codec.levels,
                config.head.channels,
                pixel_times=config.pixel_times,
            ),
            config.path,
            config.head,
        )
        self.takes_next = self.model.takes_next

    @property
    def kinds(self) -> Kinds:
        """The kinds of generator the model returns."""
        return self.model.kinds

    def part_kinds(self) -> tuple[Kinds, ...]:
        """Return the kinds of each part that the head reads."""
        return self.model.part_kinds()

    @property
    def finite_at_end(self) -> bool:
        """False: training never sees t = 1, so the network's output there is unreliable.

        A last Heun step that evaluates it raised the KID of `fashion-flow` from .035 (.029 to .041)
        to .062 (.054 to .071).
        """
        return False

    def forward(self, x: Tensor, t: Time, condition: Any = None, s: Any = None) -> Generator:
        """Return the generator at the states `x` `(b, c, h, w)` and time `t`, for a step to `s`.

        Raises:
            ValueError: When the model was not trained with, or without, labels.
        """
        self.config.check_condition(labels=condition is not None)
        step_end = (s,) if self.takes_next else ()
        return self.model(x, t, condition, *step_end)

    def sample(
        self,
        n: int,
        *,
        label: str | int | Sequence[Any] | Tensor | None = None,
        seed: int = 0,
        noise: Float[Tensor, "n c h w"] | None = None,
        given: Given | None = None,
        **sampling: Any,
    ) -> UInt8[Tensor, "n h w c"]:
        """Sample images, which a notebook shows as a grid.

        Args:
            n: How many.
            label: A class by name or number, or one for each image; None for any. If the network
                has a `condition_size`, that many numbers, or a row of them for each image.
            seed: Image i depends on the seed and on i, not on `n` (with dopri5, whose steps suit
                the whole batch, to within its tolerance).
            noise: The states to start from, such as those of `invert`; None draws them.
            given: What is known of the images: some pixels, their gray, a smaller image, a blur.
            sampling: Fields of `Sampling`: steps, solver, guidance, interval, batch_size, ...

        Raises:
            ValueError: On an unknown label or solver, an invalid seed, a negative number of images,
                or guidance without a label.
        """
        check_count("n", n)
        labels, how = self.labels(n, label), Sampling(**sampling)
        images, _ = self.draw(n, labels, how, seed=seed, noise=noise, given=given)
        return images.as_subclass(Images)

    def draw(
        self, n: int, labels: Tensor | None, sampling: Sampling, **request: Any
    ) -> tuple[UInt8[Tensor, "n h w c"], int]:
        """Draw images of given labels; return them and the NFE (of the batch with most).

        Args:
            n: How many.
            labels: Their labels, or None for any.
            sampling: How they are drawn.
            request: `seed`, `noise` and `given`, as of `sample`.

        Raises:
            ValueError: On an unknown solver, guidance without labels, and numbers that are none.
        """
        return draw(self, Request(n=n, labels=labels, **request), sampling)

    def labels(self, n: int, label: str | int | Sequence[Any] | Tensor | None) -> Tensor | None:
        """Return a label for each of `n` images, or None for no condition.

        Raises:
            ValueError: When there is no such class, or labels are not one for each image.
        """
        size = self.config.network.condition_size
        if label is None:
            return None
        if size:
            numbers = _vectors(label, (n, size))
            return self.codec.scaled(numbers) if self.codec.numbers else numbers
        if isinstance(label, str | int | Integral):  # such as numpy's
            return torch.full((n,), self.codec.label(label))
        if not isinstance(label, Tensor):
            if not hasattr(label, "__getitem__"):  # a set has no order
                raise ValueError(f"label is a class, or a list of one an image, not {label!r}")
            label = torch.tensor([self.codec.label(name) for name in label], dtype=torch.int64)
        if label.shape != (n,):
            raise ValueError(f"label holds one label an image: ({n},), not {tuple(label.shape)}")
        if label.is_floating_point() or label.is_complex() or label.dtype == torch.bool:
            raise ValueError(f"labels are whole numbers, not {label.dtype}")
        return self.codec.numbered(label.long())

    def preview(self, stem: Path) -> None:
        """Write a picture of samples of fixed noise, a column a class; arrays of many channels."""
        from feller.images.plots import MOST_CHANNELS, save_classes, save_grid

        classes = len(self.codec.classes)
        columns = 8
        labels: Any = torch.arange(classes).repeat_interleave(columns) if classes else None
        n = columns * (classes or 8)
        if self.config.condition_drop == 1:
            labels = None
        if self.config.condition_drop == 0 and self.config.network.condition_size:
            labels = torch.zeros(n, self.config.network.condition_size)
        plan = suited(Sampling(), self)
        if plan.solver == "heun":  # a look at half the price
            plan = replace(plan, solver="euler")
        images, _ = self.draw(n, labels, plan)
        if images.shape[-1] > MOST_CHANNELS:
            np.savez_compressed(stem.with_suffix(".npz"), images=images.numpy())
        elif labels is not None and classes:
            save_classes(images, labels, stem.with_suffix(".png"), self.codec.classes)
        else:
            save_grid(images, stem.with_suffix(".png"), columns=columns)


def _vectors(label: Any, shape: tuple[int, int]) -> Tensor:
    """Return a condition of several numbers for each image: one for all, or one for each."""
    numbers = torch.as_tensor(label, dtype=torch.get_default_dtype())
    if numbers.shape not in (shape, shape[1:]):
        raise ValueError(
            f"the condition is {shape[1]} numbers, or {shape} of them, not of shape "
            f"{tuple(numbers.shape)}"
        )
    return numbers.expand(shape)
