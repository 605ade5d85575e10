"""Simulating token chains: the loop, and one family of schemes a file."""

from feller.text.simulation.adaptive import Adaptive
from feller.text.simulation.base import Oracle, Scheme, follow_tokens, simulate_tokens
from feller.text.simulation.chains import Chains, begin
from feller.text.simulation.correctors import PredictorCorrector, Remasking
from feller.text.simulation.events import FirstHitting
from feller.text.simulation.guided import GuidedAncestral
from feller.text.simulation.leaps import Ancestral, Leap

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
