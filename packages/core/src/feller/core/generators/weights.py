"""Weights of generators in a sum: numbers, or tensors that broadcast against rates."""

from torch import Tensor

from feller.core.checks import readable

__all__ = ["check_sum", "fit_weight", "least"]


def fit_weight(weight: float | Tensor, rates: Tensor) -> float | Tensor:
    """Return a weight without the axes that elements have inside, one rate to an element.

    Raises:
        ValueError: When the weight does not broadcast against the rates.
    """
    if not isinstance(weight, Tensor):
        return weight
    while weight.ndim > rates.ndim and weight.shape[-1] == 1:
        weight = weight.squeeze(-1)
    fits = weight.ndim <= rates.ndim and all(
        a in (1, b) for a, b in zip(reversed(weight.shape), reversed(rates.shape), strict=False)
    )
    if not fits:
        raise ValueError(
            f"a weight of shape {tuple(weight.shape)} does not broadcast against rates of shape "
            f"{tuple(rates.shape)}; one a sample has shape ({len(rates)}, 1, ...)"
        )
    return weight


def least(weight: float | Tensor) -> float:
    """Return the smallest value of a weight; 0 where looking would stop a device or a graph."""
    if not isinstance(weight, Tensor):
        return weight
    return float(weight.min()) if readable(weight) else 0.0


def check_sum(total: float | Tensor, due: float = 1.0) -> None:
    """Reject weights whose sum is not `due` everywhere, where looking costs nothing.

    Raises:
        ValueError: When it is not.

    Example:
        >>> check_sum(0.25 + 0.75)
    """
    if isinstance(total, Tensor):
        if not readable(total):
            return
        total = total.double()
        total = float(total.flatten()[(total - due).abs().argmax()])
    if not abs(total - due) < 1e-5:
        raise ValueError(
            f"forward weights less backward weights sum to {due:g}, these to {total:.4g}"
        )
