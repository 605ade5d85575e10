"""L f: by hand where it is known, and estimates that are right on average."""

from dataclasses import dataclass

import pytest
import torch
from torch.testing import assert_close

from feller.core.generators import (
    Atoms,
    Binned,
    Categorical,
    Diffusion,
    Flow,
    FromPosterior,
    Generator,
    Jump,
    Mixture,
    Point,
    Product,
)
from feller.core.paths import MixturePath
from feller.core.solutions import solution
from feller.core.sources import UniformSphere
from feller.core.spaces import Sphere
from feller.core.verify.actions import EXACT, act, choose


def functions(x):
    """x_1^2 x_2 and sin x_1, of the first two coordinates."""
    flat = x.flatten(1)
    return torch.stack([flat[:, 0] ** 2 * flat[:, 1], flat[:, 0].sin()], 1)


X = torch.tensor([[0.3, -1.2], [2.0, 0.5]], dtype=torch.float64)
U = torch.tensor([[1.0, 2.0], [-0.5, 0.7]], dtype=torch.float64)
RNG = torch.Generator()


def drift(velocity):
    a, b = X.T
    u, v = velocity.T
    return torch.stack([2 * a * b * u + a**2 * v, a.cos() * u], 1)


def bend(covariance):
    a, b = X.T
    return torch.stack([b * covariance[:, 0], -a.sin() * covariance[:, 0] / 2], 1)


def test_a_flow():
    assert_close(act(Flow(U), functions, X, RNG), drift(U))


def test_a_diffusion():
    covariance = torch.tensor([[0.5, 3.0], [2.0, 0.1]], dtype=torch.float64)
    found = act(Diffusion(U, covariance), functions, X, RNG)
    assert_close(found, drift(U) + bend(covariance))


def test_a_diffusion_of_one_noise_for_all():
    noise = torch.tensor(2.0, dtype=torch.float64)
    found = act(Diffusion(0 * U, noise), functions, X, RNG)
    assert_close(found, bend(noise.expand(2, 2)))


def jump_by_hand(jump, values, weights):
    total = torch.zeros(2, 2, dtype=torch.float64)
    for e in range(2):
        for value, weight in zip(values, weights, strict=True):
            y = X.clone()
            y[:, e] = value
            total += weight * jump.intensity[:, e, None] * (functions(y) - functions(X))
    return total


def test_a_jump():
    weights = torch.tensor([0.2, 0.8], dtype=torch.float64)
    values = torch.tensor([-1.0, 0.4], dtype=torch.float64)
    jump = Jump(
        torch.tensor([[1.0, 0.0], [0.3, 2.0]]).double(),
        Atoms(weights.log().expand(2, 2, 2), values),
    )
    assert_close(act(jump, functions, X, RNG), jump_by_hand(jump, values, weights))
    plain = torch.stack([jump.apply(lambda x, i=i: functions(x)[:, i], X) for i in range(2)], 1)
    assert_close(act(jump, functions, X, RNG), plain)


def test_where_nothing_fires_a_destination_need_not_be_a_law():
    law = Mixture(torch.zeros(2, 2, 1), Categorical(torch.zeros(2, 2, 1, 3)))
    found = act(Jump(torch.zeros(2, 2), law), functions, X, RNG)
    assert torch.equal(found, torch.zeros_like(found))


def test_a_jump_of_elements_that_take_an_axis(rng):
    path = MixturePath(Sphere(), UniformSphere())
    x, z = (UniformSphere().sample((4, 2, 3), rng) for _ in range(2))

    def f(x):
        return torch.stack([x[:, 0, 0] * x[:, 1, 2], x[:, 1, 1].sin()], 1)

    expected = 0
    for e in range(2):
        y = x.clone()
        y[:, e] = z[:, e]
        expected = expected + 2 * (f(y) - f(x))  # the hazard at t = 1/2
    found = act(solution(path, Jump)(path, x, 0.5, z), f, x, RNG)
    assert_close(found, expected)


def test_weights_count_as_they_are():
    both = 1.0 * Flow(U) + 2.0 * Diffusion(U, torch.ones_like(U))
    expected = 3 * drift(U) + 2 * bend(torch.ones_like(U))
    assert_close(act(both, functions, X, RNG), expected)


def test_a_posterior_is_what_it_builds():
    lazy = FromPosterior(Point(X), lambda law: Flow(law.y))
    assert_close(act(lazy, functions, X, RNG), drift(X))


def test_factors_of_a_product_add():
    states = {"a": X[:, :1], "b": X[:, 1:]}

    def f(x):
        return functions(torch.cat([x["a"], x["b"]], 1))

    jump = Jump(torch.ones(2, 1).double(), Point(torch.zeros(2, 1).double()))
    found = act(Product({"a": Flow(U[:, :1]), "b": jump}), f, states, RNG)
    by_jump = f({**states, "b": torch.zeros(2, 1).double()}) - f(states)
    assert_close(found, drift(U * torch.tensor([1.0, 0.0])) + by_jump)


@dataclass(frozen=True)
class Twice(Generator):
    """A kind of its own: L f = 2 f."""

    def apply(self, f, x):
        return 2 * f(x)

    def step(self, space, x, h, rng):
        return x

    def average(self, weights):
        return self


def test_a_kind_that_is_not_known_says_itself_what_it_does():
    assert_close(act(Twice(), functions, X, RNG), 2 * functions(X))


N, COPIES = EXACT + 8, 20_000


def wide(x):
    """Functions that see every coordinate."""
    weights = torch.linspace(0.1, 1, N, dtype=torch.float64)
    return torch.stack([(x @ weights).sin(), (x**2 @ weights) / 10], 1)


EDGES = torch.linspace(-1, 1, 4, dtype=torch.float64)
LOGITS = torch.linspace(-1, 1, 3 * N, dtype=torch.float64).view(1, N, 3)
RATES = torch.linspace(0.1, 2, N, dtype=torch.float64)[None]


@pytest.mark.parametrize(
    "make",
    [
        lambda b: Diffusion(RATES.expand(b, N), (1 + RATES).expand(b, N)),
        lambda b: Jump(RATES.expand(b, N), Binned(LOGITS.expand(b, N, 3), EDGES)),
    ],
    ids=["diffusion", "jump"],
)
def test_an_estimate_is_right_on_average(make):
    x = torch.linspace(-1, 1, N, dtype=torch.float64)[None]
    exact = torch.stack([make(1).apply(lambda x, i=i: wide(x)[:, i], x) for i in range(2)], 1)
    found = act(make(COPIES), wide, x.repeat(COPIES, 1), torch.Generator().manual_seed(0))
    error = found.std(0) / COPIES**0.5
    assert ((found.mean(0) - exact[0]).abs() < 4 * error + 1e-9).all()
    assert (error < 0.05 * exact[0].abs()).all()


def test_few_elements_are_all_chosen_and_many_evenly(rng):
    few = choose(3, EXACT, rng, torch.device("cpu"))
    assert few.scale == 1
    assert few.index.tolist() == [list(range(EXACT))] * 3
    many = choose(3000, 2 * EXACT, rng, torch.device("cpu"))
    assert many.scale == 2
    counts = many.index.flatten().bincount(minlength=2 * EXACT)
    assert all(len(set(row.tolist())) == EXACT for row in many.index[:50])
    assert (counts / 3000 - 0.5).abs().max() < 4 * (0.25 / 3000) ** 0.5
