"""Contract checks for your own space, source, schedule, path, solution, solver or codec.

Each is a function that raises a one-line `AssertionError` with the failing values; no test
framework is needed. All parts of feller pass the same checks.

Example:
    >>> from feller.core.schedules import Polynomial
    >>> check_schedule(Polynomial(1.5))
"""

from feller.core.testing.codecs import check_codec
from feller.core.testing.divergences import check_divergence
from feller.core.testing.paths import check_path
from feller.core.testing.schedules import check_schedule
from feller.core.testing.solutions import check_solution
from feller.core.testing.solvers import check_solver
from feller.core.testing.sources import check_source
from feller.core.testing.spaces import check_space

__all__ = [
    "check_codec",
    "check_divergence",
    "check_path",
    "check_schedule",
    "check_solution",
    "check_solver",
    "check_source",
    "check_space",
]
