"""Networks that are asked while they are trained, and parts that keep their precision."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import Tensor, nn

__all__ = ["evaluating", "without_autocast"]


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Put a model into evaluation mode; afterwards each part is in the mode it was in.

    Example:
        >>> model = nn.Sequential(nn.Dropout(), nn.Dropout().eval())
        >>> with evaluating(model):
        ...     model.training
        False
        >>> [part.training for part in model]
        [True, False]
    """
    modes = [(part, part.training) for part in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for part, training in modes:
            part.training = training


def without_autocast(like: Tensor) -> AbstractContextManager[object]:
    """Keep the precision of what is computed, whatever autocast says.

    Args:
        like: A tensor on the device of the computation; one without numbers has no autocast.

    Example:
        >>> x = torch.ones(2, 2)
        >>> with torch.autocast("cpu", torch.bfloat16), without_autocast(x):
        ...     (x @ x).dtype
        torch.float32
    """
    return nullcontext() if like.is_meta else torch.autocast(like.device.type, enabled=False)
