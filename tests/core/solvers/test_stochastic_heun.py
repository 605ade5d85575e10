"""Stochastic Heun methods: which calculus, and the orders that their docstrings state."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy import integrate

from feller.core import random
from feller.core.generators import Diffusion, Flow
from feller.core.models import Model
from feller.core.paths import GaussianPath
from feller.core.posteriors import FiniteData
from feller.core.solvers import Euler, StochasticHeun, simulate
from feller.core.spaces import Euclidean


class Equation(Model):
    """dX = drift dt + noise dW."""

    space, kinds = Euclidean(), frozenset({Diffusion})
    path = None

    def __init__(self, drift, noise):
        self.drift, self.noise = drift, noise

    def __call__(self, x, t, condition=None):
        return Diffusion(self.drift(x, t), (self.noise(x, t) ** 2).expand_as(x))


def grid(steps):
    return [0.8 * i / steps for i in range(steps + 1)]


# A linear equation with additive noise: a step is x -> A x + B xi, so variances follow exactly.
LINEAR = Equation(lambda x, t: -(1 + math.sin(4 * t)) * x, lambda x, t: torch.tensor(1.5 - t))


def exact_variance():
    def slope(t, v):
        return -2 * (1 + math.sin(4 * t)) * v + (1.5 - t) ** 2

    return integrate.solve_ivp(slope, (0, 0.8), [1.0], rtol=1e-10, atol=1e-12).y[0, -1]


def by_hand(patch, hand):
    """Set what is drawn: a normal and a sign for all."""
    patch.setattr(random, "normal", lambda s, r, like: torch.full_like(like, hand["normal"]))
    patch.setattr(random, "integers", lambda high, s, r, like: torch.full(s, hand["sign"]))


def variance(solver, steps, monkeypatch):
    """Follow the variance from 1; of one step it is known by the outcomes of xi = 1 and -1."""
    hand = {"sign": 0}
    with monkeypatch.context() as patch:
        by_hand(patch, hand)
        x, v = torch.tensor([[0.0], [1.0]], dtype=torch.float64), 1.0
        for t, s in pairwise(grid(steps)):
            each = []
            for hand["normal"] in (1.0, -1.0):
                each.append(simulate(LINEAR, x, [t, s], solver).state[:, 0])
            each = torch.stack(each)
            v = float((each[:, 1] - each[:, 0]).mean()) ** 2 * v + float(each[:, 0].square().mean())
    return v


@pytest.mark.parametrize(
    ("solver", "order"),
    [(Euler(), 1), (StochasticHeun(additive=True), 2)],
    ids=str,
)
def test_weak_order_with_additive_noise(solver, order, monkeypatch):
    coarse, fine = (abs(variance(solver, n, monkeypatch) - exact_variance()) for n in (16, 64))
    assert abs(math.log(coarse / fine) / math.log(4) - order) < 0.3


DRIFT, NOISE = 0.5, 0.8
GEOMETRIC = Equation(lambda x, t: DRIFT * x, lambda x, t: NOISE * x)


def strong_error(solver, steps, monkeypatch, *, shift=0.0):
    """The distance from exp((mu - sigma^2/2 + shift) T + sigma W_T) on the same noise."""
    drawn, draw = [], random.normal

    def record(shape, rng, *, like):
        drawn.append(draw(shape, rng, like=like))
        return drawn[-1]

    rng = torch.Generator().manual_seed(0)
    with monkeypatch.context() as patch:
        patch.setattr(random, "normal", record)
        x = simulate(GEOMETRIC, torch.ones(3000, 1).double(), grid(steps), solver, rng).state
    wiener = torch.stack(drawn).sum(0) * math.sqrt(0.8 / steps)
    exact = ((DRIFT - NOISE**2 / 2 + shift) * 0.8 + NOISE * wiener).exp()
    return float((x - exact).square().mean().sqrt())


@pytest.mark.parametrize(("solver", "order"), [(Euler(), 0.5), (StochasticHeun(), 1)], ids=str)
def test_strong_order_with_noise_that_depends_on_the_state(solver, order, monkeypatch):
    coarse, fine = (strong_error(solver, steps, monkeypatch) for steps in (16, 128))
    assert abs(math.log(coarse / fine) / math.log(8) - order) < 0.15


@pytest.mark.parametrize(
    ("solver", "order"),
    [(Euler(), 1), (StochasticHeun(), 1), (StochasticHeun(additive=True), 2)],
    ids=str,
)
def test_weak_order_with_a_drift_that_bends(solver, order, monkeypatch):
    """The mean of one step, by Gauss-Hermite quadrature, against its expansion to second order."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(12)
    bent = Equation(lambda x, t: torch.sin(2 * x), lambda x, t: torch.tensor(0.9))

    def error(h, x=0.4):
        hand, mean = {}, 0.0
        with monkeypatch.context() as patch:
            by_hand(patch, hand)
            for hand["normal"], weight in zip(nodes, weights / weights.sum(), strict=True):
                for hand["sign"] in (0, 1):
                    start = torch.full((1, 1), x, dtype=torch.float64)
                    mean += weight / 2 * float(simulate(bent, start, [0.0, h], solver).state)
        drift, slope, bend = math.sin(2 * x), 2 * math.cos(2 * x), -4 * math.sin(2 * x)
        return abs(mean - x - h * drift - h**2 / 2 * (drift * slope + bend * 0.81 / 2))

    slope = math.log(error(0.04) / error(0.01)) / math.log(4)  # of one step: the order and one
    assert abs(slope - order - 1) < 0.2


