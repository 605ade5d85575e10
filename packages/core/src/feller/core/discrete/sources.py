"""Sources of tokens beyond the core's `Masked` and `UniformTokens`."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from feller.core import random
from feller.core.config import tagged
from feller.core.sources import Source
from feller.core.typing import Rng

__all__ = ["MaskedUniform", "UnigramTokens"]


@tagged("text/unigram_tokens")
@dataclass(frozen=True)
class UnigramTokens(Source):
    """Independent tokens with given frequencies.

    Attributes:
        frequencies: Those of tokens 0, 1, ...; they need not sum to one. All are positive, since a
            chain could never leave a token that the source cannot draw.

    Example:
        >>> UnigramTokens((3.0, 1.0)).log_density(torch.tensor([0])).exp()
        tensor([0.7500])
    """

    frequencies: tuple[float, ...]

    def __post_init__(self) -> None:
        """Check that frequencies are positive and finite."""
        if not self.frequencies or not all(0 < f < math.inf for f in self.frequencies):
            raise ValueError("frequencies are positive and finite, one for each token")

    def sample(self, shape: Sequence[int], rng: Rng, *, like: Tensor | None = None) -> Tensor:
        """Draw tokens by inverting the running sum, in float64."""
        device = like.device if like is not None else None
        running = torch.tensor(self.frequencies, dtype=torch.float64, device=device).cumsum(0)
        u = random.uniform(shape, rng, like=running)
        found = torch.searchsorted(running, u * running[-1], right=True)
        return found.clamp_max(len(self.frequencies) - 1)

    def log_density(self, x: Tensor) -> Tensor:
        """Return the log frequency, and minus infinity for a token the source does not draw."""
        k = len(self.frequencies)
        table = torch.tensor(self.frequencies, dtype=torch.float64, device=x.device)
        level = (table.log() - table.sum().log()).float()[x.clamp(0, k - 1)]
        return level.masked_fill((x < 0) | (x >= k), -torch.inf)


@tagged("text/masked_uniform", renamed={"share": "uniform_probability"})
@dataclass(frozen=True)
class MaskedUniform(Source):
    """The mask, or with a small probability a uniform token: masks to fill and errors to correct.

    Source: the idea of von Rütte et al., arXiv 2503.04482, with a mixture that is fixed in time.

    Attributes:
        mask: The id of the mask; tokens are 0 ... mask - 1.
        uniform_probability: The probability of a token.
    """

    mask: int
    uniform_probability: float = 0.1

    def __post_init__(self) -> None:
        """Reject a probability that leaves out one of the two."""
        if not 0 < self.uniform_probability < 1:
            raise ValueError(
                f"uniform_probability is in (0, 1), not {self.uniform_probability}: "
                "Masked or UniformTokens is it"
            )

    def sample(self, shape: Sequence[int], rng: Rng, *, like: Tensor | None = None) -> Tensor:
        """Draw masks and tokens."""
        number = torch.empty(0, device=like.device if like is not None else None)
        u = random.uniform(shape, rng, like=number)
        tokens = random.integers(self.mask, shape, rng, like=like)
        return torch.where(u < self.uniform_probability, tokens, self.mask)

    def log_density(self, x: Tensor) -> Tensor:
        """Return log(p / mask) of a token and log(1 - p) of the mask, p the first probability."""
        level = torch.full(x.shape, math.log(self.uniform_probability / self.mask), device=x.device)
        level = level.masked_fill(x == self.mask, math.log1p(-self.uniform_probability))
        return level.masked_fill((x < 0) | (x > self.mask), -torch.inf)
