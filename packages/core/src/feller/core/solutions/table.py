"""The table of solutions: for a path and a kind of generator, the closed form that solves the KFE.

A conditional generator L_t^z **solves** a path when d/dt E[f(x_t)] = E[L_t^z f(x_t)] for every test
function f, with x_t ~ p_t(. | z): the Kolmogorov forward equation. Each entry is a short function
that cites its formula.

Look-up is by exact type, then by the bases of the path's class, then by those of the kind; no entry
is an error that lists what exists.
"""

from collections.abc import Callable
from typing import TypeVar

from feller.core.generators import Generator
from feller.core.paths import ConditionalPath

__all__ = ["Solution", "solution", "solved", "solves"]


Solution = Callable[..., Generator]
"""A function (path, x, t, z) -> L_t^z at `x`; `x` and `z` broadcast."""

_SOLUTIONS: dict[tuple[type, type], Solution] = {}


Entry = TypeVar("Entry", bound=Solution)


def solves(path: type, kind: type[Generator]) -> Callable[[Entry], Entry]:
    """Enter a function into the table.

    Raises:
        ValueError: When the pair has an entry.
    """

    def register(function: Entry) -> Entry:
        if (path, kind) in _SOLUTIONS:
            raise ValueError(f"{path.__name__} x {kind.__name__} has a solution already")
        _SOLUTIONS[path, kind] = function
        return function

    return register


def solution(path: ConditionalPath, kind: type[Generator]) -> Solution:
    """Look up the solution of a path for a kind of generator.

    Raises:
        LookupError: When there is none.

    Example:
        >>> from feller.core.generators import Flow
        >>> from feller.core.paths import GaussianPath
        >>> solution(GaussianPath(), Flow).__name__
        'gaussian_flow'
    """
    for p in type(path).__mro__:
        for k in kind.__mro__:
            if (p, k) in _SOLUTIONS:
                return _SOLUTIONS[p, k]
    known = ", ".join(f"{p.__name__} x {k.__name__}" for p, k in _SOLUTIONS)
    raise LookupError(f"no solution of {type(path).__name__} x {kind.__name__}; there are {known}")


def solved() -> list[tuple[type, type[Generator]]]:
    """List the pairs that have a solution."""
    return list(_SOLUTIONS)
