"""Tiny token chains of which everything is known: exact models, and laws by enumeration."""

import itertools
from dataclasses import dataclass

import numpy as np
import torch
from scipy import stats
from torch import Tensor

from feller.core.discrete.kernel import Kernel, log_source
from feller.core.discrete.models import Ids, TokenModel
from feller.core.discrete.solvers import Leap, follow_turns, token_state
from feller.core.discrete.sources import MaskedUniform, UnigramTokens
from feller.core.paths import MixturePath
from feller.core.schedules import CondOT
from feller.core.solvers import Evaluation
from feller.core.sources import Masked, UniformTokens
from feller.core.spaces import Tokens

SOURCES = {
    "mask": lambda v: Masked(v),
    "uniform": lambda v: UniformTokens(v),
    "unigram": lambda v: UnigramTokens(tuple(map(float, range(1, v + 1)))),
    "mask+uniform": lambda v: MaskedUniform(v, 0.3),
}


@dataclass
class ExactModel(TokenModel):
    """The posterior, or the leave-one-out law, of sequences `(k, n)` with probabilities `(k,)`."""

    path: MixturePath
    vocabulary: Ids
    points: Tensor
    weights: Tensor
    parametrization: str = "posterior"
    calls: int = 0

    def logits(self, x, kappa, condition=None, *, where=None):
        self.calls += 1
        kappa = torch.as_tensor(kappa, dtype=torch.float64)
        kappa = (kappa[:, None] if kappa.ndim == 1 else kappa).expand(x.shape)
        kernel = Kernel(kappa[:, None], log_source(self.path.source, self.vocabulary.size))
        every = (len(x), *self.points.shape)
        each = kernel.log_prob(x[:, None].expand(every), self.points.expand(every))
        total = each.sum(-1, keepdim=True)
        if self.parametrization == "leave_one_out":  # infinities do not come off again by minus
            apart = ~torch.eye(x.shape[1], dtype=torch.bool)
            joint = torch.where(apart, each[:, :, None, :], 0.0).sum(-1)
        else:
            joint = total.expand(each.shape)
        joint = joint + self.weights.log()[:, None]
        ids = torch.arange(self.vocabulary.sampleable)
        here = (self.points[None, :, :, None] == ids).double().log()
        logits = (joint[..., None] + here).logsumexp(1)
        return logits if where is None else logits[where]


def exact_model(noise, points, weights, *, v=None, parametrization="posterior", schedule=None):
    """Return the exact model of sequences for a source by name, with v tokens."""
    points, weights = torch.as_tensor(points), torch.as_tensor(weights, dtype=torch.float64)
    v = int(points.max()) + 1 if v is None else v
    has_mask = noise.startswith("mask")
    vocabulary = Ids(v + has_mask, v, v if has_mask else None)
    path = MixturePath(Tokens(vocabulary.size), SOURCES[noise](v), schedule or CondOT())
    return ExactModel(path, vocabulary, points, weights / weights.sum(), parametrization)


def drawn(model, solver, x, rng=None, *, steps=None, condition=None, free=None, block=None):
    """The chains at their end: of x only what is given counts, and the shape."""
    begun = token_state(model, x, rng, free=free, block=block)
    asked, times = Evaluation(model, condition), grid(steps)
    *_, last = follow_turns(asked, begun, times, solver, rng)
    return last


def grid(steps):
    """Equidistant times; None for solvers with their own."""
    return None if steps is None else [i / steps for i in range(steps + 1)]


def every_sequence(v, n):
    """All sequences of n tokens out of v, `(v^n, n)`."""
    return torch.tensor(list(itertools.product(range(v), repeat=n)))


