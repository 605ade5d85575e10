"""Couplings: how source samples are paired with data."""

from feller.core.couplings.base import (
    Coupling,
    GivenPairs,
    IndependentCoupling,
    Rows,
    check_independent,
    check_score,
    couple,
    coupling_of,
    set_coupling,
)
from feller.core.couplings.factors import AlignedPoints, ProductCoupling
from feller.core.couplings.transport import (
    ConditionalOT,
    EntropicOT,
    MinibatchOT,
    UnbalancedOT,
    sinkhorn,
)

__all__ = [
    "AlignedPoints",
    "ConditionalOT",
    "Coupling",
    "EntropicOT",
    "GivenPairs",
    "IndependentCoupling",
    "MinibatchOT",
    "ProductCoupling",
    "Rows",
    "UnbalancedOT",
    "check_independent",
    "check_score",
    "couple",
    "coupling_of",
    "set_coupling",
    "sinkhorn",
]
