"""Solvers: rules for one step, and the loop that takes them."""

from feller.core.solvers.adaptive import Dopri5
from feller.core.solvers.adaptive_steps import Adaptive
from feller.core.solvers.base import Evaluation, Simulation, Solver, follow, simulate
from feller.core.solvers.end_with_estimate import EndWithEstimate
from feller.core.solvers.euler import Euler
from feller.core.solvers.events import EventDriven
from feller.core.solvers.exponential import DDIM
from feller.core.solvers.gradients import WithGradient
from feller.core.solvers.grids import grid_for
from feller.core.solvers.keep_known import KeepKnown
from feller.core.solvers.mixed import Mixed
from feller.core.solvers.multistep import DPMSolverPP2M
from feller.core.solvers.predictor_corrector import PredictorCorrector
from feller.core.solvers.runge_kutta import HEUN, MIDPOINT, RK4, RungeKutta, Tableau
from feller.core.solvers.stochastic_heun import StochasticHeun
from feller.core.solvers.table import SOLVERS, named_solver
from feller.core.solvers.thinning import Thinning

__all__ = [
    "DDIM",
    "HEUN",
    "MIDPOINT",
    "RK4",
    "SOLVERS",
    "Adaptive",
    "DPMSolverPP2M",
    "Dopri5",
    "EndWithEstimate",
    "Euler",
    "Evaluation",
    "EventDriven",
    "KeepKnown",
    "Mixed",
    "PredictorCorrector",
    "RungeKutta",
    "Simulation",
    "Solver",
    "StochasticHeun",
    "Tableau",
    "Thinning",
    "WithGradient",
    "follow",
    "grid_for",
    "named_solver",
    "simulate",
]
