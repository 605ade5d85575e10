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
"""

import torch
from torch import Tensor

from feller.core.generators import (
    Atoms,
    Binned,
    Categorical,
    Destination,
    Diffusion,
    Flow,
    FromPosterior,
    Jump,
    Mixture,
    Point,
)
from feller.core.generators.destinations import RatioOfNormals
from feller.core.parametrizations import Parametrization, convert
from feller.core.paths import ConditionalPath
from feller.core.solutions import event_rate
from feller.core.times import expand_time
from feller.core.typing import Time

__all__ = ["masses", "posterior_of", "rates", "vectors"]


def vectors(
    generator: Flow | Diffusion, space: Parametrization, path: ConditionalPath, x: Tensor, t: Time
) -> Tensor:
    """Return the vector of each coordinate: a velocity, or drift and covariance in a last axis."""
    if isinstance(generator, Flow):
        if space == "velocity":
            return generator.velocity
        return convert(generator.velocity, ("velocity", space), path.schedule, x, t)
    covariance = generator.covariance.expand_as(generator.drift)
    return torch.stack([generator.drift, covariance], -1)


def rates(jump: Jump, cells: Destination, path: ConditionalPath, x: Tensor, t: Time) -> Tensor:
    """Return the rate of a jump into each cell, over the path's own rate of events, in a last axis.

    Args:
        jump: The jump.
        cells: Bins or tokens: a `Binned` or `Categorical` destination.
        path: The path, whose rate of events diverges at the data as the jump's does.
        x: The states; a jump of a token to itself is none.
        t: The time.
    """
    scaled = jump.intensity / event_rate(path, expand_time(t, jump.intensity))
    rate = scaled[..., None] * masses(jump.destination, cells)
    if isinstance(cells, Categorical):
        rate = rate.scatter(-1, x[..., None].expand(*rate.shape[:-1], 1), 0.0)
    return rate


def masses(law: Destination, cells: Destination) -> Tensor:
    """Return the probability that a law gives to each bin or token, in a last axis.

    Raises:
        LookupError: When the law says nothing of such cells.
    """
    if isinstance(law, Mixture):
        outer = law.weights / law.weights.sum(-1, keepdim=True)
        return (outer[..., None] * masses(law.laws, cells)).sum(-2)
    if type(law) is type(cells) and isinstance(law, Binned | Categorical | Atoms):
        return law.logits.softmax(-1)
    if isinstance(law, Point) and isinstance(cells, Binned | Categorical | Atoms):
        return _one_hot(law.y, cells)
    if isinstance(law, RatioOfNormals) and isinstance(cells, Binned):
        return law.mass(cells.edges)
    raise LookupError(
        f"a {type(law).__name__} has no masses on the cells of a {type(cells).__name__}"
    )


def posterior_of(z: Tensor, generator: FromPosterior) -> tuple[Tensor, Tensor]:
    """Return the law that is certain of `z` and the predicted one, on the values of the latter."""
    values = generator.posterior
    return masses(Point(z), values), masses(values, values)


def _one_hot(y: Tensor, cells: Binned | Categorical | Atoms) -> Tensor:
    count = cells.logits.shape[-1]
    if isinstance(cells, Binned):
        index = torch.bucketize(y.contiguous(), cells.edges, right=True) - 1
    elif isinstance(cells, Atoms):
        middles = (cells.values[1:] + cells.values[:-1]) / 2
        index = torch.bucketize(y.contiguous(), middles)
    else:
        index = y
    if index.numel() and not bool(((index >= 0) & (index < count)).all()):
        raise ValueError(f"a value is outside the {count} cells it should be in")
    return torch.nn.functional.one_hot(index, count).to(cells.logits.dtype)
