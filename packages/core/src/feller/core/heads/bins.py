"""Heads that read logits: of the bins a jump lands in, or of the values that data have."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from feller.core.checks import check_range, check_weights
from feller.core.config import tagged
from feller.core.generators import (
    Atoms,
    Binned,
    Categorical,
    Destination,
    Diffusion,
    Flow,
    FromPosterior,
    Generator,
    Jump,
    MovedBinned,
    Superposition,
)
from feller.core.heads.base import Head, Kinds, check_output
from feller.core.paths import ConditionalPath
from feller.core.solutions import (
    cumulative_hazard,
    event_rate,
    from_posterior,
    jump_frame,
    jump_support,
    solution,
)
from feller.core.solutions.averages import refuse_vectors
from feller.core.solutions.rates import check_values
from feller.core.times import expand_time, moving_time
from feller.core.typing import Time

__all__ = ["JumpHead", "PosteriorHead"]


@tagged("jump_head")
@dataclass(frozen=True)
class JumpHead(Head):
    """The output `(b, *event, bins + 1)` is the logits of bins and a rate, for each coordinate.

    The intensity is softplus of the last number times the path's own rate of events, which grows
    like 1 / (1 - t), so that the number stays of order one. The bins span all values that
    conditional jumps reach for data in `data`: on the CondOT path 1.618 times its range. Source:
    Generator Matching, arXiv 2410.20587, appendix F.

    Attributes:
        bins: Number of bins.
        data: The range of the data in each coordinate.
        follow: Whether the bins follow the state: they lie around it, as wide as the noise, so that
            jumps near the data are as fine as the path's own (`jump_frame`). Fixed bins leave noise
            of their own width.
    """

    bins: int = 64
    data: tuple[float, float] = (-1.0, 1.0)
    follow: bool = False
    kinds: ClassVar[Kinds] = frozenset({Jump})

    def __post_init__(self) -> None:
        """Check the number of bins."""
        if self.bins < 1:
            raise ValueError(f"bins is at least 1, not {self.bins}")
        check_range(self.data)

    @property
    def channels(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The number of bins, and one for the rate."""
        return self.bins + 1

    def __call__(self, path: ConditionalPath, output: Tensor, x: Tensor, t: Time) -> Jump:
        """Return the jump to the bins.

        Raises:
            LookupError: Where elements are vectors.
            ValueError: On tokens, when the output has other channels or bins leave the space.
        """
        refuse_vectors(path)
        if path.space.is_discrete:
            raise ValueError("jump_head reads bins of numbers; for tokens there is posterior_head")
        check_output(output, (*x.shape, self.channels))
        rate = torch.nn.functional.softplus(output[..., -1])
        time = expand_time(moving_time(t), rate)
        ends = (-1.0, 1.0) if self.follow else _support(path, self.data)
        edges = torch.linspace(*ends, self.bins + 1, dtype=output.dtype, device=output.device)
        binned = Binned(output[..., :-1], edges)
        there: Destination = binned
        if self.follow:
            there = MovedBinned(binned, *jump_frame(path, self.data, x, time))
        return Jump(event_rate(path, time) * rate, there, cumulative_hazard(path, time))


@tagged("posterior_head")
@dataclass(frozen=True)
class PosteriorHead(Head):
    """The output `(b, *event, levels)` is the logits of the data value of each element.

    The posterior gives every generator that the path has a solution for: a flow, a diffusion, a
    jump, and any superposition of them. On tokens the values are the tokens and the generator is
    the jump; on continuous data the values are equidistant on `data`.

    Attributes:
        levels: The number of values.
        flow: The weight of the flow.
        diffusion: The weight of the diffusion.
        jump: The weight of the jump.
        data: The smallest and the largest value, for continuous data.
    """

    levels: int
    flow: float = 0.0
    diffusion: float = 0.0
    jump: float = 1.0
    data: tuple[float, float] = (-1.0, 1.0)

    def __post_init__(self) -> None:
        """Check the weights and the range of the data."""
        check_weights("flow, diffusion and jump", (self.flow, self.diffusion, self.jump))
        if self.levels < 2:
            raise ValueError(f"levels is at least 2, not {self.levels}")
        check_range(self.data)

    @property
    def channels(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The number of values."""
        return self.levels

    @property
    def kinds(self) -> Kinds:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The kinds that have a weight."""
        return frozenset(self._weights)

    def __call__(self, path: ConditionalPath, output: Tensor, x: Tensor, t: Time) -> FromPosterior:
        """Return the superposition that the posterior stands for.

        Raises:
            LookupError: When the path has no solution of a kind that has a weight, and where
                elements are vectors.
            ValueError: When the output has other channels, or values are not in the space.
        """
        check_values(path, self.levels, self.data)
        check_output(output, (*x.shape, self.levels))
        for kind in self._weights:  # now, not when it is simulated after days of training
            solution(path, kind)

        def build(posterior: Destination) -> Superposition:
            parts = (w * from_posterior(path, k, x, t, posterior) for k, w in self._weights.items())
            return sum(parts, start=Superposition(()))

        return FromPosterior(self.estimate(path, output, x, t), build)

    def estimate(self, path: ConditionalPath, output: Tensor, x: Tensor, t: Time) -> Destination:
        """Return the posterior."""
        if path.space.is_discrete:
            return Categorical(output)
        values = torch.linspace(*self.data, self.levels, dtype=output.dtype, device=output.device)
        return Atoms(output, values)

    @property
    def _weights(self) -> dict[type[Generator], float]:
        named = {Flow: self.flow, Diffusion: self.diffusion, Jump: self.jump}
        return {kind: weight for kind, weight in named.items() if weight}


def _support(path: ConditionalPath, data: tuple[float, float]) -> tuple[float, float]:
    """Return where jumps land: numbers that a graph holds, not computes."""
    return jump_support(path, data)


# What torch.compiler.assume_constant_result sets, without its import of the whole compiler.
_support._dynamo_marked_constant = True  # pyright: ignore[reportFunctionMemberAccess]