def random_law(v, n, seed=0, power=3.0):
    """An uneven law on all sequences: points and probabilities."""
    u = torch.rand(v**n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return every_sequence(v, n), u**power / (u**power).sum()


def index_of(x, v):
    """The place of each sequence in `every_sequence`."""
    powers = v ** torch.arange(x.shape[1] - 1, -1, -1)
    return (x * powers).sum(1)


def kappas(nodes=24):
    """Mixing weights and quadrature weights on [0, 1], for integrands with a logarithm at 1."""
    points, weights = np.polynomial.legendre.leggauss(nodes)
    left = torch.tensor((1 - points) / 2)
    return 1 - left**4, torch.tensor(weights / 2) * 4 * left**3


def every_state(model, n):
    """All states of n elements, the mask's included."""
    return every_sequence(model.vocabulary.size, n)


def joint(rows):
    """The law `(s, size^n)` of independent elements `(s, n, size)`."""
    law = rows[:, 0]
    for i in range(1, rows.shape[1]):
        law = (law[:, :, None] * rows[:, i][:, None]).flatten(1)
    return law


def law_at(model, kappa):
    """p_kappa of every state."""
    v, n = model.vocabulary.size, model.points.shape[1]
    kernel = Kernel(torch.full((), kappa).double(), log_source(model.path.source, v))
    ids = torch.arange(v).expand(len(model.points), n, v)
    each = kernel.log_prob(ids, model.points[..., None].expand_as(ids)).exp()
    return model.weights @ joint(each)


def posterior(model, states, kappa):
    """The posterior of each element, over all ids."""
    p = torch.zeros(*states.shape, model.vocabulary.size).double()
    logits = model.logits(states, torch.full((len(states),), float(kappa)))
    p[..., : model.vocabulary.sampleable] = logits.softmax(-1).nan_to_num(0.0)
    return p


def enumerated(model, kappas, moves, correct=None):
    """The law of samples, by multiplying transition matrices: no Monte Carlo.

    `moves(states, kappa, later, p)` gives the law of each element after a step, `(s, n, size)`;
    `correct(later)` a matrix that is applied after each step but the last.
    """
    n, v = model.points.shape[1], model.vocabulary.sampleable
    states = every_state(model, n)
    law = log_source(model.path.source, model.vocabulary.size).exp()[states].prod(1)
    for kappa, later in itertools.pairwise(kappas):
        law = law @ joint(moves(states, kappa, later, posterior(model, states, kappa)))
        law = law if correct is None or later == 1 else law @ correct(later)
    return law[(states < v).all(1)]


def leap_moves(model, scheme):
    """The law of each element after a step of a `Leap` or an `Ancestral`, for `enumerated`."""
    size = model.vocabulary.size
    pi, eye = log_source(model.path.source, size).exp(), torch.eye(size).double()

    def forward(stay, kappa, later, p):
        chance = (later - kappa) / (1 - kappa)
        return (1 - chance) * stay + chance * p

    def reverse(states, kappa, later, p):  # q(x_s | x_t, x), averaged over the posterior of x
        a = kappa / later
        q_s = later * eye + (1 - later) * pi  # [x, y]
        seen = a * eye[states] + (1 - a) * pi[states][..., None]  # [z, y]: q(z | y)
        both = q_s * seen[:, :, None]
        given = both / both.sum(-1, keepdim=True)
        return torch.einsum("snx,snxy->sny", p, given.nan_to_num(0.0))

    def moves(states, kappa, later, p):
        stay, leaps = eye[states], isinstance(scheme, Leap)
        moved = forward(stay, kappa, later, p) if leaps else reverse(states, kappa, later, p)
        return torch.where((pi[states] == 0)[..., None], stay, moved)

    return moves


def distance(a, b):
    """The total variation between two laws."""
    return float((a - b).abs().sum() / 2)


def likelihood(x, law, v):
    """How likely it is that samples follow a law on `every_sequence`: a chi-square test."""
    counts, expected = index_of(x, v).bincount(minlength=len(law)), len(x) * law / law.sum()
    assert not counts[law == 0].any()
    return stats.chisquare(counts[law > 0], expected[law > 0]).pvalue
