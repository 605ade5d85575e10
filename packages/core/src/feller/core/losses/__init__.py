"""Losses: how far a predicted generator is from the conditional one, in expectation.

`Objective` is the one loss of every kind of generator. `Comparison` is what a kind of one's own is
given to be compared with.
"""

from feller.core.losses.comparison import Comparison, Measures
from feller.core.losses.objective import DIVERGENCES, Loss, Objective, check_path

__all__ = ["DIVERGENCES", "Comparison", "Loss", "Measures", "Objective", "check_path"]
