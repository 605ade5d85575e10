"""What is wrong with a generator before it is looked at: weights that make no superposition."""

import torch
from torch import Tensor

from feller.core.generators import Generator, Part, Role
from feller.core.generators.base import is_sum
from feller.core.generators.parts import SIGN

__all__ = ["weight_fault"]


def weight_fault(generator: Generator, role: Role) -> str:
    """Return what is wrong with the weights of a generator, or of a factor of it; else nothing.

    Example:
        >>> from feller.core.generators import Flow
        >>> flow = Flow(torch.ones(1, 1))
        >>> weight_fault(1.0 * flow + 1.0 * flow, "forward")
        'forward weights less backward weights sum to 1, these to 2'
        >>> weight_fault(0.5 * flow + 0.5 * flow, "forward")
        ''
    """
    if is_sum(generator):
        return _fault(generator.leaves(), SIGN[role])
    factors = {n: g for n, g in generator.by_factor().items() if g is not generator}
    faults = {name: weight_fault(g, role) for name, g in factors.items()}
    return "; ".join(f"{name}: {fault}" for name, fault in faults.items() if fault)


def _fault(parts: tuple[Part, ...], due: float) -> str:
    weights = [_number(part.weight) for part in parts]
    if any(bool((weight < 0).any()) for weight in weights):
        return "the weight of a part of a superposition is at least 0"
    pairs = zip(parts, weights, strict=True)
    total = sum((SIGN[p.role] * weight for p, weight in pairs), start=torch.zeros(()).double())
    if bool(((total - due).abs() < 1e-5).all()):
        return ""
    mean = float(total.mean())
    return f"forward weights less backward weights sum to {due:g}, these to {mean:.4g}"


def _number(weight: float | Tensor) -> Tensor:
    return torch.as_tensor(weight, dtype=torch.float64, device="cpu")
