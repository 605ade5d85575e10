"""Gradients through simulations and likelihoods equal finite differences, held or taken again."""

import pytest
import torch
from torch.testing import assert_close

from feller.core.generators import Flow, Jump
from feller.core.grids import uniform_grid
from feller.core.likelihood import HutchinsonTrace, log_likelihood
from feller.core.models import GeneratorModel
from feller.core.noise import Noised
from feller.core.paths import GaussianPath
from feller.core.posteriors import FiniteData
from feller.core.solvers import (
    DDIM,
    RK4,
    Dopri5,
    DPMSolverPP2M,
    Euler,
    PredictorCorrector,
    RungeKutta,
    StochasticHeun,
    WithGradient,
    simulate,
)

X_0 = torch.linspace(-1.5, 1.5, 6, dtype=torch.float64).reshape(3, 2)
TIMES = uniform_grid(8, end=0.9)


class Network(torch.nn.Module):
    def __init__(self):
        super().__init__()
        rng = torch.Generator().manual_seed(0)
        self.weight = torch.nn.Parameter(torch.randn(2, 2, generator=rng, dtype=torch.float64))

    def forward(self, x, t, condition):
        return torch.tanh(x @ self.weight) * (1 + t[:, None])


def differences(value, weight, h=1e-5):
    """The gradient of a number by the entries of a weight, by central differences."""
    slopes = torch.zeros_like(weight)
    with torch.no_grad():
        for i in range(weight.numel()):
            ends = []
            for sign in (1, -1):
                weight.view(-1)[i] += sign * h
                ends.append(value())
                weight.view(-1)[i] -= sign * h
            slopes.view(-1)[i] = (ends[0] - ends[1]) / (2 * h)
    return slopes


SOLVERS = {
    "euler": Euler(),
    "rk4": RungeKutta(RK4),
    "dpm++": DPMSolverPP2M(),
    "ddpm": DDIM(churn=1.0),
    "dopri5": Dopri5(rtol=1e-9, atol=1e-9),
    "langevin": PredictorCorrector(DPMSolverPP2M()),
}


@pytest.mark.parametrize("checkpoint", [False, True])
@pytest.mark.parametrize("solver", SOLVERS.values(), ids=SOLVERS)
def test_the_gradient_of_a_reward_equals_finite_differences(solver, checkpoint):
    network = Network()
    model = GeneratorModel(network, GaussianPath())

    def reward():
        rng = torch.Generator().manual_seed(1)
        end = simulate(model, X_0, TIMES, WithGradient(solver, checkpoint), rng)
        return (end.state**2).sum(), end.nfe

    value, nfe = reward()
    value.backward()
    assert_close(
        network.weight.grad, differences(lambda: reward()[0], network.weight), rtol=1e-4, atol=1e-5
    )
    assert nfe == reward()[1]


def test_noise_is_drawn_again_row_by_row():
    network = Network()
    model = Noised(GeneratorModel(network, GaussianPath()), 0.5)
    grads = []
    for checkpoint in (False, True):
        rng = [torch.Generator().manual_seed(i) for i in range(3)]
        end = simulate(model, X_0, TIMES, WithGradient(StochasticHeun(), checkpoint), rng)
        grads.append(torch.autograd.grad(end.state.square().sum(), network.weight)[0])
    assert_close(grads[0], grads[1])


@pytest.mark.parametrize("trace", [None, HutchinsonTrace(None)])
def test_the_gradient_of_a_likelihood_equals_finite_differences(trace):
    network = Network()
    model = GeneratorModel(network, GaussianPath())

    def nats():
        torch.manual_seed(0)
        solver = WithGradient(RungeKutta(RK4))
        return log_likelihood(model, X_0, times=TIMES, solver=solver, trace=trace).nats.sum()

    nats().backward()
    assert_close(network.weight.grad, differences(nats, network.weight), rtol=1e-5, atol=1e-6)


def test_what_goes_in_has_a_gradient_too():
    x_0 = X_0.clone().requires_grad_()
    model = GeneratorModel(lambda x, t, condition: -x, GaussianPath())
    end = simulate(model, x_0, [0.0, 0.5], WithGradient(Euler())).state
    assert_close(torch.autograd.grad(end.sum(), x_0)[0], torch.full_like(X_0, 0.5))
    with torch.no_grad():
        assert not simulate(model, x_0, [0.0, 0.5], WithGradient(Euler())).state.requires_grad


def test_jumps_have_none():
    model = FiniteData(GaussianPath(), Jump, torch.zeros(1, 2))
    both = 0.5 * model + 0.5 * FiniteData(GaussianPath(), Flow, torch.zeros(1, 2))
    for refused in (model, both):
        with pytest.raises(ValueError, match="a gradient passes flows and diffusions, but"):
            simulate(refused, torch.zeros(1, 2), [0.0, 0.5], WithGradient(Euler()))
