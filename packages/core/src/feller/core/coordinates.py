"""Coordinates: the linear parametrization in which two generators of a kind are compared.

The objective compares F^z(x_t), the conditional generator in some coordinates, with F_theta(x_t),
the model's in the same. Coordinates are linear in the generator, so that the mean of F^z over the
posterior is the F of the marginal generator (Generator Matching, arXiv 2410.20587, proposition 2):

| kind | coordinates |
| --- | --- |
| flow | the velocity, or what it converts to on a Gaussian path |
| diffusion | drift and covariance |
| jump | the rate into each bin or token |
| posterior | the probability of each value of the data |

Rates are in units of the path's own rate of events, which diverges at the data as they do: what is
left is of order one.
"""

import torch
from torch import Tensor

from feller.core.checks import readable
from feller.core.generators import (
    Atoms,
    Binned,
    Categorical,
    Deferred,
    Destination,
    Diffusion,
    Flow,
    FromSource,
    Jump,
    Mixture,
    NormalTails,
    Point,
    RatioOfNormals,
)
from feller.core.parametrizations import Parametrization, convert
from feller.core.paths import ConditionalPath, GaussianPath
from feller.core.solutions import event_rate
from feller.core.times import expand_time
from feller.core.typing import Time

__all__ = [
    "Cells",
    "cell_of",
    "cells_of",
    "is_here",
    "log_masses",
    "masses",
    "moving_time",
    "rates",
    "scaled_intensity",
    "vectors",
]

Cells = Atoms | Binned | Categorical
"""Laws on a list of cells: values, bins or tokens."""


def vectors(
    generator: Flow | Diffusion, space: Parametrization, path: ConditionalPath, x: Tensor, t: Time
) -> Tensor:
    """Return the vector of each coordinate: a velocity, or drift and covariance in a last axis.

    Raises:
        ValueError: When a velocity is to be converted on a path that is not Gaussian.
    """
    if isinstance(generator, Diffusion):
        covariance = generator.covariance.expand_as(generator.drift)
        return torch.stack([generator.drift, covariance], -1)
    if space == "velocity":
        return generator.velocity
    if not isinstance(path, GaussianPath):
        raise ValueError(f"velocities of a {type(path).__name__} have no {space}")
    return convert(generator.velocity, ("velocity", space), path.schedule, x, t)


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

    Raises:
        ValueError: When data jump outside the bins, where looking costs nothing.
    """
    mass = masses(jump.destination, cells)
    if isinstance(jump.destination, RatioOfNormals) and isinstance(cells, Binned):
        _check_inside(mass, cells)
    rate = scaled_intensity(jump, path, t)[..., None] * mass
    if isinstance(cells, Categorical):
        rate = rate.masked_fill(is_here(x, rate), 0.0)
    return rate


def is_here(x: Tensor, cells: Tensor) -> Tensor:
    """Return which token of the last axis of `cells` each element of `x` is at."""
    return x[..., None] == torch.arange(cells.shape[-1], device=cells.device)


def cells_of(law: Destination, path: ConditionalPath) -> Cells:
    """Return the cells on which a law is compared: its own, or the tokens of the path.

    Raises:
        LookupError: When there are none.
    """
    if isinstance(law, Atoms | Binned | Categorical):
        return law
    if path.space.is_discrete:
        return Categorical(torch.zeros(path.space.size))  # pyright: ignore[reportAttributeAccessIssue]
    raise LookupError(f"a {type(law).__name__} has no bins to be compared on; a JumpHead has")


def masses(law: Destination, cells: Cells) -> Tensor:
    """Return the probability that a law gives to each cell, in a last axis.

    Raises:
        LookupError: When the law says nothing of such cells.
    """
    if isinstance(law, Mixture):
        total = law.weights.sum(-1, keepdim=True)
        outer = law.weights / torch.where(total > 0, total, 1.0)
        return (outer[..., None] * masses(law.laws, cells)).sum(-2)
    if isinstance(law, Deferred):
        return masses(law.build(law.law, *law.numbers), cells)
    if type(law) is type(cells) and isinstance(law, Atoms | Binned | Categorical):
        return law.logits.softmax(-1)
    if isinstance(law, Point):
        count = cells.logits.shape[-1]
        index, valid = cell_of(law.y, cells)
        inside = torch.nn.functional.one_hot(index, count).to(cells.logits.dtype)
        return torch.where(valid[..., None], inside, torch.nan)
    if isinstance(law, RatioOfNormals | NormalTails) and isinstance(cells, Binned):
        return law.mass(cells.edges)
    if isinstance(law, FromSource) and isinstance(cells, Categorical):
        tokens = torch.arange(cells.logits.shape[-1], device=law.like.device)
        mass = law.source.log_density(tokens).exp()
        return mass.expand(*law.like.shape, -1)
    raise LookupError(
        f"a {type(law).__name__} has no masses on the cells of a {type(cells).__name__}"
    )


def log_masses(law: Destination, cells: Cells) -> Tensor:
    """Return the log of `masses`; of logits without a softmax that could underflow."""
    if type(law) is type(cells) and isinstance(law, Atoms | Binned | Categorical):
        return law.logits.log_softmax(-1)
    return masses(law, cells).log()


def cell_of(y: Tensor, cells: Cells) -> tuple[Tensor, Tensor]:
    """Return the cell in which each point lies, and whether there is one.

    Args:
        y: Tokens or numbers.
        cells: The last bin has both its edges; of atoms, whose values rise, it is the nearest.

    Raises:
        ValueError: When a point is in no cell, where looking costs nothing (`feller.core.checks`);
            elsewhere its cell is some other one, and not valid.
    """
    count = cells.logits.shape[-1]
    if isinstance(cells, Categorical):
        index, low, high = y, 0, count - 1
    elif isinstance(cells, Binned):
        index = torch.bucketize(y.contiguous(), cells.edges[1:-1].contiguous(), right=True)
        low, high = cells.edges[0], cells.edges[-1]
    else:
        middles = (cells.values[1:] + cells.values[:-1]) / 2
        index = torch.bucketize(y.contiguous(), middles)
        reach = (cells.values[-1] - cells.values[0]) / max(count - 1, 1) / 2
        low, high = cells.values[0] - reach, cells.values[-1] + reach
    valid = (y >= low) & (y <= high)
    if readable(valid) and not bool(valid.all()):
        raise ValueError(
            f"the data hold {y[~valid][0].item():.6g}, outside the {count} cells of the model, "
            f"{float(low):.6g} ... {float(high):.6g}"
        )
    return index.clamp(0, count - 1), valid


def _check_inside(mass: Tensor, cells: Binned) -> None:
    """Refuse bins that do not hold the jumps of data, which land only between two numbers."""
    if readable(mass) and bool((mass.detach().sum(-1) < 0.99).any()):
        raise ValueError(
            f"jumps of these data land outside the bins, {float(cells.edges[0]):.6g} ... "
            f"{float(cells.edges[-1]):.6g}: give the head the ends of the data"
        )


def moving_time(t: Time) -> Time:
    """Return the time of elements that move; known ones, at t = 1, are put in the middle.

    Where elements have their own clocks, known ones stay where they are and cost nothing; but their
    rates at t = 1 are infinite, and an infinity that is not asked for still has a gradient of NaN.
    """
    if isinstance(t, Tensor) and t.ndim > 1:
        return torch.where(t < 1, t, 0.5)
    return t
