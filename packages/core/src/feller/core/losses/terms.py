r"""Terms: the divergence of two generators at each element, summed over its coordinates.

Coordinates are linear in the generator, so that the mean of F^z over the posterior is the F of the
marginal generator (Generator Matching, arXiv 2410.20587, proposition 2). Jumps are compared by
their rates into each cell, in units of the path's own rate of events, which diverges at the data as
they do: what is left is of order one. With conditional rates q and predicted rates q' the
divergence is :math:`\sum_{y \ne x} D(q_y, q'_y)`. With the generalized KL divergence, and times the
rate of events, this is the integrand of the relative entropy of the two processes (appendix D.2).
On tokens, where a conditional jump leads to z alone, it is

:math:`[x \ne z] (-\log \lambda' - \log p'(z) - 1) + \lambda' (1 - p'(x))`

for a predicted intensity lambda' and destination p'. For posteriors it is the cross-entropy. Both
need the logits at one or two tokens only; other divergences see every cell.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from feller.core.checks import readable
from feller.core.divergences import BregmanDivergence
from feller.core.generators import Cells, Destination, Jump, Point
from feller.core.generators.cells import TokenCells
from feller.core.paths import ConditionalPath
from feller.core.solutions import event_rate
from feller.core.times import expand_time
from feller.core.typing import Time

__all__ = ["At", "cells_of", "compare_jumps", "compare_posteriors", "rates", "scaled_intensity"]


@dataclass(frozen=True)
class At:
    """Where jumps are compared.

    Attributes:
        path: The path.
        x: The states.
        t: The time.
    """

    path: ConditionalPath
    x: Tensor
    t: Time

    def rates(self, jump: Jump, cells: Cells) -> Tensor:
        """Return the rate of a jump into each cell, over the path's own rate of events."""
        return rates(jump, cells, self.path, self.x, self.t)


def scaled_intensity(jump: Jump, path: ConditionalPath, t: Time) -> Tensor:
    """Return the intensity of each element over the path's own rate of events."""
    return jump.intensity / event_rate(path, expand_time(t, jump.intensity))


def rates(jump: Jump, cells: Cells, path: ConditionalPath, x: Tensor, t: Time) -> Tensor:
    """Return the rate of a jump into each cell, over the path's own rate of events, in a last axis.

    Args:
        jump: The jump.
        cells: Bins or tokens.
        path: The path.
        x: The states; a jump of a token to itself is none.
        t: The time.
    """
    rate = scaled_intensity(jump, path, t)[..., None] * jump.destination.masses(cells)
    return rate.masked_fill(_is_here(x, rate), 0.0) if cells.are_tokens else rate


def cells_of(destination: Destination, path: ConditionalPath) -> Cells:
    """Return the cells on which a distribution is compared: its own, or the tokens of the path.

    Raises:
        LookupError: When there are none.
    """
    if destination.cells is not None:
        return destination.cells
    if path.space.is_discrete:
        return TokenCells(path.space.size)  # pyright: ignore[reportAttributeAccessIssue]
    raise LookupError(
        f"a {type(destination).__name__} has no bins to be compared on; a JumpHead has"
    )


def compare_jumps(divergence: BregmanDivergence, target: Jump, predicted: Jump, at: At) -> Tensor:
    """Return the divergence of jumps at each element.

    Args:
        divergence: The divergence.
        target: The conditional jump.
        predicted: The predicted jump, whose cells both are compared on.
        at: The path, the states and the time.

    Raises:
        LookupError: When the predicted jump has no cells.
        ValueError: When the divergence does not take every rate, or the jumps of the data land
            outside the bins.
    """
    if divergence.domain.high < torch.inf:
        raise ValueError(
            f"{type(divergence).__name__} compares numbers in {divergence.domain}, rates are "
            "in [0, inf): choose generalized_kl or squared_norm"
        )
    cells = cells_of(predicted.destination, at.path)
    _check_inside(target.destination, cells)
    if not divergence.takes_logs:
        theirs, ours = (at.rates(jump, cells) for jump in (target, predicted))
        return divergence(theirs, ours).sum(-1)
    return _relative_entropy(divergence, (target, predicted), cells, at)


