"""Terms: proposition 2, by enumeration, for every kind of generator and every divergence."""

from dataclasses import dataclass

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from feller.core.divergences import (
    BregmanDivergence,
    Cosh,
    GeneralizedKL,
    ItakuraSaito,
    Logistic,
    PNorm,
    SquaredNorm,
)
from feller.core.divergences.base import REALS
from feller.core.generators import (
    Atoms,
    Binned,
    Categorical,
    Diffusion,
    Flow,
    FromPosterior,
    Jump,
    Mixture,
    Point,
)
from feller.core.heads import FlowHead, JumpHead, PosteriorHead
from feller.core.losses import Objective
from feller.core.losses.terms import At, compare_jumps, compare_posteriors, rates
from feller.core.models import GeneratorModel, Model
from feller.core.parametrizations import convert
from feller.core.paths import GaussianPath, MixturePath
from feller.core.posteriors import FiniteData
from feller.core.schedules import Cosine
from feller.core.solutions import event_rate, solution
from feller.core.sources import Masked, UniformTokens
from feller.core.spaces import Tokens
from feller.core.times import expand_time

GAUSSIAN = GaussianPath(schedule=Cosine())
NUMBERS = torch.tensor([[-1.0, 0.0], [1.0, -1.0], [0.0, 1.0], [1.0, 1.0]], dtype=torch.float64)
SEQUENCES = torch.tensor([[0, 1], [1, 2], [2, 2], [0, 0]])
WEIGHTS = torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=torch.float64)
MASKED, UNIFORM = MixturePath(Tokens(4), Masked(3)), MixturePath(Tokens(3), UniformTokens(3))
T = torch.tensor(0.6, dtype=torch.float64)

OF_REALS = [SquaredNorm(), Cosh(), PNorm(3.0)]
OF_RATES = [GeneralizedKL(), *OF_REALS]
OF_PROBABILITIES = [Logistic(), *OF_RATES]


class Network(nn.Module):
    """A small network of the state, with some channels for each element."""

    def __init__(self, channels, tokens=0):
        super().__init__()
        torch.manual_seed(1)
        self.tokens, self.channels = tokens, channels
        self.layers = nn.Sequential(
            nn.Linear(2 * max(tokens, 1), 7), nn.Tanh(), nn.Linear(7, 2 * channels)
        )
        self.double()

    def forward(self, x, t, condition=None):
        x = nn.functional.one_hot(x, self.tokens).double().flatten(1) if self.tokens else x
        output = self.layers(x).unflatten(1, (2, self.channels))
        return output.squeeze(-1) if self.channels == 1 else output


@dataclass
class TokenJumps(Model):
    """A model of jumps of tokens: an intensity and logits for each."""

    network: nn.Module
    path: MixturePath
    kinds = frozenset({Jump})

    @property
    def space(self):
        return self.path.space

    def __call__(self, x, t, condition=None):
        output = self.network(x, t)
        rate = event_rate(self.path, expand_time(t, output[..., 0])).double()
        return Jump(rate * nn.functional.softplus(output[..., 0]), Categorical(output[..., 1:]))


@dataclass
class Diffusions(Model):
    """A model of diffusions: a drift and a covariance for each coordinate."""

    network: nn.Module
    kinds, space = frozenset({Diffusion}), GAUSSIAN.space
    path = None

    def __call__(self, x, t, condition=None):
        drift, covariance = self.network(x, t).unbind(-1)
        return Diffusion(drift, nn.functional.softplus(covariance))


def model_of(kind, path):
    if kind is Flow:
        return GeneratorModel(Network(1), path, FlowHead("x_1"))
    if kind is Diffusion:
        return Diffusions(Network(2))
    if kind is FromPosterior:
        levels = 3
        network = Network(levels, 0 if path is GAUSSIAN else path.space.size)
        return GeneratorModel(network, path, PosteriorHead(levels))
    if path is GAUSSIAN:
        return GeneratorModel(Network(13), path, JumpHead(12))
    return TokenJumps(Network(4, path.space.size), path)


def states(path):
    """All states, or a grid of them, with the volume of each."""
    if path is GAUSSIAN:
        axis = torch.linspace(-3, 3, 10, dtype=torch.float64)
        return torch.cartesian_prod(axis, axis), (axis[1] - axis[0]) ** 2
    tokens = torch.arange(path.space.size)
    x = torch.cartesian_prod(tokens, tokens)
    return x[law(path, SEQUENCES, x).sum(1) > 0], 1.0


