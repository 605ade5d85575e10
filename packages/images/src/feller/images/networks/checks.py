"""What every image network asks of its arguments."""

from torch import Tensor

__all__ = ["check_arguments"]


def check_arguments(x: Tensor, condition: Tensor | None, multiple: int, num_classes: int) -> None:
    """Check the size of images and the presence of labels; values are not read.

    Args:
        x: Images (b, c, h, w).
        condition: Labels, or None.
        multiple: What height and width must be multiples of.
        num_classes: Classes of the network; 0 when it is unconditional.

    Raises:
        ValueError: When a side is no multiple, or an unconditional network is given labels.

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
    if condition is not None and not num_classes:
        raise ValueError("labels were given to an unconditional network (num_classes=0)")
