"""Exact models, one of each kind, and how likely it is that samples follow their law at a time."""

from dataclasses import dataclass, replace
from itertools import product

import numpy as np
import torch
from scipy import stats

from feller.core.derived import DerivedModel
from feller.core.generators import Diffusion, Flow, Jump, Superposition
from feller.core.paths import GaussianPath, MixturePath, ProductPath
from feller.core.posteriors import FiniteData, FiniteProductData
from feller.core.sources import Masked, UniformTokens
from feller.core.spaces import Tokens

POINTS, WEIGHTS = torch.tensor([[-2.0], [2.0]]), torch.tensor([0.3, 0.7])
PAIRS, PAIR_WEIGHTS = torch.tensor([[0, 0], [1, 2], [2, 2]]), torch.tensor([0.5, 0.2, 0.3])
GAUSSIAN = GaussianPath()
MASKED, UNIFORM = MixturePath(Tokens(4), Masked(3)), MixturePath(Tokens(3), UniformTokens(3))
BOTH = ProductPath({"place": GAUSSIAN, "token": MixturePath(Tokens(3), Masked(2))})


def on_numbers(kind):
    """The marginal generator of two points on the line."""
    return FiniteData(GAUSSIAN, kind, POINTS, WEIGHTS)


def on_tokens(path):
    """The marginal jump of pairs of tokens that depend on each other."""
    return FiniteData(path, Jump, PAIRS, PAIR_WEIGHTS)


MODELS = {
    "flow": on_numbers(Flow),
    "diffusion": on_numbers(Diffusion),
    "flow+diffusion": 0.5 * on_numbers(Flow) + 0.5 * on_numbers(Diffusion),
    "jump": on_numbers(Jump),
    "flow+jump": 0.5 * on_numbers(Flow) + 0.5 * on_numbers(Jump),
    "all": 0.3 * on_numbers(Flow) + 0.3 * on_numbers(Diffusion) + 0.4 * on_numbers(Jump),
    "masks": on_tokens(MASKED),
    "uniform tokens": on_tokens(UNIFORM),
    "product": FiniteProductData(
        BOTH,
        {"place": Flow, "token": Jump},
        {"place": POINTS, "token": torch.tensor([[0], [1]])},
        WEIGHTS,
    ),
}


@dataclass(frozen=True)
class Scaled(DerivedModel):
    """A model whose rates are off by a factor."""

    model: object
    factor: float

    def __call__(self, x, t, condition=None):
        generator = self.model(x, t, condition)
        if not isinstance(generator, Superposition):
            return generator.scaled(self.factor)
        slow = (replace(p, generator=p.generator.scaled(self.factor)) for p in generator.parts)
        return Superposition(tuple(slow))


def source(model, n, rng):
    """Draw n states at t = 0."""
    if isinstance(model.path, ProductPath):
        like = {"place": torch.empty(0), "token": torch.empty(0, dtype=torch.int64)}
        return BOTH.sample_source({"place": (n, 1), "token": (n, 1)}, rng, like=like)
    return model.path.sample_source((n, 2 if model.space.is_discrete else 1), rng)


def p_value(model, x, t, strays=0.0):
    """How likely samples are under the exact law at time t: Kolmogorov-Smirnov or chi-square.

    A share `strays` of tokens may be in states that the law excludes: two elements that jump in one
    step do not know of each other.
    """
    if isinstance(model.path, ProductPath):
        pairs = [p_of_numbers(x["place"], t), p_of_tokens(x["token"], t, BOTH.factors["token"], 0)]
        sign = (x["place"][:, 0] > 0).long()  # the joint law, of what is told apart
        return min(*pairs, p_of_joint(sign, x["token"][:, 0], t))
    if model.space.is_discrete:
        return p_of_tokens(x, t, model.path, strays)
    return p_of_numbers(x, t)


def p_of_numbers(x, t):
    """Two normals of means +-2 t and deviation 1 - t."""

    def law(x):
        pairs = zip(POINTS, WEIGHTS, strict=True)
        return sum(float(w) * stats.norm.cdf(x, t * float(z), 1 - t) for z, w in pairs)

    return stats.kstest(x.double().flatten().numpy(), law).pvalue


def token_law(path, t, n):
    """The probability of each state of n tokens at time t, by enumeration."""
    states = torch.tensor(list(product(range(path.space.size), repeat=n)))
    points = PAIRS if n == 2 else torch.tensor([[0], [1]])
    weights = PAIR_WEIGHTS if n == 2 else WEIGHTS
    at_z = t * (states[:, None] == points[None]).double()
    each = (1 - t) * path.source.log_density(states).double().exp()[:, None] + at_z
    return states, (each.prod(-1) * weights).sum(1)


def p_of_tokens(x, t, path, strays):
    """Chi-square over all states; of those that the law excludes, only strays may come."""
    states, law = token_law(path, t, x.shape[1])
    counts, law = torch.stack([(x == state).all(1).sum() for state in states]).numpy(), law.numpy()
    if counts[law == 0].sum() > strays * counts.sum():
        return 0.0
    return _chi_square(counts[law > 0], law[law > 0])


def p_of_joint(sign, token, t):
    """Of the product: which side and which token, far enough along the path to tell the sides."""
    away = stats.norm.cdf(-2 * t / (1 - t))
    side = torch.tensor([[1 - away, away], [away, 1 - away]], dtype=torch.float64)
    tokens = torch.tensor([[t, 0, 1 - t], [0, t, 1 - t]], dtype=torch.float64)
    law = torch.einsum("z,zs,zt->st", WEIGHTS.double(), side, tokens).flatten()
    counts = (3 * sign + token).bincount(minlength=6)
    return _chi_square(counts.numpy(), law.numpy())


def _chi_square(counts, law):
    expected = law * counts.sum()
    rare = expected < 8
    if expected[rare].sum() > 0:
        counts = np.append(counts[~rare], counts[rare].sum())
        expected = np.append(expected[~rare], expected[rare].sum())
    else:
        counts, expected = counts[~rare], expected[~rare]
    return stats.chisquare(counts, expected).pvalue