def law(path, points, x):
    """p_t(x | z) w_z of each state and data point."""
    log_density = path.log_density(x[:, None], T, points[None])
    log_density = log_density.sum(-1) if path.space.is_discrete else log_density
    return log_density.double().exp() * WEIGHTS


def conditional_gradient(model, objective, path, points, weight=None):
    """The gradient of the loss that training sees, summed over all data and states."""
    x, volume = states(path)
    joint = law(path, points, x) * volume
    losses = torch.stack([objective(model, path, z.expand_as(x), T, x) for z in points], 1)
    losses = losses if weight is None else weight(x, points) * losses
    return gradient(model, (joint * losses).sum())


def marginal_gradient(model, objective, path, points, weight=None):
    """The gradient of the distance to the exact marginal generator."""
    x, volume = states(path)
    posterior = law(path, points, x)
    total, posterior = posterior.sum(1), posterior / posterior.sum(1, keepdim=True)
    predicted = model(x, T)
    if isinstance(predicted, FromPosterior):
        values, p = predicted.posterior.quadrature()
        exact = torch.einsum("xk,knv->xnv", posterior, (points[..., None] == values[0]).double())
        each = objective.jump_divergence(exact, p).sum(-1)
        if path is MASKED:
            each = torch.where(x == 3, each, 0)
    else:
        z = points[None].expand(len(x), *points.shape)
        conditional = solution(path, type(predicted))(path, x[:, None], T, z)
        exact = conditional.average(posterior)
        if isinstance(predicted, Jump):
            cells = predicted.destination.cells
            pair = (rates(jump, cells, path, x, T) for jump in (exact, predicted))
            each = objective.jump_divergence(*pair).sum(-1)
        else:
            pair = (vectors(g, objective.loss_space, path, x) for g in (exact, predicted))
            each = objective.divergence(*pair)
    loss = each.flatten(1).mean(1) * total * volume
    return gradient(model, (loss if weight is None else weight(x, points)[:, 0] * loss).sum())


def vectors(generator, space, path, x):
    """The coordinates of a flow or a diffusion."""
    if isinstance(generator, Diffusion):
        return generator.coordinates()
    return convert(generator.velocity, ("velocity", space), path.schedule, x, T)


def gradient(model, loss):
    network = model.network
    grads = torch.autograd.grad(loss, list(network.parameters()))
    return torch.cat([g.flatten() for g in grads])


CASES = [
    *((Flow, GAUSSIAN, d) for d in OF_REALS),
    *((Diffusion, GAUSSIAN, d) for d in OF_REALS),
    *((Jump, GAUSSIAN, d) for d in OF_RATES),
    *((Jump, MASKED, d) for d in OF_RATES),
    *((Jump, UNIFORM, d) for d in OF_RATES),
    *((FromPosterior, GAUSSIAN, d) for d in OF_PROBABILITIES),
    *((FromPosterior, MASKED, d) for d in OF_PROBABILITIES),
    *((FromPosterior, UNIFORM, d) for d in OF_PROBABILITIES),
]


def named(value):
    names = {GAUSSIAN: "numbers", MASKED: "masked", UNIFORM: "uniform"}
    if isinstance(value, BregmanDivergence):
        return type(value).__name__
    return value.__name__ if isinstance(value, type) else names.get(value)


def objective_of(kind, divergence):
    if kind in (Flow, Diffusion):
        return Objective(divergence)
    return Objective(jump_divergence=divergence)


def points_of(path):
    return NUMBERS if path is GAUSSIAN else SEQUENCES


def difference(kind, path, divergence, weights=(None, None)):
    """How far the two gradients are apart, over the size of one."""
    model, objective, points = model_of(kind, path), objective_of(kind, divergence), points_of(path)
    conditional = conditional_gradient(model, objective, path, points, weights[0])
    marginal = marginal_gradient(model, objective, path, points, weights[1])
    assert marginal.norm() > 1e-4
    return (conditional - marginal).norm() / marginal.norm()


@pytest.mark.parametrize(("kind", "path", "divergence"), CASES, ids=named)
def test_the_conditional_loss_has_the_marginal_gradient(kind, path, divergence):
    assert difference(kind, path, divergence) < 1e-8


class Power(BregmanDivergence):
    """None: |a - b|^1.5 is no Bregman divergence."""

    domain = REALS
    potential = None

    def value(self, target, predicted):
        return (target - predicted).abs() ** 1.5


