"""Distribution of training times for images some of whose pixels are known.

A model whose pixels have times of their own sees which are data already, at t = 1: it learns the
generator of the others given these, which is exact for inpainting. A model with one time for all
never saw such states; `KeepKnown` only keeps known pixels on their way.
"""

from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from feller.core import random
from feller.core.config import tagged
from feller.core.times import LogitNormal, TimeDistribution
from feller.core.typing import Rng

__all__ = ["KnownPixels"]

_LEAST, _MOST = 0.25, 0.75  # of each side


@tagged("images/known_pixels")
@dataclass(frozen=True, kw_only=True)
class KnownPixels(TimeDistribution):
    """One time for all pixels but, in some of the samples, known ones, at t = 1.

    In a third of these samples each, the known pixels are those outside a box, those inside a box,
    or each pixel with a probability drawn for the sample. Boxes have sides of a quarter to three
    quarters of the image's.

    Attributes:
        base: The distribution of the time of the other pixels.
        fraction: Fraction of the samples that have known pixels.

    Raises:
        ValueError: When the fraction is not from 0 to 1.

    Example:
        >>> z = torch.zeros(2, 3, 8, 8)
        >>> KnownPixels(fraction=1.0).draw(torch.tensor([0.2, 0.7]), None, z).shape
        torch.Size([2, 1, 8, 8])
    """

    base: TimeDistribution = field(default_factory=LogitNormal)
    fraction: float = 0.7

    def __post_init__(self) -> None:
        """Check that the fraction is in [0, 1]."""
        if not 0 <= self.fraction <= 1:
            raise ValueError(f"fraction is from 0 to 1, not {self.fraction}")

    def quantile(self, u: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
        """Return the quantile of the base distribution."""
        return self.base.quantile(u)

    def draw(self, u: Float[Tensor, " b"], rng: Rng, z: Tensor) -> Float[Tensor, "b 1 h w"]:
        """Return the time of each pixel."""
        t = self.quantile(u)[:, None, None, None]
        job, density, *box = random.uniform((len(u), 6), rng, like=u).unbind(1)
        inside = _box(torch.stack(box, 1), z.shape[-2:])
        scattered = random.uniform((len(u), 1, *z.shape[-2:]), rng, like=u)
        third = (3 * job / max(self.fraction, 1e-9)).floor()[:, None, None, None]
        scattered = scattered < density[:, None, None, None]
        known = torch.where(third == 0, ~inside, torch.where(third == 1, inside, scattered))
        return torch.where(known & (third < 3), 1.0, t.expand(known.shape))


def _box(u: Float[Tensor, "b 4"], sides: torch.Size) -> Bool[Tensor, "b 1 h w"]:
    """Return the pixels in a box of each sample."""
    among = []
    for side, pair in zip(sides, u.view(-1, 2, 2).unbind(1), strict=True):
        size, place = pair.unbind(1)
        length = side * (_LEAST + (_MOST - _LEAST) * size)
        start = (side - length) * place
        middle = torch.arange(side, device=u.device) + 0.5
        among.append((middle > start[:, None]) & (middle < (start + length)[:, None]))
    rows, columns = among
    return (rows[:, :, None] & columns[:, None, :])[:, None]