def test_the_plain_average_solves_the_equation_of_stratonovich(monkeypatch):
    solver = StochasticHeun(additive=True)
    ito = strong_error(solver, 128, monkeypatch)
    stratonovich = strong_error(solver, 128, monkeypatch, shift=NOISE**2 / 2)
    assert stratonovich < 0.05 < 0.3 < ito


def test_signs_are_drawn_for_each_coordinate(rng):
    """With one sign for all, noise that depends on another coordinate would drift."""

    class Crossed(Equation):
        def __call__(self, x, t, condition=None):
            return Diffusion(torch.zeros_like(x), x.flip(-1) ** 2)

    x = simulate(
        Crossed(None, None), torch.ones(40_000, 2), [0.0, 0.2], StochasticHeun(), rng
    ).state
    for mean, of in ((1.0, x[:, 0]), (1.0, x.prod(-1))):  # both are martingales of the equation
        assert float(of.double().mean()) == pytest.approx(mean, abs=4 * float(of.std()) / 200)


@pytest.mark.parametrize("additive", [True, False])
def test_network_calls_and_the_step_into_the_data(additive, rng):
    model = FiniteData(GaussianPath(), Diffusion, torch.tensor([[-1.0], [1.0]]))
    x_0 = torch.randn(50, 1, generator=rng)
    simulation = simulate(model, x_0, [0.0, 0.5, 0.9, 1.0], StochasticHeun(additive), rng)
    assert simulation.nfe == 5
    assert simulation.state.isfinite().all()
    clocks = torch.tensor([0.0, 0.5, 1.0])[:, None].expand(3, 50)
    assert simulate(model, x_0, clocks, StochasticHeun(additive), rng).state.isfinite().all()


def test_without_noise_it_is_heuns_method():
    from feller.core.solvers import HEUN, RungeKutta

    model = FiniteData(GaussianPath(), Flow, torch.tensor([[-1.0], [1.0]]))
    x_0 = torch.linspace(-2, 2, 9)[:, None]
    for additive in (True, False):
        ours = simulate(model, x_0, grid(7), StochasticHeun(additive), torch.Generator()).state
        torch.testing.assert_close(ours, simulate(model, x_0, grid(7), RungeKutta(HEUN)).state)