class Huber(BregmanDivergence):
    """None, either."""

    domain = REALS
    potential = None

    def value(self, target, predicted):
        return nn.functional.huber_loss(predicted, target, reduction="none", delta=0.1)


class Reversed(BregmanDivergence):
    """D(predicted, target), which is affine in the wrong argument; targets of 0 need some room."""

    domain = GeneralizedKL.domain
    potential = None

    def value(self, target, predicted):
        return GeneralizedKL()(predicted, target + 0.1)


WRONG = [
    *((kind, GAUSSIAN, d) for kind in (Flow, Diffusion, Jump) for d in (Power(), Huber())),
    *((Jump, path, d) for path in (MASKED, UNIFORM) for d in (Power(), Huber(), Reversed())),
    (Jump, GAUSSIAN, Reversed()),
    (FromPosterior, GAUSSIAN, Reversed()),
    (FromPosterior, UNIFORM, Power()),
]


@pytest.mark.parametrize(("kind", "path", "divergence"), WRONG, ids=named)
def test_a_loss_that_bends_in_the_target_has_not(kind, path, divergence):
    assert difference(kind, path, divergence) > 1e-3


KINDS = [(Flow, GAUSSIAN), (Diffusion, GAUSSIAN), (Jump, GAUSSIAN), (Jump, UNIFORM)]


@pytest.mark.parametrize(("kind", "path"), KINDS, ids=named)
def test_weights_may_depend_on_the_state_and_not_on_the_data(kind, path):
    divergence = SquaredNorm() if kind in (Flow, Diffusion) else GeneralizedKL()

    def of_state(x, points):
        return (1 + x[:, :1].double().sin() + T) * torch.ones(len(points))

    def of_data(x, points):
        return of_state(x, points) * (2 + points[:, 1].double())

    assert difference(kind, path, divergence, (of_state, of_state)) < 1e-8
    mean = (WEIGHTS * of_data(states(path)[0], points_of(path))).sum(1, keepdim=True)
    assert difference(kind, path, divergence, (of_data, lambda x, points: mean)) > 1e-3


@pytest.mark.parametrize("space", ["x_1", "noise", "score"])
def test_the_space_of_the_loss_is_a_linear_coordinate(space):
    model, objective = model_of(Flow, GAUSSIAN), Objective(Cosh(), space)
    found = conditional_gradient(model, objective, GAUSSIAN, NUMBERS)
    assert_close(found, marginal_gradient(model, objective, GAUSSIAN, NUMBERS), rtol=1e-8, atol=0)


def jumps_of_tokens(rng, k, source_size):
    """A predicted jump over k tokens, a conditional one, and states: some arrived."""
    path = MixturePath(Tokens(source_size), UniformTokens(source_size))
    z = torch.randint(k, (6, 5), generator=rng)
    x = torch.where(torch.rand(6, 5, generator=rng) < 0.4, z, source_size - 1 - z)
    predicted = Jump(
        torch.rand(6, 5, generator=rng, dtype=torch.float64),
        Categorical(torch.randn(6, 5, k, generator=rng, dtype=torch.float64)),
    )
    t = torch.rand(6, generator=rng, dtype=torch.float64)
    return (solution(path, Jump)(path, x, t, z), predicted), At(path, x, t)


@pytest.mark.parametrize("beyond", [0, 2], ids=["all tokens", "some are beyond the model"])
def test_picked_logits_say_what_all_rates_say(beyond, rng):
    pair, at = jumps_of_tokens(rng, 4, 4 + beyond)
    theirs, ours = (at.rates(jump, pair[1].destination.cells) for jump in pair)
    expected = GeneralizedKL()(theirs, ours).sum(-1)
    assert_close(compare_jumps(GeneralizedKL(), *pair, at), expected)


def test_a_network_knows_the_jump_of_an_oracle(rng):
    """The exact jump, a mixture of points, is compared on the tokens of the path."""
    oracle, x = FiniteData(UNIFORM, Jump, SEQUENCES, WEIGHTS.float()), states(UNIFORM)[0]
    exact = oracle(x, 0.6)
    each = compare_jumps(GeneralizedKL(), exact, exact, At(UNIFORM, x, 0.6))
    assert_close(each, torch.zeros_like(each), atol=1e-6, rtol=0)


class Sizes(torch.utils._python_dispatch.TorchDispatchMode):
    """Counts the tensors of at least a size that are made."""

    def __init__(self, size):
        super().__init__()
        self.size, self.made = size, []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        made = function(*args, **(kwargs or {}))
        shares = "detach" in str(function)
        if isinstance(made, torch.Tensor) and made.numel() >= self.size and not shares:
            self.made.append(str(function))
        return made


