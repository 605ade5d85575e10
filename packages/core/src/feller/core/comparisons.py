r"""Comparisons: the divergence of two generators at each element, summed over its coordinates.

For jumps with conditional rates q and predicted rates q', both over the path's rate of events, it
is :math:`\sum_{y \ne x} D(q_y, q'_y)`. With the generalized KL divergence, and times the rate of
events, this is the integrand of the relative entropy of the two processes (Generator Matching,
arXiv 2410.20587, appendix D.2). On tokens, where a conditional jump leads to z alone, it is

:math:`[x \ne z] (-\log \lambda' - \log p'(z) - 1) + \lambda' (1 - p'(x))`

for a predicted intensity lambda' and destination p'. For posteriors it is the cross-entropy. Both
need the logits at one or two tokens only; other divergences see every cell.
"""

import torch
from torch import Tensor

from feller.core.coordinates import (
    cell_of,
    cells_of,
    is_here,
    log_masses,
    masses,
    rates,
    scaled_intensity,
    vectors,
)
from feller.core.divergences import BregmanDivergence, GeneralizedKL
from feller.core.generators import (
    Atoms,
    Binned,
    Categorical,
    Destination,
    Diffusion,
    Flow,
    Jump,
    Point,
)
from feller.core.parametrizations import Parametrization
from feller.core.paths import ConditionalPath
from feller.core.typing import Time

__all__ = ["compare_jumps", "compare_posteriors", "compare_vectors"]


def compare_vectors(
    divergence: BregmanDivergence,
    pair: tuple[Flow | Diffusion, Flow | Diffusion],
    space: Parametrization,
    path: ConditionalPath,
    at: tuple[Tensor, Time],
) -> Tensor:
    """Return the divergence of flows or diffusions at each coordinate.

    Args:
        divergence: The divergence.
        pair: The conditional and the predicted generator.
        space: The parametrization of flows.
        path: The path.
        at: The states and the time.

    Raises:
        ValueError: When the two have other shapes.
    """
    target, predicted = (vectors(generator, space, path, *at) for generator in pair)
    if predicted.shape != target.shape:
        raise ValueError(
            f"the model returns {tuple(predicted.shape)}, the target is {tuple(target.shape)}"
        )
    return divergence(target, predicted)


def compare_jumps(
    divergence: BregmanDivergence,
    pair: tuple[Jump, Jump],
    path: ConditionalPath,
    at: tuple[Tensor, Time],
) -> Tensor:
    """Return the divergence of jumps at each element.

    Args:
        divergence: The divergence.
        pair: The conditional and the predicted jump; the cells are those of the latter.
        path: The path.
        at: The states and the time.

    Raises:
        LookupError: When the predicted jump has no cells.
        ValueError: When the divergence does not take every rate.
    """
    if divergence.domain.high < torch.inf:
        raise ValueError(
            f"{type(divergence).__name__} compares numbers in {divergence.domain}, rates are "
            "in [0, inf): choose generalized_kl or squared_norm"
        )
    (target, predicted), x = pair, at[0]
    cells = cells_of(predicted.destination, path)
    if not isinstance(divergence, GeneralizedKL):
        theirs, ours = (rates(jump, cells, path, *at) for jump in pair)
        return divergence(theirs, ours).sum(-1)
    intensity = scaled_intensity(predicted, path, at[1])
    # A network's softplus may underflow, where its logarithm would not.
    log_intensity = intensity.clamp_min(torch.finfo(intensity.dtype).tiny).log()
    log_p = log_masses(predicted.destination, cells)
    if not (isinstance(cells, Categorical) and isinstance(target.destination, Point)):
        log_rates = log_intensity[..., None] + log_p
        if isinstance(cells, Categorical):
            log_rates = log_rates.masked_fill(is_here(x, log_rates), -torch.inf)
        return divergence.from_log(rates(target, cells, path, *at), log_rates).sum(-1)
    z = target.destination.y
    rate = torch.where(x == z, 0.0, scaled_intensity(target, path, at[1]))
    count = log_p.shape[-1]  # a mask, which comes after the tokens of the model, has no mass
    at_x = _at(log_p, x.clamp_max(count - 1), x < count, -torch.inf)
    at_z = _at(log_p, *cell_of(z, cells))
    return divergence.from_log(rate, log_intensity + at_z, -torch.expm1(at_x) * intensity)


def compare_posteriors(divergence: BregmanDivergence, z: Tensor, law: Destination) -> Tensor:
    """Return the divergence of the law that is certain of `z` and a predicted one, each element.

    Raises:
        LookupError: When the predicted law is not on a list of values.
        ValueError: When `z` is none of them, where looking costs nothing (`feller.core.checks`);
            elsewhere the divergence is NaN.
    """
    if not isinstance(law, Atoms | Binned | Categorical):
        raise LookupError(f"a posterior is on tokens, atoms or bins, not a {type(law).__name__}")
    log_p = log_masses(law, law)
    if isinstance(divergence, GeneralizedKL):
        index, valid = cell_of(z, law)
        return -_at(log_p, index, valid)
    digits = torch.finfo(log_p.dtype)
    p = log_p.exp().clamp(digits.tiny, 1 - digits.eps / 2)  # a certain mistake is no infinity
    return divergence(masses(Point(z), law), p).sum(-1)


def _at(rows: Tensor, index: Tensor, valid: Tensor, otherwise: float = torch.nan) -> Tensor:
    """Return the entry of each row at an index, where that is valid."""
    return torch.where(valid, rows.gather(-1, index[..., None]).squeeze(-1), otherwise)
