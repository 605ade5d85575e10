"""Likelihoods: the log-density of flows, and bounds on that of jumps and diffusions."""

from feller.core.likelihood.bits import BYTES, bits_per_dimension, dequantize
from feller.core.likelihood.bound import EvidenceBound, Strata, evidence_bound
from feller.core.likelihood.elbo import elbo
from feller.core.likelihood.ode import LogLikelihood, log_likelihood, probability_flow
from feller.core.likelihood.rates import path_divergence
from feller.core.likelihood.trace import ExactTrace, HutchinsonTrace, Trace

__all__ = [
    "BYTES",
    "EvidenceBound",
    "ExactTrace",
    "HutchinsonTrace",
    "LogLikelihood",
    "Strata",
    "Trace",
    "bits_per_dimension",
    "dequantize",
    "elbo",
    "evidence_bound",
    "log_likelihood",
    "path_divergence",
    "probability_flow",
]
