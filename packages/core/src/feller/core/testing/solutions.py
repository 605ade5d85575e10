"""The contract of solutions: the Kolmogorov forward equation."""

from typing import Any

from feller.core.generators import Generator, Role
from feller.core.solutions import Solution, solution
from feller.core.testing.demands import demand
from feller.core.verify import Entry, Plan, Reference, verify

__all__ = ["check_solution"]


def check_solution(
    path: Any,
    kind: type[Generator] | Solution,
    points: Any,
    *,
    role: Role = "forward",
    plan: Plan | None = None,
) -> None:
    """Check that a path's solution of a kind solves the forward equation, given each point.

    Args:
        path: The path.
        kind: The kind of generator that the table has a solution for; or a function (path, x, t, z)
            -> generator that is in no table.
        points: Data points `(k, *event)` in float64, or tokens; on a bridge, a `Pair`.
        role: `backward` for the solution of reversed time, `stationary` for a corrector.
        plan: Times, functions and bounds of `feller.core.verify.verify`.

    Raises:
        AssertionError: When d/dt E f and E L f differ for a test function f.
        LookupError: When the table has no such solution.

    Example:
        >>> import torch
        >>> from feller.core.generators import Jump
        >>> from feller.core.paths import GaussianPath
        >>> check_solution(GaussianPath(), Jump, torch.tensor([[0.7]], dtype=torch.float64))
    """
    known = isinstance(kind, type)
    solve = solution(path, kind, backward=role == "backward") if known else kind
    for i in range(len(points)):
        point = points[i : i + 1]
        found = verify(Entry(path, solve, point), Reference(point), plan=plan, role=role)
        worst = found.worst
        demand(
            worst.passed,
            f"{getattr(solve, '__name__', kind)} does not solve {type(path).__name__}: at t = "
            f"{worst.time:g} E L f is {worst.action:.6g} where {worst.due:.6g} is due, for "
            f"{worst.function} (allowed {worst.allowed:.1g})",
        )
