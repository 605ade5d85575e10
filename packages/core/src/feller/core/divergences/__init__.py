"""Bregman divergences: the losses that train generators."""

from feller.core.divergences.base import REALS, BregmanDivergence, Range, bregman
from feller.core.divergences.entropies import GeneralizedKL, ItakuraSaito, Logistic
from feller.core.divergences.hyperbolic import Cosh
from feller.core.divergences.powers import PNorm, SquaredNorm

__all__ = [
    "REALS",
    "BregmanDivergence",
    "Cosh",
    "GeneralizedKL",
    "ItakuraSaito",
    "Logistic",
    "PNorm",
    "Range",
    "SquaredNorm",
    "bregman",
]
