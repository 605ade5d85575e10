"""What every image network asks of its arguments, and every image model of its path."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from feller.core.schedules import Schedule
from feller.core.spaces import StateSpace

__all__ = [
    "Told", "check_arguments", "check_attention", "check_conditions", "check_data_at_start",
    "check_space",
]  # fmt: skip

Told = Int[Tensor, " b"] | Float[Tensor, "b n"] | Mapping[str, Tensor | None] | None
"""What a network is conditioned on: labels, vectors of numbers, or tensors by name."""


def check_arguments(
    x: Tensor,
    condition: Any,
    multiple: int,
    num_classes: int,
    condition_size: int = 0,
) -> None:
    """Check the size of images and the presence of labels; values are not read.

    Args:
        x: Images (b, c, h, w).
        condition: Labels, or None.
        multiple: What height and width must be multiples of.
        num_classes: Classes of the network; 0 when it has none.
        condition_size: Numbers of a condition that is a vector; 0 when it is none.

    Raises:
        ValueError: When a side is not a multiple, an unconditional network is given labels, or a
            condition has not as many numbers.

    Example:
        >>> import torch
        >>> check_arguments(torch.zeros(1, 3, 27, 28), None, multiple=4, num_classes=0)
        Traceback (most recent call last):
        ValueError: height and width must be multiples of 4: pad 27x28 to 28x28
    """
    height, width = x.shape[-2:]
    if height % multiple or width % multiple:
        right = "x".join(str(side + -side % multiple) for side in (height, width))
        raise ValueError(
            f"height and width must be multiples of {multiple}: pad {height}x{width} to {right}"
        )
    if condition is None:
        return
    if condition_size:
        if condition.ndim != 2 or condition.shape[1] != condition_size:
            raise ValueError(
                f"conditions are (b, {condition_size}) numbers, not {tuple(condition.shape)}"
            )
    elif not num_classes:
        raise ValueError("labels were given to an unconditional network (num_classes=0)")


def check_conditions(config: Any) -> None:
    """Reject a network that has conditions in two ways.

    Raises:
        ValueError: When it is.
    """
    if config.conditions and (config.num_classes or config.condition_size):
        raise ValueError("conditions take the place of num_classes and condition_size: leave those")


def check_attention(
    channels: tuple[int, ...],
    levels: tuple[int, ...],
    head_channels: int | None,
    others: Sequence[int] = (),
) -> None:
    """Check the levels that attend, and that heads divide their widths and others.

    Args:
        channels: Width of each level.
        levels: The levels that attend.
        head_channels: Channels of a head; None for one head.
        others: Other widths that attend.

    Raises:
        ValueError: When a level does not exist, or heads do not divide a width.

    Example:
        >>> check_attention((32, 64), (1,), head_channels=48)
        Traceback (most recent call last):
        ValueError: head_channels 48 does not divide the width 64
    """
    if not set(levels) <= set(range(len(channels))):
        raise ValueError(f"attention_levels {levels} are not 0 ... {len(channels) - 1}")
    for width in [*(channels[level] for level in levels), *others]:
        if head_channels and width % head_channels:
            raise ValueError(f"head_channels {head_channels} does not divide the width {width}")


def check_space(space: StateSpace, levels: int) -> None:
    """Reject a path on other states than the codec makes.

    Args:
        space: The space of the path.
        levels: Grey levels of images that are tokens; 0 of images that are numbers.

    Raises:
        ValueError: When it is.
    """
    if space.event_dim != 3:
        raise ValueError(f"images have 3 axes, the states of {space} {space.event_dim}")
    size = getattr(space, "size", 0)
    if size not in ((levels, levels + 1) if levels else (0,)):
        raise ValueError(
            f"codec.levels is {levels}, the path is on {space}: tokens are the levels, and "
            "perhaps a mask after them"
        )


def check_data_at_start(schedule: Schedule) -> None:
    """Reject a schedule with no data at t = 0, for heads that divide by alpha."""
    if float(schedule.alpha(torch.zeros(()))) == 0:
        raise ValueError(
            "a head that predicts noise or score needs alpha > 0 at t = 0: "
            "choose VariancePreserving, or predict the velocity or x_1"
        )