def _relative_entropy(
    divergence: BregmanDivergence,
    pair: tuple[Jump, Jump],
    cells: Cells,
    at: At,
) -> Tensor:
    """Return the generalized KL divergence of rates, from logits."""
    (target, predicted), x = pair, at.x
    intensity = scaled_intensity(predicted, at.path, at.t)
    # A network's softplus may underflow, where its logarithm would not.
    log_intensity = intensity.clamp_min(torch.finfo(intensity.dtype).tiny).log()
    log_p = _log_masses(predicted.destination, cells)
    if not (cells.are_tokens and target.destination.is_certain):
        log_rates = log_intensity[..., None] + log_p
        if cells.are_tokens:
            log_rates = log_rates.masked_fill(_is_here(x, log_rates), -torch.inf)
        return divergence.from_log(at.rates(target, cells), log_rates).sum(-1)
    z = target.destination.y  # pyright: ignore[reportAttributeAccessIssue]
    rate = torch.where(x == z, 0.0, scaled_intensity(target, at.path, at.t))
    count = log_p.shape[-1]  # a mask, which comes after the tokens of the model, has no mass
    at_x = _at(log_p, x.clamp_max(count - 1), x < count, -torch.inf)
    at_z = _at(log_p, *cells.index_of(z))
    return divergence.from_log(rate, log_intensity + at_z, -torch.expm1(at_x) * intensity)


def compare_posteriors(divergence: BregmanDivergence, z: Tensor, destination: Any) -> Tensor:
    """Return the divergence from the distribution that is certain of `z`, at each element.

    Args:
        divergence: The divergence.
        z: The data.
        destination: The predicted posterior, on tokens, atoms or bins; by the generalized KL
            divergence, which is then minus the log density, any other with a density.

    Raises:
        LookupError: When the predicted posterior is not on a list of cells.
        ValueError: When `z` is none of them, where looking costs nothing (`feller.core.checks`);
            elsewhere the divergence is NaN.
    """
    if destination.cells is None and destination.is_density and divergence.takes_logs:
        return -destination.log_prob(z)
    if destination.cells is None:
        raise LookupError(
            f"a posterior is on tokens, atoms or bins, not a {type(destination).__name__}"
        )
    log_p = destination.log_masses()
    if divergence.takes_logs:
        return -_at(log_p, *destination.cells.index_of(z))
    digits = torch.finfo(log_p.dtype)
    p = log_p.exp().clamp(digits.tiny, 1 - digits.eps / 2)  # a certain mistake is no infinity
    return divergence(Point(z).masses(destination.cells), p).sum(-1)


def _log_masses(destination: Destination, cells: Cells) -> Tensor:
    """Return log-probabilities of cells; of a distribution's own from its logits."""
    own: Any = destination
    return destination.masses(cells).log() if destination.cells is None else own.log_masses()


def _is_here(x: Tensor, cells: Tensor) -> Tensor:
    """Return which token of the last axis of `cells` each element of `x` is at."""
    return x[..., None] == torch.arange(cells.shape[-1], device=cells.device)


def _check_inside(destination: Destination, cells: Cells) -> None:
    """Reject bins that do not hold the jumps of data, which land only between two numbers."""
    if not destination.is_bounded or cells.edges is None:
        return
    mass = destination.masses(cells)
    if readable(mass) and bool((mass.detach().sum(-1) < 0.99).any()):
        low, high = cells.range()
        raise ValueError(
            f"jumps of these data land outside the bins, {low:.6g} ... {high:.6g}: give the head "
            "the ends of the data"
        )


def _at(rows: Tensor, index: Tensor, valid: Tensor, otherwise: float = torch.nan) -> Tensor:
    """Return the entry of each row at an index, where that is valid."""
    return torch.where(valid, rows.gather(-1, index[..., None]).squeeze(-1), otherwise)
