"""Closed-form solutions of the Kolmogorov forward equation, by path and kind of generator."""

from feller.core.solutions import flow as _flow  # noqa: F401  (its entries fill the table)
from feller.core.solutions.table import Solution, solution, solved, solves

__all__ = ["Solution", "solution", "solved", "solves"]
