"""Every generator and superposition, driven by the exact posterior, returns the law of the path."""

from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from scipy import stats

from feller.core.generators import Diffusion, Flow, Jump, Superposition, stationary
from feller.core.paths import GaussianPath, MixturePath
from feller.core.posteriors import FiniteData
from feller.core.solvers import Euler, simulate
from feller.core.sources import Masked, UniformTokens
from feller.core.spaces import Tokens
from feller.core.times import expand_time, logarithmic_grid

POINTS, WEIGHTS = torch.tensor([[-2.0], [2.0]]), torch.tensor([0.3, 0.7])
SAMPLES = 20_000


@dataclass(frozen=True)
class Mixed:
    """The marginal superposition of two points, by exact posteriors."""

    weights: dict
    langevin: float = 0.0
    path: GaussianPath = field(default_factory=GaussianPath)
    kinds: frozenset = frozenset({Flow, Diffusion, Jump})

    @property
    def space(self):
        return self.path.space

    def __call__(self, x, t, condition=None):
        exact = {k: FiniteData(self.path, k, POINTS, WEIGHTS)(x, t) for k in self.weights}
        total = sum((w * exact[k] for k, w in self.weights.items()), Superposition(()))
        if not self.langevin:
            return total
        sigma = self.path.schedule.sigma(expand_time(t, x))
        posterior = FiniteData(self.path, Flow, POINTS, WEIGHTS).posterior(x, t)
        score = -(x - t * posterior @ POINTS) / sigma**2
        # drift g^2/2 score with noise g: it leaves p_t alone
        noise = Diffusion(sigma * score / 2, sigma.expand_as(x))
        return total + self.langevin * stationary(noise)


def p_value(samples, t):
    """Kolmogorov-Smirnov against the marginal: two normals of means +-2 t and deviation 1 - t."""

    def law(x):
        return sum(
            float(w) * stats.norm.cdf(x, t * float(z), 1 - t)
            for z, w in zip(POINTS, WEIGHTS, strict=True)
        )

    return stats.kstest(samples.double().flatten().numpy(), law).pvalue


def run(model, *, end=0.9, steps=150):
    rng = torch.Generator().manual_seed(0)
    x_0 = torch.randn(SAMPLES, 1, generator=rng)
    return simulate(model, x_0, logarithmic_grid(steps, end=end), Euler(), rng).state


@pytest.mark.parametrize(
    "model",
    [
        Mixed({Flow: 1.0}),
        Mixed({Diffusion: 1.0}),
        Mixed({Jump: 1.0}),
        Mixed({Flow: 0.5, Jump: 0.5}),
        Mixed({Flow: 0.3, Diffusion: 0.3, Jump: 0.4}),
        Mixed({Flow: 1.0}, langevin=2.0),
        Mixed({Jump: 1.0}, langevin=1.0),
    ],
    ids=lambda m: "+".join(f"{w}{k.__name__}" for k, w in m.weights.items()) + f"+{m.langevin}L",
)
def test_a_superposition_returns_the_law(model):
    assert p_value(run(model), 0.9) > 1e-3


@dataclass(frozen=True)
class TooMuch(Flow):
    """A flow and a jump both at full weight: no superposition."""

    jump: Jump

    def step(self, space, x, h, rng):
        return self.jump.step(space, super().step(space, x, h, rng), h, rng)


def test_both_at_full_weight_do_not():
    def model(x, t, condition=None):
        flow, jump = (FiniteData(GaussianPath(), k, POINTS, WEIGHTS)(x, t) for k in (Flow, Jump))
        return TooMuch(flow.velocity, jump)

    model.space, model.kinds = GaussianPath().space, frozenset({Flow})
    assert p_value(run(model), 0.9) < 1e-6


@pytest.mark.parametrize("source", [Masked(4), UniformTokens(4)], ids=str)
def test_token_chains_return_the_joint_law(source):
    """Two tokens that depend on each other; what is off by the first-order error is little."""
    data = torch.tensor([[0, 0], [1, 2], [3, 3]])
    weights = torch.tensor([0.5, 0.2, 0.3])
    path = MixturePath(Tokens(5), source)
    rng = torch.Generator().manual_seed(0)
    x_0 = path.sample_source((SAMPLES, 2), rng)
    model = FiniteData(path, Jump, data, weights)
    x = simulate(model, x_0, logarithmic_grid(150, end=0.9999), Euler(), rng).state
    counts = np.array([int((x == z).all(1).sum()) for z in data])
    strays = SAMPLES - counts.sum()
    assert strays / SAMPLES < 0.03
    assert stats.chisquare(counts, weights.double().numpy() * counts.sum()).pvalue > 1e-3