def test_a_large_vocabulary_is_seen_once(rng):
    logits = torch.randn(2, 3, 5000, generator=rng, requires_grad=True)
    z, t = torch.randint(5000, (2, 3), generator=rng), torch.tensor([0.2, 0.4])
    path = MixturePath(Tokens(5001), Masked(5000))
    x = torch.where(torch.tensor([True, False, True]), 5000, z)
    target = solution(path, Jump)(path, x, t, z)
    predicted = Jump(torch.ones(2, 3), Categorical(logits))
    with Sizes(logits.numel()) as sizes:
        compare_jumps(GeneralizedKL(), target, predicted, At(path, x, t))
        compare_posteriors(GeneralizedKL(), z, Categorical(logits))
    assert sizes.made == ["aten._log_softmax.default"] * 2


def test_a_posterior_has_the_cross_entropy(rng):
    logits, z = torch.randn(2, 3, 7, generator=rng), torch.randint(7, (2, 3), generator=rng)
    expected = nn.functional.cross_entropy(logits.movedim(-1, 1), z, reduction="none")
    assert_close(compare_posteriors(GeneralizedKL(), z, Categorical(logits)), expected)
    values = torch.linspace(-1, 1, 7)
    assert_close(compare_posteriors(GeneralizedKL(), values[z], Atoms(logits, values)), expected)
    edges = torch.linspace(-1, 1, 8)
    z = torch.lerp(edges[z], edges[z + 1], 0.9)
    assert_close(compare_posteriors(GeneralizedKL(), z, Binned(logits, edges)), expected)


@pytest.mark.parametrize("divergence", OF_PROBABILITIES, ids=named)
def test_sure_mistakes_are_finite(divergence):
    logits = torch.tensor([[-500.0, 500.0]], requires_grad=True)
    loss = compare_posteriors(divergence, torch.tensor([0]), Categorical(logits)).sum()
    (slope,) = torch.autograd.grad(loss, logits)
    assert loss.isfinite()
    assert loss > 0
    assert slope.isfinite().all()


def test_jumps_that_do_not_happen_have_a_gradient(rng):
    """Intensities of 0, as a mask source has on data, and of softplus where it underflows."""
    for divergence in OF_RATES:
        pair, at = jumps_of_tokens(rng, 4, 4)
        raw = torch.full((6, 5), -800.0, dtype=torch.float64, requires_grad=True)
        predicted = Jump(nn.functional.softplus(raw), pair[1].destination)
        loss = compare_jumps(divergence, pair[0], predicted, at).sum()
        assert loss.isfinite()
        assert torch.autograd.grad(loss, raw)[0].isfinite().all()


def test_data_that_no_cell_holds_are_named():
    law = Binned(torch.zeros(1, 2, 4), torch.linspace(-1, 1, 5))
    message = r"the data hold 1\.5, outside the 4 cells of the model, -1 \.\.\. 1$"
    with pytest.raises(ValueError, match=message):
        compare_posteriors(GeneralizedKL(), torch.tensor([[0.0, 1.5]]), law)


def test_other_comparisons_are_refused(rng):
    pair, at = jumps_of_tokens(rng, 4, 4)
    with pytest.raises(ValueError, match=r"Logistic compares numbers in \[0, 1\], rates are in"):
        compare_jumps(Logistic(), *pair, at)
    mixture = Mixture(torch.ones(1, 1, 1), Point(torch.zeros(1, 1, 1)))
    with pytest.raises(LookupError, match="on tokens, atoms or bins, not a Mixture"):
        compare_posteriors(GeneralizedKL(), torch.zeros(1, 1), mixture)
    jump = Jump(torch.ones(1, 1), mixture)
    with pytest.raises(LookupError, match="a Mixture has no bins to be compared on"):
        compare_jumps(GeneralizedKL(), jump, jump, At(GAUSSIAN, torch.zeros(1, 1), 0.5))


@pytest.mark.parametrize(
    ("field", "divergence"),
    [
        ("divergence", GeneralizedKL()),
        ("divergence", Logistic()),
        ("divergence", ItakuraSaito()),
        ("jump_divergence", ItakuraSaito()),
    ],
)
def test_divergences_of_other_numbers_are_refused(field, divergence):
    with pytest.raises(ValueError, match=f"^{field} is {type(divergence).__name__}, of numbers in"):
        Objective(**{field: divergence})
