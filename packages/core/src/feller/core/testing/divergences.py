"""The contract of Bregman divergences: proposition 2 of Generator Matching."""

import torch
from torch import Tensor

from feller.core.divergences import BregmanDivergence, bregman
from feller.core.testing.demands import demand, demand_close

__all__ = ["check_divergence"]


def check_divergence(divergence: BregmanDivergence) -> None:
    """Check a divergence.

    It is that of its potential, 0 at the target and positive elsewhere, and the conditional loss
    has the gradient of the marginal one, by enumeration of a finite problem with arbitrary targets,
    predictions and joint distribution.

    Raises:
        AssertionError: When one of these does not hold.

    Example:
        >>> from feller.core.divergences import GeneralizedKL
        >>> check_divergence(GeneralizedKL())
    """
    name, rng = type(divergence).__name__, torch.Generator().manual_seed(0)
    target, predicted = _numbers(divergence, rng, 200), _numbers(divergence, rng, 200)
    found = divergence(target, predicted)
    expected = bregman(divergence.potential, target, predicted)
    scale = float(1 + expected.abs().max())
    demand_close(found, expected, f"{name}, beside that of its potential,", within=1e-9 * scale)
    itself = divergence(target, target)
    demand_close(itself, 0 * target, f"{name} of a number and itself", within=1e-12)
    least = float(found.min())
    demand(least > 0, f"{name} of two numbers that differ is {least:.3g}, not positive")
    conditional, marginal = gradients(divergence, rng)
    scale = float(1 + marginal.abs().max())
    demand_close(
        conditional,
        marginal,
        f"the gradient of the conditional loss of {name}, beside that of the marginal one,",
        within=1e-9 * scale,
    )


def gradients(
    divergence: BregmanDivergence, rng: torch.Generator, *, data: int = 4, states: int = 5
) -> tuple[Tensor, Tensor]:
    """Return the gradients of the conditional and the marginal loss by the predictions."""
    joint = torch.rand(data, states, generator=rng, dtype=torch.float64) + 0.1
    joint = joint / joint.sum()
    targets = _numbers(divergence, rng, data, states)
    predicted = _numbers(divergence, rng, states).requires_grad_()
    conditional = (joint * divergence(targets, predicted.expand(data, states))).sum()
    means = (joint * targets).sum(0) / joint.sum(0)
    marginal = (joint.sum(0) * divergence(means, predicted)).sum()
    first, second = (torch.autograd.grad(loss, predicted)[0] for loss in (conditional, marginal))
    return first, second


def _numbers(divergence: BregmanDivergence, rng: torch.Generator, *shape: int) -> Tensor:
    """Return numbers inside the domain, away from its ends."""
    low, high = divergence.domain.low, divergence.domain.high
    low = low if low > -torch.inf else (min(-2.0, high - 4) if high < torch.inf else -2.0)
    high = high if high < torch.inf else low + 4
    fraction = 0.05 + 0.9 * torch.rand(shape, generator=rng, dtype=torch.float64)
    return low + (high - low) * fraction
