"""Shapes: a generator is one of the very states it was asked at.

What broadcasts, or happens to fit, would move states by the numbers of other states.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from feller.core.generators.base import Superposition
from feller.core.generators.by_kind import ByKind
from feller.core.generators.diffusion import Diffusion
from feller.core.generators.flow import Flow
from feller.core.generators.jump import Jump
from feller.core.generators.langevin import LangevinDiffusion
from feller.core.generators.product import Product

__all__ = ["check_shapes"]


def check_shapes(generator: Any, space: Any, x: Any) -> None:
    """Reject a generator of states of another shape; of a kind not known here, none.

    Args:
        generator: The generator.
        space: The space of the states.
        x: The states `(b, *event)`; of a product, a dict of them.

    Raises:
        ValueError: When a velocity, a drift or an intensity is not that of each element, or a
            covariance or a weight does not broadcast to the states.

    Example:
        >>> import torch
        >>> from feller.core.spaces import Euclidean
        >>> check_shapes(Flow(torch.zeros(2, 1)), Euclidean(1), torch.zeros(2, 1))
    """
    _check_kind(generator, space, x)


_CHECKS = ByKind()


def _check_kind(generator: Any, space: Any, x: Any) -> None:
    """Look at what is known; a kind from outside looks at its own shapes."""
    check = _CHECKS.find(type(generator))
    if check is not None:
        check(generator, space, x)


@_CHECKS.register(Flow)
def _check_flow(flow: Flow, space: Any, x: Any) -> None:
    _check("a velocity", flow.velocity, x)


@_CHECKS.register(Diffusion)
def _check_diffusion(diffusion: Diffusion, space: Any, x: Any) -> None:
    _check("a drift", diffusion.drift, x)
    _check_broadcast("a covariance", diffusion.covariance, x)


@_CHECKS.register(LangevinDiffusion)
def _check_langevin(motion: LangevinDiffusion, space: Any, x: Any) -> None:
    _check("a score", motion.direction, x)


@_CHECKS.register(Jump)
def _check_jump(jump: Jump, space: Any, x: Any) -> None:
    elements = x.shape[: x.ndim - getattr(space, "element_dim", 0)]
    if jump.intensity.shape != elements:
        _refuse("an intensity", jump.intensity, tuple(elements))


@_CHECKS.register(Product)
def _check_product(product: Product, space: Any, x: Any) -> None:
    if isinstance(x, Mapping) and x.keys() == product.factors.keys():
        for name, factor in product.factors.items():
            _check_kind(factor, space.factors[name], x[name])


@_CHECKS.register(Superposition)
def _check_sum(generator: Superposition, space: Any, x: Any) -> None:
    for part in generator.parts:
        _check_kind(part.generator, space, x)
        if "" in part.generator.by_factor():  # of a product, each factor has its own shape
            _check_broadcast("a weight", torch.as_tensor(part.weight), x)


def _check(what: str, value: Tensor, x: Tensor) -> None:
    if value.shape != x.shape:
        _refuse(what, value, tuple(x.shape))


def _check_broadcast(what: str, value: Tensor, x: Tensor) -> None:
    axes = zip(reversed(value.shape), reversed(x.shape), strict=False)
    if value.ndim > x.ndim or any(a not in (1, b) for a, b in axes):
        _refuse(what, value, tuple(x.shape))


def _refuse(what: str, value: Tensor, due: tuple[int, ...]) -> None:
    raise ValueError(f"{what} of shape {tuple(value.shape)} is not one of states {due}")
