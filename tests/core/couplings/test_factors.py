"""Couplings of product states; points that are reordered and turned towards their data."""

import itertools

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from feller.core.config import decode, encode
from feller.core.couplings import (
    AlignedPoints,
    Coupling,
    IndependentCoupling,
    MinibatchOT,
    ProductCoupling,
    UnbalancedOT,
    coupling_of,
    set_coupling,
)
from feller.core.heads import FlowHead, JumpHead, PosteriorHead, ProductHead
from feller.core.models import GeneratorModel
from feller.core.paths import GaussianPath, MixturePath, ProductPath
from feller.core.sources import Masked
from feller.core.spaces import Euclidean, Tokens

ALIGNED = ProductCoupling({"point": AlignedPoints()})
PATH = ProductPath(
    {"point": GaussianPath(Euclidean(2)), "token": MixturePath(Tokens(3), Masked(2))}
)


def placed(x_0, x_1, **options):
    return AlignedPoints(**options)(x_0, x_1).pair.x_0


def distance(x, y):
    """Squared distance of clouds about their centres."""
    return (x - x.mean(1, keepdim=True) - y + y.mean(1, keepdim=True)).square().sum((1, 2))


def points(rng, b=6, n=5):
    return torch.randn(2, b, n, 3, generator=rng, dtype=torch.float64)


def test_a_cloud_that_is_only_reordered_or_only_turned_comes_back(rng):
    x, _ = points(rng)
    assert_close(placed(x[:, torch.randperm(5, generator=rng)], x), x)
    small = torch.linalg.matrix_exp(torch.tensor([[0, 0.1, 0], [-0.1, 0, 0.05], [0, -0.05, 0]]))
    assert_close(placed(x @ small.to(x), x), x)


def test_what_is_moved_is_the_same_cloud(rng):
    """All distances between its points stay: the source draws it as often."""
    x_0, x_1 = points(rng)
    found = placed(x_0, x_1)
    before, after = torch.cdist(x_0, x_0).flatten(1), torch.cdist(found, found).flatten(1)
    assert_close(after.sort(1).values, before.sort(1).values)


def test_it_is_no_mirror_image(rng):
    x = points(rng)[0]
    assert float(distance(placed(x * torch.tensor([1.0, 1, -1]), x), x).min()) > 0.1


def test_the_order_is_the_best_one_and_the_turn_the_best_for_it(rng):
    x_0, x_1 = points(rng, b=3, n=4)
    found = placed(x_0, x_1)
    assert bool((distance(found, x_1) <= distance(x_0, x_1) + 1e-12).all())
    for _ in range(50):
        way = 0.1 * torch.randn(3, 3, generator=rng, dtype=torch.float64)
        spin = torch.linalg.matrix_exp(way - way.T)
        assert bool((distance(found @ spin, x_1) >= distance(found, x_1) - 1e-12).all())
    once = placed(x_0, x_1, rounds=1)
    best = torch.stack(
        [(x_0[:, p] - x_1 + x_1.mean(1, keepdim=True)).square().sum((1, 2))
         for p in map(list, itertools.permutations(range(4)))]
    ).min(0).values  # fmt: skip
    assert bool((distance(once, x_1) <= best + 1e-12).all())


def test_each_row_is_placed_alone(rng):
    x_0, x_1 = points(rng)
    assert_close(placed(x_0, x_1)[2:4], placed(x_0[2:4], x_1[2:4]))


def test_factors_without_a_coupling_stay_as_drawn(rng):
    x_0, x_1 = points(rng)
    tokens = torch.randint(3, (6, 5), generator=rng)
    found = ALIGNED.of_factors({"point": x_0, "token": tokens}, {"point": x_1, "token": tokens})
    assert_close(found["point"], placed(x_0, x_1))
    assert found["token"] is tokens
    drawn = {"point": x_0}
    assert IndependentCoupling().of_factors(drawn, {"point": x_1}) is drawn


def test_what_cannot_pair_products_is_refused(rng):
    x_0, x_1 = points(rng)
    states = {"point": x_0}, {"point": x_1}
    with pytest.raises(ValueError, match="use a ProductCoupling"):
        MinibatchOT().of_factors(*states)
    with pytest.raises(ValueError, match="pairs product states, not tensors"):
        ALIGNED(x_0, x_1)
    with pytest.raises(ValueError, match="none is"):
        ProductCoupling({"place": AlignedPoints()}).of_factors(*states)
    with pytest.raises(ValueError, match="moves data points of 'point'"):
        ProductCoupling({"point": UnbalancedOT()}).of_factors(*states, rng)


@pytest.mark.parametrize("coupling", [AlignedPoints(3), ALIGNED], ids=["points", "product"])
def test_configurations_hold_it(coupling):
    assert decode(encode(coupling)) == coupling
    assert isinstance(coupling, Coupling) and not coupling.independent


def test_a_factor_whose_head_is_of_independent_pairs_is_refused():
    def model(head):
        heads = ProductHead({"point": head, "token": PosteriorHead(levels=2)})
        return GeneratorModel(nn.Identity(), PATH, heads)

    good = model(FlowHead("x_1"))
    set_coupling(good, ALIGNED)
    assert coupling_of(good) == ALIGNED
    with pytest.raises(ValueError, match="AlignedPoints trains the Flow of a GaussianPath"):
        set_coupling(model(JumpHead(bins=8)), ALIGNED)
    set_coupling(model(JumpHead(bins=8)), ProductCoupling({"point": IndependentCoupling()}))
