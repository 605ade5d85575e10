"""What is wrong with a generator before it is looked at: weights that make no superposition."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from feller.core.generators import FromPosterior, Product, Superposition
from feller.core.generators.combine import Role

__all__ = ["DUE", "weight_fault"]

DUE: Mapping[Role, float] = MappingProxyType({"forward": 1.0, "backward": -1.0, "stationary": 0.0})
"""What E L f should be in each role, in units of d/dt E f."""


def weight_fault(generator: Any, role: Role) -> str:
    """Return what is wrong with the weights of a generator, or of a factor of it; else nothing.

    Example:
        >>> from feller.core.generators import Flow
        >>> flow = Flow(torch.ones(1, 1))
        >>> weight_fault(1.0 * flow + 1.0 * flow, "forward")
        'forward weights less backward weights sum to 1, these to 2'
        >>> weight_fault(0.5 * flow + 0.5 * flow, "forward")
        ''
    """
    if isinstance(generator, FromPosterior):
        return weight_fault(generator.generator, role)
    if isinstance(generator, Product):
        faults = {name: weight_fault(g, role) for name, g in generator.factors.items()}
        return "; ".join(f"{name}: {fault}" for name, fault in faults.items() if fault)
    return _fault(generator, DUE[role]) if isinstance(generator, Superposition) else ""


def _fault(superposition: Superposition, due: float) -> str:
    weights = [_number(part.weight) for part in superposition.parts]
    if any(bool((weight < 0).any()) for weight in weights):
        return "the weight of a part of a superposition is at least 0"
    pairs = zip(superposition.parts, weights, strict=True)
    total = sum((DUE[part.role] * weight for part, weight in pairs), start=torch.zeros(()).double())
    if bool(((total - due).abs() < 1e-5).all()):
        return ""
    mean = float(total.mean())
    return f"forward weights less backward weights sum to {due:g}, these to {mean:.4g}"


def _number(weight: float | Tensor) -> Tensor:
    return torch.as_tensor(weight, dtype=torch.float64, device="cpu")
