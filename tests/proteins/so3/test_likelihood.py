"""The log-density of a flow of rotations, against one in closed form.

Quaternions that follow the linear flow A on their sphere are at time 1 angular central Gaussian
(Tyler, Biometrika 74, 1987), with Sigma = exp(2 A), and opposite ones are the same rotation.
"""

import pytest
import torch
from torch.testing import assert_close

from feller.core.grids import uniform_grid
from feller.core.likelihood import HutchinsonTrace, log_likelihood
from feller.core.models import GeneratorModel
from feller.core.paths import GeodesicPath
from feller.core.solvers import named_solver
from feller.proteins.so3.rotations import Rotations, from_quaternion, to_quaternion
from feller.proteins.so3.sources import UniformRotations

RATES = torch.tensor([0.8, 0.1, -0.3, -0.2]).double()


def velocity(x, t, condition):
    q = to_quaternion(x)
    along = RATES * q - (RATES * q * q).sum(-1, keepdim=True) * q
    return torch.func.jvp(from_quaternion, (q,), (along,))[1]


@pytest.mark.gate
def test_a_flow_of_rotations(rng):
    model = GeneratorModel(velocity, GeodesicPath(Rotations(), UniformRotations()))
    x = UniformRotations().sample((6, 1, 3, 3), rng, like=torch.zeros(0).double())
    q = to_quaternion(x)
    each = -RATES.sum() - 2 * ((-2 * RATES).exp() * q * q).sum(-1).log()
    exact = (each + UniformRotations().log_density(x)).sum(1)
    grid, solver = uniform_grid(6), named_solver("rk4")
    found = log_likelihood(model, x, times=grid, solver=solver)
    assert_close(found.nats, exact, rtol=0, atol=1e-3)
    Rotations().check(found.x_0)
    trace = HutchinsonTrace(rng, 16)
    estimate = log_likelihood(model, x, times=grid, solver=solver, trace=trace)
    assert bool(((estimate.nats - exact).abs() < 4 * estimate.error + 1e-3).all())
