"""Solvers: rules for one step, and the loop that takes them."""

from feller.core.solvers.adaptive import Dopri5
from feller.core.solvers.base import Evaluation, Simulation, Solver, follow, simulate
from feller.core.solvers.euler import Euler
from feller.core.solvers.runge_kutta import HEUN, MIDPOINT, RK4, RungeKutta, Tableau
from feller.core.solvers.table import SOLVERS, named_solver

__all__ = [
    "HEUN",
    "MIDPOINT",
    "RK4",
    "SOLVERS",
    "Dopri5",
    "Euler",
    "Evaluation",
    "RungeKutta",
    "Simulation",
    "Solver",
    "Tableau",
    "follow",
    "named_solver",
    "simulate",
]
