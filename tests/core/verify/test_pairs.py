"""Pairs under verification: both sides on samples that move from one end to the other."""

import pytest
import torch
from torch.testing import assert_close

from feller.core.algebra import Model
from feller.core.generators import Diffusion, Flow
from feller.core.pairs import Pair
from feller.core.paths import BridgePath, BrownianNoise, GaussianPath, MixturePath
from feller.core.posteriors import FiniteData
from feller.core.sources import Gaussian
from feller.core.spaces import Euclidean
from feller.core.verify import Plan, Reference, verify
from feller.core.verify.pairs import drawn_pairs

D = torch.float64
RNG = torch.Generator()
PAIR = Pair(
    torch.tensor([[-1.0, 0.3], [0.5, 1.0]], dtype=D),
    torch.tensor([[2.0, 0.0], [-1.0, 0.4]], dtype=D),
)


def test_on_a_line_each_state_moves_by_the_difference_of_its_ends():
    law = drawn_pairs(BridgePath(noise=None), PAIR, 0.3, RNG)
    assert_close(law.states, 0.7 * PAIR.x_0 + 0.3 * PAIR.x_1)
    assert_close(law.rise(lambda x: x), PAIR.x_1 - PAIR.x_0)
    coupled = drawn_pairs(GaussianPath(), PAIR, 0.3, RNG)
    assert_close(coupled.states, law.states)


def test_the_noise_of_a_bridge_moves_too(rng):
    """Along a way x^2 rises by what its mean square does: (g^2)' in each coordinate."""
    path, zero = BridgePath(noise=BrownianNoise(2.0)), torch.zeros(40_000, 1, dtype=D)
    rise = drawn_pairs(path, Pair(zero, zero), 0.25, rng).rise(lambda x: x**2)
    assert float(rise.mean()) == pytest.approx(4 * (1 - 0.5), rel=0.05)


@pytest.mark.parametrize("kind", [Flow, Diffusion])
def test_in_more_dimensions_a_right_generator_passes_and_a_wrong_one_does_not(kind):
    path = BridgePath()
    model = FiniteData(path, kind, PAIR)
    plan = Plan(samples=20_000)
    assert verify(model, Reference(PAIR), plan=plan).passed
    slower = FiniteData(BridgePath(noise=BrownianNoise(0.5)), kind, PAIR)
    found = verify(Other(slower, path), Reference(PAIR), plan=plan)
    assert not found.passed
    assert found.method == "pathwise"


class Other(Model):
    """A model that says it is on another path than it is."""

    def __init__(self, model, path):
        self.model, self.path, self.kinds = model, path, model.kinds

    def __call__(self, x, t, condition=None):
        return self.model(x, t)


def test_where_samples_jump_pairs_are_refused():
    with pytest.raises(ValueError, match="where samples move, not on a MixturePath"):
        drawn_pairs(MixturePath(Euclidean(), Gaussian()), PAIR, 0.5, RNG)
