"""Distributions of training times for frames: which factors, and which residues, are how far.

Positions, rotations and residues have a clock each. A model that has seen them apart does several
jobs, with clocks that stand at 1 for what is known and at 0 for what plays no part: generation of
backbones (residues at 0), co-design (all as one), folding (residues at 1), inverse folding (frames
at 1), and scaffolds of a motif (a stretch of residues at 1).

Source: Campbell et al., arXiv 2402.04997, section 5, for clocks of their own and the two foldings.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from feller.core import random
from feller.core.checks import check_weights
from feller.core.config import tagged
from feller.core.times import Beta, TimeDistribution, expand_time, factor_times
from feller.core.typing import Rng

__all__ = ["FrameTimes", "residue_clocks"]


@tagged("proteins/frame_times")
@dataclass(frozen=True, kw_only=True)
class FrameTimes(TimeDistribution):
    """Each sample trains one task, drawn with its probability; they sum to one.

    Attributes:
        base: The distribution of a time.
        together: Probability of all factors at one time.
        apart: Probability of each factor at its own time.
        structure: Probability of frames at one time, with unknown residues.
        fold: Probability of frames at one time, with known residues.
        inverse: Probability of residues at a time, with known frames.
        motif: Probability of all at one time but two known segments, each of up to a quarter of the
            chain, anywhere in it; each residue then has its own times.
    """

    base: TimeDistribution = field(default_factory=lambda: Beta(1.9, 1.0))
    together: float = 0.3
    apart: float = 0.3
    structure: float = 0.2
    fold: float = 0.1
    inverse: float = 0.1
    motif: float = 0.0

    def __post_init__(self) -> None:
        """Check that fractions sum to one."""
        check_weights("together, apart, structure, fold, inverse and motif", self._fractions)

    @property
    def _fractions(self) -> tuple[float, ...]:
        return (self.together, self.apart, self.structure, self.fold, self.inverse, self.motif)

    def quantile(self, u: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
        """Return the quantile of the base distribution."""
        return self.base.quantile(u)

    def draw(self, u: Tensor, rng: Rng, z: Mapping[str, Tensor]) -> dict[str, Any]:
        """Return a clock for each factor, `(b,)`, or `(b, n)` where motifs are trained."""
        t = self.quantile(u)
        own = self.quantile(random.uniform((len(u), 2), rng, like=u))
        ends = torch.tensor(self._fractions, device=u.device).cumsum(0)
        job = torch.searchsorted(ends[:-1].contiguous(), random.uniform((len(u),), rng, like=u))
        zero, one = torch.zeros_like(t), torch.ones_like(t)
        of_job = {
            "translation": (t, t, t, t, one, t),
            "rotation": (t, own[:, 0], t, t, one, t),
            "residue": (t, own[:, 1], zero, one, t, t),
        }
        row = torch.arange(len(u))
        clocks = {name: torch.stack(rows)[job, row] for name, rows in of_job.items()}
        if not self.motif:
            return clocks
        known = (job == len(ends) - 1)[:, None] & _motifs(z["residue"], u, rng)
        return {name: torch.where(known, 1.0, clock[:, None]) for name, clock in clocks.items()}


def _motifs(residue: Tensor, u: Tensor, rng: Rng) -> Bool[Tensor, "b n"]:
    """Return two stretches of each chain, which may overlap; one residue at least stays out."""
    b, n = residue.shape
    length, start = random.uniform((b, 2, 2, 1), rng, like=u).unbind(1)
    length = (1 + length * (n / 4)).floor()
    start = (start * (n - length + 1)).floor()
    position = torch.arange(n, device=u.device)
    known = ((position >= start) & (position < start + length)).any(1)
    return known & ~known.all(1, keepdim=True)


def residue_clocks(x: Mapping[str, Tensor], t: Any) -> dict[str, Float[Tensor, "b n"]]:
    """Return the time of each residue and factor, in float32.

    Args:
        x: States or data.
        t: One time, or a time for each factor: one number, one a sample, or one a residue.
    """
    like = x["translation"][..., 0].float()
    return {
        name: expand_time(clock, like).to(like).expand(like.shape)
        for name, clock in factor_times(t, x).items()
    }
