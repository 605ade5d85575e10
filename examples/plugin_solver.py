"""Your own solver, schedule and divergence, outside feller.

Each passes the checks of `feller.core.testing`; a solver that is only nearly right is caught.
"""

import torch

from feller.core.divergences import BregmanDivergence, Range
from feller.core.generators import Flow
from feller.core.schedules import Schedule
from feller.core.solvers import Solver
from feller.core.testing import check_divergence, check_schedule, check_solver
from feller.core.times import expand_time


class Ralston(Solver):
    """Of all methods of two stages the one with the least error of third order."""

    takes = frozenset({Flow})

    def __init__(self, last=3 / 4):
        self.last = last  # the weight of the second stage

    def step(self, model, x, t, s, rng):
        h = expand_time(s - t, x)
        first = model(x, t).velocity
        second = model(x + 2 / 3 * h * first, t + 2 / 3 * (s - t)).velocity
        return torch.where(h == 0, x, x + h * ((1 - self.last) * first + self.last * second))


class Circle(Schedule):
    """alpha = t, sigma = sqrt(1 - t^2): the variance of white data is preserved."""

    def alpha(self, t):
        return t

    def sigma(self, t):
        return torch.sqrt((1 - t) * (1 + t))


class Exponential(BregmanDivergence):
    """D(a, b) = e^b (e^(a - b) - 1 - (a - b)), from Phi(a) = e^a."""

    domain = Range()

    def potential(self, a):
        return a.exp()

    def value(self, target, predicted):
        d = target - predicted
        return predicted.exp() * (torch.expm1(d) - d)


check_schedule(Circle())
check_divergence(Exponential())
check_solver(Ralston(), steps=40)
try:
    check_solver(Ralston(last=1 / 4), steps=40)
except AssertionError as complaint:
    print(f"caught: {complaint}")
else:
    raise SystemExit("a method of wrong weights should not pass")
