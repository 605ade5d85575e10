"""Solvers of token chains for `feller.core.solvers.simulate`: one family a file."""

from feller.core.discrete.solvers.adaptive import Adaptive
from feller.core.discrete.solvers.base import Prediction, TokenSolver, follow_turns
from feller.core.discrete.solvers.by_factor import ByFactor
from feller.core.discrete.solvers.correctors import PredictorCorrector, Remasking
from feller.core.discrete.solvers.first_hitting import FirstHitting
from feller.core.discrete.solvers.guided import GuidedAncestral
from feller.core.discrete.solvers.leaps import Ancestral, Leap
from feller.core.discrete.solvers.state import TokenState, token_state
from feller.core.discrete.solvers.table import (
    TOKEN_SOLVERS,
    check_token_solver,
    named_token_solver,
)

__all__ = [
    "TOKEN_SOLVERS",
    "Adaptive",
    "Ancestral",
    "ByFactor",
    "FirstHitting",
    "GuidedAncestral",
    "Leap",
    "Prediction",
    "PredictorCorrector",
    "Remasking",
    "TokenSolver",
    "TokenState",
    "check_token_solver",
    "follow_turns",
    "named_token_solver",
    "token_state",
]
