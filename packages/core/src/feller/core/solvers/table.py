"""Solvers by name, for command lines and configurations."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from feller.core.solvers.adaptive import Dopri5
from feller.core.solvers.adaptive_steps import Adaptive
from feller.core.solvers.base import Solver
from feller.core.solvers.euler import Euler
from feller.core.solvers.events import EventDriven
from feller.core.solvers.exponential import DDIM
from feller.core.solvers.mixed import Mixed
from feller.core.solvers.multistep import DPMSolverPP2M
from feller.core.solvers.predictor_corrector import PredictorCorrector
from feller.core.solvers.runge_kutta import HEUN, MIDPOINT, RK4, RungeKutta
from feller.core.solvers.stochastic_heun import StochasticHeun
from feller.core.solvers.thinning import Thinning

__all__ = ["SOLVERS", "named_solver"]

SOLVERS: Mapping[str, Callable[[], Solver]] = MappingProxyType(
    {
        "euler": Euler,
        "euler_maruyama": Euler,  # what Euler's method is called on diffusions
        "midpoint": lambda: RungeKutta(MIDPOINT),
        "heun": lambda: RungeKutta(HEUN),
        "rk4": lambda: RungeKutta(RK4),
        "dopri5": Dopri5,
        "ddim": DDIM,
        "ddpm": lambda: DDIM(churn=1.0),
        "dpm++": DPMSolverPP2M,
        "stochastic_heun": StochasticHeun,
        "additive_heun": lambda: StochasticHeun(additive=True),
        "mixed": Mixed,
        "adaptive": Adaptive,
        "events": EventDriven,
        "thinning": Thinning,
        "predictor_corrector": PredictorCorrector,
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
