"""The contract of spaces: what belongs to them, and geodesics that are geodesics."""

from typing import Any

import torch
from torch import Tensor

from feller.core.spaces import StateSpace
from feller.core.testing.demands import demand, demand_close

__all__ = ["check_space"]


def check_space(space: StateSpace, x: Tensor) -> None:
    """Check a space.

    Its points pass its own `check`, those of another dtype do not. On a manifold `log` inverts
    `exp`, a geodesic leaves with its velocity and keeps its speed, and projections project.

    Args:
        space: The space.
        x: Points of it, batch first, no two rows alike or opposite; on a manifold in float64.

    Raises:
        AssertionError: When one of these does not hold.

    Example:
        >>> from feller.core.spaces import Euclidean
        >>> check_space(Euclidean(), torch.randn(5, 3, dtype=torch.float64))
    """
    name = type(space).__name__
    demand(
        0 <= space.element_dim <= space.event_dim < x.ndim,
        f"{name} has {space.element_dim} axes an element, {space.event_dim} an event, for states "
        f"of {x.ndim} axes",
    )
    demand(_accepts(space, x), f"{name} refuses points of its own")
    discrete = not x.is_floating_point()
    demand(space.is_discrete == discrete, f"{name} is_discrete, but its points are {x.dtype}")
    other = x.double() if discrete else x.round().to(torch.int64)
    demand(not _accepts(space, other), f"{name} takes {other.dtype} for {x.dtype} without a word")
    if space.is_manifold:
        _check_manifold(space, x, name)


def _accepts(space: Any, x: Tensor) -> bool:
    try:
        space.check(x)
    except ValueError:
        return False
    return True


def _check_manifold(space: Any, x: Tensor, name: str) -> None:
    y = x.roll(1, 0)
    rng = torch.Generator().manual_seed(0)
    noise = torch.randn(x.shape, generator=rng, dtype=x.dtype)
    v = 0.3 * space.project_tangent(x, noise)
    demand_close(space.exp(x, 0 * v), x, f"exp of {name} at no velocity")
    demand(_accepts(space, space.exp(x, v)), f"exp of {name} leaves the space")
    demand_close(space.log(x, space.exp(x, v)), v, f"log after exp on {name}")
    demand_close(space.exp(x, space.log(x, y)), y, f"exp after log on {name}")
    half = space.exp(x, space.log(x, y) / 2)
    demand_close(space.log(x, half), space.log(x, y) / 2, f"the first half of a geodesic of {name}")
    demand_close(space.exp(half, space.log(half, y)), y, f"the end of a geodesic of {name}")
    zero = torch.zeros((), dtype=x.dtype)
    leaving = torch.func.jvp(lambda h: space.exp(x, h * v), (zero,), (torch.ones_like(zero),))[1]
    demand_close(leaving, v, f"the velocity with which a geodesic of {name} leaves")
    near = space.project(x + 0.1 * noise)
    demand(_accepts(space, near), f"project of {name} leaves the space")
    demand_close(space.project(near), near, f"project of {name}, twice,")
    demand_close(space.project_tangent(x, v), v, f"project_tangent of {name}, twice,")
