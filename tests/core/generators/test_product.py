"""Products: the generators of the factors add, and their steps are independent."""

import pytest
import torch
from scipy import stats
from torch.testing import assert_close

from feller.core.generators import Categorical, Flow, Jump, Product
from feller.core.grids import logarithmic_grid
from feller.core.paths import GaussianPath, MixturePath, ProductPath
from feller.core.posteriors import FiniteProductData
from feller.core.solvers import Euler, simulate
from feller.core.sources import Masked
from feller.core.spaces import Euclidean, ProductSpace, Tokens

PATH = ProductPath({"place": GaussianPath(), "token": MixturePath(Tokens(4), Masked(3))})
POINTS = {  # the place tells of the token and the token of the place
    "place": torch.tensor([[-2.0], [2.0], [2.0]]),
    "token": torch.tensor([[0], [1], [2]]),
}
WEIGHTS = torch.tensor([0.5, 0.2, 0.3])


def oracle(kind=Flow):
    return FiniteProductData(PATH, {"place": kind, "token": Jump}, POINTS, WEIGHTS)


def source(n, rng):
    like = {"place": torch.empty(0), "token": torch.empty(0, dtype=torch.int64)}
    return PATH.sample_source({"place": (n, 1), "token": (n, 1)}, rng, like=like)


def test_the_generators_of_the_factors_add():
    x = {"place": torch.tensor([[1.0, -2.0]]), "token": torch.tensor([[1]])}
    jump = Jump(torch.tensor([[3.0]]), Categorical(torch.tensor([[[0.25, 0.0, 0.75]]]).log()))
    product = Product({"place": Flow(2 * x["place"]), "token": jump})
    value = product.apply(lambda x: x["place"].sum(-1) * (1 + x["token"][:, 0]), x)
    flow = 2 * (1 + 1) * (1.0 - 2.0)
    jumps = 3 * (0.25 * (1 - 2) + 0.75 * (3 - 2)) * (1.0 - 2.0)
    assert_close(value, torch.tensor([flow + jumps]))


def joint_p_value(x):
    counts = [
        int(((x["place"][:, 0] * sign > 0) & (x["token"][:, 0] == token)).sum())
        for sign, token in ((-1, 0), (1, 1), (1, 2))
    ]
    strays = len(x["token"]) - sum(counts)
    total = sum(counts)
    return strays / len(x["token"]), stats.chisquare(counts, WEIGHTS.double() * total).pvalue


@pytest.mark.gate
@pytest.mark.parametrize("kind", [Flow, Jump])
def test_a_product_returns_the_joint_law(kind, rng):
    x_0 = source(8_000, rng)
    x = simulate(oracle(kind), x_0, logarithmic_grid(150, end=0.9999), Euler(), rng).state
    strays, p = joint_p_value(x)
    assert strays < 0.01
    assert p > 1e-3


@pytest.mark.gate
def test_factors_have_their_own_clocks(rng):
    """The token first, then the place given the token: the joint law is the same."""
    x_0 = source(8_000, rng)
    grid = logarithmic_grid(100, end=0.9999)
    still, late = torch.zeros(100), torch.full((100,), 0.9999)
    times = {"token": torch.cat([grid, late]), "place": torch.cat([still, grid])}
    x = simulate(oracle(), x_0, times, Euler(), rng).state
    strays, p = joint_p_value(x)
    assert strays < 0.01
    assert p > 1e-3
    given = dict(times, token=torch.ones(201))
    known = dict(x_0, token=torch.full((8_000, 1), 2))
    x = simulate(oracle(), known, given, Euler(), rng).state
    assert (x["token"] == 2).all()
    assert (x["place"] > 0).float().mean() > 0.999


def test_other_factors_are_refused():
    product = Product({"place": Flow(torch.zeros(1, 1))})
    space = ProductSpace({"place": Euclidean(1)})
    with pytest.raises(ValueError, match=r"a product of \['place'\] moves on those factors only"):
        product.step(space, {"other": torch.zeros(1, 1)}, 0.1, None)
    with pytest.raises(ValueError, match="moves on those factors only"):
        product.step(Euclidean(1), {"place": torch.zeros(1, 1)}, 0.1, None)


def test_grids_of_factors_have_one_length(rng):
    times = {"place": [0.0, 0.5], "token": [0.0, 0.5, 1.0]}
    with pytest.raises(ValueError, match="of all factors have one length"):
        simulate(oracle(), source(2, rng), times, Euler(), rng)
