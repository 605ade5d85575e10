r"""Verification: does a generator move the distribution of a path as it should?

A generator follows a path when the Kolmogorov forward equation holds (Generator Matching, arXiv
2410.20587, equation 5): for every test function f and every time t

.. math:: \frac{d}{dt} E[f(x_t)] = E[\mathcal{L}_t f(x_t)].

Both sides are computed for a bank of functions and times, and compared: exactly for small spaces,
by quadrature or enumeration, otherwise on samples, with standard errors. A backward generator
changes the sign of the right side; for a stationary one it is 0. A trained model is only
approximately right: its residual relative to d/dt E f is a relative error.
"""

from feller.core.verify.check import Probe, Residual, Verification, verify
from feller.core.verify.distributions import Sums
from feller.core.verify.entry import Entry
from feller.core.verify.examples import Example, Examples
from feller.core.verify.functions import Statistics, bank
from feller.core.verify.plan import Plan
from feller.core.verify.reference import Reference
from feller.core.verify.rows import Case, Term, cases, verify_case

__all__ = [
    "Case",
    "Entry",
    "Example",
    "Examples",
    "Plan",
    "Probe",
    "Reference",
    "Residual",
    "Statistics",
    "Sums",
    "Term",
    "Verification",
    "bank",
    "cases",
    "verify",
    "verify_case",
]
