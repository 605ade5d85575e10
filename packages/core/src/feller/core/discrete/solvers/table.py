"""Token solvers by name, for command lines and configurations."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from feller.core.discrete.categorical import Shaping
from feller.core.discrete.solvers.adaptive import Adaptive
from feller.core.discrete.solvers.base import TokenSolver
from feller.core.discrete.solvers.correctors import PredictorCorrector, Remasking
from feller.core.discrete.solvers.first_hitting import FirstHitting
from feller.core.discrete.solvers.leaps import Ancestral, Leap

__all__ = ["TOKEN_SOLVERS", "check_token_solver", "named_token_solver"]

TOKEN_SOLVERS: Mapping[str, Callable[[int, Shaping], TokenSolver]] = MappingProxyType(
    {
        "leap": lambda per_call, shaping: Leap(shaping=shaping),
        "ancestral": lambda per_call, shaping: Ancestral(shaping=shaping),
        "events": lambda per_call, shaping: FirstHitting(per_call, shaping=shaping),
        "confidence": lambda per_call, shaping: Adaptive("confidence", per_call, shaping=shaping),
        "margin": lambda per_call, shaping: Adaptive("margin", per_call, shaping=shaping),
        "entropy": lambda per_call, shaping: Adaptive("entropy", per_call, shaping=shaping),
        "corrected": lambda per_call, shaping: PredictorCorrector(Leap(), shaping=shaping),
        "remask": lambda per_call, shaping: Remasking(shaping=shaping),
    }
)


def check_token_solver(name: str) -> None:
    """Reject a name that no token solver has.

    Raises:
        ValueError: When there is none.
    """
    if name not in TOKEN_SOLVERS:
        raise ValueError(f"unknown solver {name!r}; there are {', '.join(TOKEN_SOLVERS)}")


def named_token_solver(name: str, tokens: int, steps: int, shaping: Shaping) -> TokenSolver:
    """Return the solver of that name.

    Args:
        name: The name.
        tokens: How many tokens there are to draw.
        steps: In about how many network calls, by solvers that reveal them one by one.
        shaping: Temperature, top-k and top-p of each draw.

    Raises:
        ValueError: When there is none.

    Example:
        >>> named_token_solver("events", 8, 3, Shaping()).per_call
        3
    """
    check_token_solver(name)
    return TOKEN_SOLVERS[name](max(1, -(-tokens // steps)), shaping)
