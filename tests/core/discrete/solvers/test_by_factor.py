"""R^3 beside tokens: each factor by a solver of its own, and the joint distribution comes out."""

import pytest
import torch
from scipy import stats

from feller.core.discrete.solvers import (
    Adaptive,
    ByFactor,
    FirstHitting,
    Leap,
    PredictorCorrector,
    Remasking,
)
from feller.core.generators import Flow, Jump
from feller.core.paths import GaussianPath, MixturePath, ProductPath
from feller.core.posteriors import FiniteProductData
from feller.core.solvers import HEUN, Euler, RungeKutta, simulate
from feller.core.sources import Masked
from feller.core.spaces import Tokens

PATH = ProductPath({"position": GaussianPath(), "residue": MixturePath(Tokens(4), Masked(3))})
POSITIONS = torch.tensor([[-2.0, 0.0, 1.0], [2.0, 0.0, 0.0], [0.0, 2.0, 0.0]])
RESIDUES = torch.tensor([[0, 0], [1, 1], [2, 0]])
WEIGHTS = torch.tensor([0.5, 0.3, 0.2])
POINTS = {"position": POSITIONS, "residue": RESIDUES}
MODEL = FiniteProductData(PATH, {"position": Flow, "residue": Jump}, POINTS, WEIGHTS)
STEPS = 30


def simulated(solvers, rng, n=2000):
    like = {"position": torch.zeros(1), "residue": torch.zeros(1, dtype=torch.int64)}
    x_0 = PATH.sample_source({"position": (n, 3), "residue": (n, 2)}, rng, like=like)
    times = [i / STEPS for i in range(STEPS + 1)]
    return simulate(MODEL, x_0, times, ByFactor(solvers), rng)


@pytest.mark.parametrize(
    ("residue", "calls"),
    [
        (Leap(), 0),
        (Remasking("cap", 0.2), 0),
        (FirstHitting(), 2),
        (PredictorCorrector(Leap()), 29),
    ],
    ids=str,
)
def test_the_joint_distribution_comes_out(residue, calls, rng):
    """And the call of a step is shared: only what looks again asks again."""
    simulation = simulated({"position": Euler(), "residue": residue}, rng)
    near = torch.cdist(simulation.state["position"], POSITIONS).min(1)
    same = (near.values < 0.3) & (simulation.state["residue"] == RESIDUES[near.indices]).all(1)
    assert same.float().mean() > 0.98
    counts = near.indices[same].bincount(minlength=3)
    assert stats.chisquare(counts, WEIGHTS.double() * counts.sum()).pvalue > 0.001
    assert simulation.nfe <= STEPS + 2 * STEPS * (calls == 2) + calls
    assert simulation.nfe == STEPS or calls


def test_a_second_look_at_numbers_costs_a_call(rng):
    simulation = simulated({"position": RungeKutta(HEUN), "residue": Leap()}, rng, 50)
    assert STEPS < simulation.nfe <= 2 * STEPS


def test_what_does_not_fit_is_refused(rng):
    with pytest.raises(ValueError, match=r"factors \['position', 'residue'\], solvers for"):
        simulated({"position": Euler()}, rng, 2)
    with pytest.raises(ValueError, match="Leap moves on Tokens space, not on Euclid"):
        simulated({"position": Leap(), "residue": Adaptive()}, rng, 2)
