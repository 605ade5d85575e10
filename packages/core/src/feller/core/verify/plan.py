"""What a verification looks at: times, test functions, how many states, and how closely."""

import math
from dataclasses import dataclass

import torch

from feller.core import random
from feller.core.verify.distributions import Method, Sums
from feller.core.verify.functions import Statistics

__all__ = ["Plan", "fresh_seed"]

ENDS = (0.02, 0.98)
"""Random times lie between."""


@dataclass(frozen=True)
class Plan:
    """What is checked, and how closely.

    Attributes:
        times: The times, each inside (0, 1); if None, `moments` of them drawn by the seed.
        moments: Number of random times: one in each of that many equal parts of (0.02, 0.98).
        functions: The test functions; if None those of the sums, or a `bank` for the space.
        directions: Number of random directions in a bank, chosen by the seed.
        sums: How the distribution is summed exactly where the core cannot; where it can, if None.
        samples: States at each time, if the distribution is not summed exactly.
        batch: Number of states evaluated at once.
        method: How d/dt E f is estimated from samples; chosen by the path if None.
        errors: Number of standard errors that a residual may differ from 0 ...
        tolerance: ... in addition to this tolerance, for rounding and quadrature.
        seed: Random seed of times, directions and samples.
    """

    times: tuple[float, ...] | None = None
    moments: int = 3
    functions: Statistics | None = None
    directions: int = 2
    sums: Sums | None = None
    samples: int = 32768
    batch: int = 4096
    method: Method | None = None
    errors: float = 5.0
    tolerance: float = 1e-5
    seed: int = 0

    def __post_init__(self) -> None:
        """Reject times outside, and samples too few for a standard error."""
        for name in ("moments", "directions"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is at least 1, not {getattr(self, name)}")
        if not self.chosen_times or not all(1e-4 <= t <= 1 - 1e-4 for t in self.chosen_times):
            raise ValueError(f"times lie between 0.0001 and 0.9999, not {self.times}")
        if self.samples < 2 or self.batch < 1:
            raise ValueError(f"at least 2 samples are drawn, not {self.samples}")
        for name in ("errors", "tolerance"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} is a finite number >= 0, not {getattr(self, name)}")

    @property
    def chosen_times(self) -> tuple[float, ...]:
        """The times: those given, or those drawn."""
        if self.times is not None:
            return self.times
        rng = torch.Generator().manual_seed(random.seed_of(self.seed, "times"))
        u = torch.rand(self.moments, generator=rng, dtype=torch.float64)
        low, high = ENDS
        u = (torch.arange(self.moments) + u) / self.moments
        return tuple(round(t, 6) for t in (low + (high - low) * u).tolist())


def fresh_seed() -> int:
    """Return a seed that no other run has.

    Example:
        >>> fresh_seed() == fresh_seed()
        False
    """
    import secrets

    return secrets.randbelow(2**31)
