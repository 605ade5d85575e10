"""Solvers by name, for command lines and configurations."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from feller.core.solvers.adaptive import Dopri5
from feller.core.solvers.base import Solver
from feller.core.solvers.euler import Euler
from feller.core.solvers.runge_kutta import HEUN, MIDPOINT, RK4, RungeKutta

__all__ = ["SOLVERS", "named_solver"]

SOLVERS: Mapping[str, Callable[[], Solver]] = MappingProxyType(
    {
        "euler": Euler,
        "midpoint": lambda: RungeKutta(MIDPOINT),
        "heun": lambda: RungeKutta(HEUN),
        "rk4": lambda: RungeKutta(RK4),
        "dopri5": Dopri5,
    }
)


def named_solver(name: str) -> Solver:
    """Return the solver of that name.

    Raises:
        ValueError: When there is none.
    """
    if name not in SOLVERS:
        raise ValueError(f"unknown solver {name!r}; there are {', '.join(SOLVERS)}")
    return SOLVERS[name]()
