"""The table of solutions: for a path and a kind of generator, the closed form that solves the KFE.

A conditional generator L_t^z **solves** a path when d/dt E[f(x_t)] = E[L_t^z f(x_t)] for every test
function f, with x_t ~ p_t(. | z): the Kolmogorov forward equation. A **backward** solution solves
it with the sign of time reversed. Each entry is a short function that cites its formula.

What a path has no solution of a kind for, though one might look for it, is refused with the reason.

Look-up is by exact type, then by the bases of the path's class, then by those of the kind; no entry
is an error that lists what exists.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

from torch import Tensor

from feller.core.generators import Destination, Diffusion, Generator, Jump
from feller.core.paths import ConditionalPath, GeodesicPath
from feller.core.solutions.averages import average_over
from feller.core.typing import Time

__all__ = [
    "Solution",
    "from_posterior",
    "refuse",
    "solution",
    "solved",
    "solves",
    "solves_from_posterior",
]


Solution = Callable[..., Generator]
"""A function (path, x, t, z) -> L_t^z at `x`; `x` and `z` broadcast."""


class Key(NamedTuple):
    """What an entry is for: a path, a kind of generator, and which way time runs."""

    path: type
    kind: type
    backward: bool


_SOLUTIONS: dict[Key, Solution] = {}
_FROM_POSTERIOR: dict[Key, Solution] = {}
_REFUSED: dict[Key, str] = {
    Key(GeodesicPath, Jump, False): (
        "from a uniform source its density rises inside its support and loses mass only at the "
        "shrinking edge, at an infinite rate; choose a MixturePath, or on flat space a GaussianPath"
    ),
    Key(GeodesicPath, Diffusion, False): (
        "from a uniform source its density has a shrinking edge and no score there; choose a flow, "
        "or on flat space a GaussianPath"
    ),
}


Entry = TypeVar("Entry", bound=Solution)


def solves(
    path: type, kind: type[Generator], *, backward: bool = False
) -> Callable[[Entry], Entry]:
    """Enter a function (path, x, t, z) -> L_t^z into the table.

    Raises:
        ValueError: When the pair has an entry.
    """
    return _register(_SOLUTIONS, Key(path, kind, backward))


def solves_from_posterior(path: type, kind: type[Generator]) -> Callable[[Entry], Entry]:
    """Enter a function (path, x, t, posterior) -> L_t, faster than averaging conditional ones.

    Raises:
        ValueError: When the pair has an entry.
    """
    return _register(_FROM_POSTERIOR, Key(path, kind, False))


def refuse(path: type, kind: type[Generator], reason: str) -> None:
    """Say why a path has no solution of a kind."""
    _REFUSED[Key(path, kind, False)] = reason


def solution(path: ConditionalPath, kind: type[Generator], *, backward: bool = False) -> Solution:
    """Look up the solution of a path for a kind of generator.

    Args:
        path: The conditional path.
        kind: The kind of generator.
        backward: Whether time runs backward in the equation it solves, for correctors.

    Raises:
        LookupError: When there is none.

    Example:
        >>> from feller.core.generators import Flow
        >>> from feller.core.paths import GaussianPath
        >>> solution(GaussianPath(), Flow).__name__
        'gaussian_flow'
    """
    for key in _keys(path, kind, backward):
        if key in _SOLUTIONS:
            return _SOLUTIONS[key]
        if key in _REFUSED:
            raise LookupError(
                f"{type(path).__name__} x {kind.__name__} is refused: {_REFUSED[key]}"
            )
    known = ", ".join(f"{p.__name__} x {k.__name__}" for p, k, b in _SOLUTIONS if b == backward)
    direction = "backward solution" if backward else "solution"
    raise LookupError(
        f"no {direction} of {type(path).__name__} x {kind.__name__}; there are {known}"
    )


def from_posterior(
    path: ConditionalPath,
    kind: type[Generator],
    x: Tensor,
    t: Time,
    posterior: Destination,
    *,
    backward: bool = False,
) -> Generator:
    """Return the marginal generator at `x` from the distribution of each element of the data.

    The marginal generator is the posterior mean of the conditional ones (Generator Matching, arXiv
    2410.20587, proposition 1), element by element since these paths factorise (proposition 4). A
    pair without a form of its own averages its conditional generators over the posterior's points.

    Args:
        path: The conditional path.
        kind: The kind of generator.
        x: States `(b, *event)`.
        t: The time.
        posterior: A distribution for each element: `Categorical` on tokens, `Atoms` or `Binned` on
            numbers.
        backward: Whether time runs backward in the equation it solves, for correctors.

    Raises:
        LookupError: When the pair has no solution.

    Example:
        >>> import torch
        >>> from feller.core.generators import Atoms, Flow
        >>> from feller.core.paths import GaussianPath
        >>> posterior = Atoms(torch.zeros(1, 1, 2), torch.tensor([-2.0, 4.0]))
        >>> from_posterior(GaussianPath(), Flow, torch.zeros(1, 1), 0.5, posterior).velocity
        tensor([[2.]])
    """
    for key in _keys(path, kind, backward):
        if key in _FROM_POSTERIOR:
            return _FROM_POSTERIOR[key](path, x, t, posterior)
    return average_over(solution(path, kind, backward=backward), path, x, t, posterior)


def solved(*, backward: bool = False) -> list[tuple[type, type[Generator]]]:
    """List the pairs that have a solution."""
    return [(path, kind) for path, kind, b in _SOLUTIONS if b == backward]


def _keys(path: Any, kind: type[Generator], backward: bool) -> list[Key]:
    return [Key(p, k, backward) for p in type(path).__mro__ for k in kind.__mro__]


def _register(table: dict[Key, Solution], key: Key) -> Callable[[Entry], Entry]:
    def register(function: Entry) -> Entry:
        if key in table:
            raise ValueError(f"{key.path.__name__} x {key.kind.__name__} has a solution already")
        table[key] = function
        return function

    return register
