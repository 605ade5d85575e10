"""Losses: how far a predicted generator is from the conditional one, in expectation.

`Objective` is one loss for every kind of generator. Your own kind of generator gets a `Comparison`
to compute its loss. Losses add up: `Objective() + 0.1 * mine`.
"""

from feller.core.losses.base import Loss, LossSum, LossTerm, Sample, check_path
from feller.core.losses.comparison import Comparison, Measures
from feller.core.losses.mean_flow import MeanFlow
from feller.core.losses.objective import DIVERGENCES, Objective

__all__ = [
    "DIVERGENCES",
    "Comparison",
    "Loss",
    "LossSum",
    "LossTerm",
    "MeanFlow",
    "Measures",
    "Objective",
    "Sample",
    "check_path",
]
