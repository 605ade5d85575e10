"""Closed-form solutions of the Kolmogorov forward equation, by path and kind of generator."""

# Their entries fill the table.
from feller.core.solutions import diffusion as _diffusion  # noqa: F401
from feller.core.solutions import flow as _flow  # noqa: F401
from feller.core.solutions import jump as _jump  # noqa: F401
from feller.core.solutions import marginal as _marginal  # noqa: F401
from feller.core.solutions.correctors import (
    mixture_corrector,
    mixture_corrector_from_posterior,
)
from feller.core.solutions.diffusion import langevin
from feller.core.solutions.rates import cumulative_hazard, event_rate, jump_support
from feller.core.solutions.table import Solution, from_posterior, solution, solved, solves

__all__ = [
    "Solution",
    "cumulative_hazard",
    "event_rate",
    "from_posterior",
    "jump_support",
    "langevin",
    "mixture_corrector",
    "mixture_corrector_from_posterior",
    "solution",
    "solved",
    "solves",
]
