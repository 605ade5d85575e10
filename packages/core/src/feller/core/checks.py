"""When to look at numbers: where it costs nothing.

A check that reads a tensor on an accelerator waits for all that is queued there, at each step. So
numbers are looked at on the CPU, in eager mode; elsewhere what is wrong shows as NaN, which
training refuses.
"""

import torch
from torch import Tensor

__all__ = ["readable"]


def readable(numbers: Tensor) -> bool:
    """Say whether looking at numbers costs nothing: there are some, and they are at hand.

    Example:
        >>> readable(torch.zeros(2)), readable(torch.zeros(2, device="meta"))
        (True, False)
    """
    if numbers.device.type != "cpu" or torch.compiler.is_compiling() or not numbers.numel():
        return False
    try:
        numbers.detach().reshape(-1)[0].item()
    except RuntimeError:  # a fake or a batched tensor has no numbers
        return False
    return True
