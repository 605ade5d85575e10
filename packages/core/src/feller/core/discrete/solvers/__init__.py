"""Simulating token chains: the loop, and one family of schemes a file."""

from feller.core.discrete.solvers.adaptive import Adaptive
from feller.core.discrete.solvers.base import Oracle, Scheme, follow_tokens, simulate_tokens
from feller.core.discrete.solvers.correctors import PredictorCorrector, Remasking
from feller.core.discrete.solvers.first_hitting import FirstHitting
from feller.core.discrete.solvers.guided import GuidedAncestral
from feller.core.discrete.solvers.leaps import Ancestral, Leap
from feller.core.discrete.solvers.state import Chains, begin

__all__ = [
    "Adaptive",
    "Ancestral",
    "Chains",
    "FirstHitting",
    "GuidedAncestral",
    "Leap",
    "Oracle",
    "PredictorCorrector",
    "Remasking",
    "Scheme",
    "begin",
    "follow_tokens",
    "simulate_tokens",
]
