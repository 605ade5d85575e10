r"""Bits per dimension: log-likelihoods of pixels that papers compare.

Bytes are counts, not reals: a density on them can be infinite. Spread evenly over their cells
(uniform dequantisation) they have a density :math:`p(v)` whose logarithm, on average over the cell,
is at most the log-probability of the byte (Theis et al., arXiv 1511.01844, equation 3). States
are :math:`x = v / 127.5 - 1`, so :math:`p(v) = p(x) / 127.5`, and of each number

.. math:: -\log_2 P(\text{byte}) \le -\log_2 p(x) + \log_2 127.5.
"""

import math

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from feller.core import random
from feller.core.typing import Rng

__all__ = ["BYTES", "bits_per_dimension", "dequantize"]

BYTES = 127.5
"""Bytes 0 ... 255 on [-1, 1]: how many of them make a unit."""


def bits_per_dimension(
    nats: Float[Tensor, " b"], dimensions: int, *, scale: float = 1.0
) -> Float[Tensor, " b"]:
    """Convert log-likelihoods to bits per dimension; lower is better.

    Args:
        nats: Log-densities of states, or log-probabilities (with scale 1).
        dimensions: Number of dimensions of a state.
        scale: Units of the raw data per unit of the state: `BYTES` for log-densities of bytes on
            [-1, 1].

    Raises:
        ValueError: When there is no number, or the scale is not positive.

    Example:
        >>> uniform_on_the_range = torch.tensor([-math.log(256 / 127.5)])
        >>> bits_per_dimension(uniform_on_the_range, 1, scale=BYTES)
        tensor([8.])
    """
    if dimensions < 1 or scale <= 0:
        raise ValueError(f"dimensions >= 1 and scale > 0, not {dimensions} and {scale}")
    return -nats / (dimensions * math.log(2)) + math.log2(scale)


def dequantize(raw: UInt8[Tensor, "b *event"], rng: Rng) -> Float[Tensor, "b *event"]:
    """Spread bytes evenly over their cells, on the scale of [-1, 1]: what densities are of.

    A cell is as wide as the step to the next byte and has the byte in its middle.

    Example:
        >>> x = dequantize(torch.tensor([[0, 255]], dtype=torch.uint8), None)
        >>> bool(((127.5 * (x + 1) - torch.tensor([0.0, 255.0])).abs() <= 0.5 + 1e-4).all())
        True
    """
    noise = random.uniform(raw.shape, rng, like=torch.empty(0, device=raw.device))
    return (raw + noise - 0.5) / BYTES - 1
