"""Repulsion: the stated gradient step, what it leaves alone, and samples that overlap less."""

import pytest
import structures
import torch
from torch.testing import assert_close

from feller.proteins.design.conditioning import backbone_of, nothing
from feller.proteins.drawing import draw
from feller.proteins.models import ProteinModelConfig
from feller.proteins.networks import FrameTransformerConfig
from feller.proteins.repulsion import ALONG, NEAREST, ROUNDS, apart
from feller.proteins.sampling import Sampling
from feller.proteins.so3.rotations import exp


def energy(position):
    index = torch.arange(position.shape[1])
    pairs = (index[:, None] - index).abs() >= ALONG
    distance = (position[:, :, None] - position[:, None] + torch.eye(len(index))[..., None]).norm(
        dim=-1
    )
    return ((NEAREST - distance).clamp_min(0) * pairs).square().sum() / 4


def test_it_is_gradient_steps_on_squared_overlaps(rng):
    position = 0.3 * torch.randn(2, 9, 3, generator=rng)
    expected = position
    for _ in range(ROUNDS):
        at = expected.clone().requires_grad_()
        (slope,) = torch.autograd.grad(energy(at), at)
        expected = expected - 0.7 / 2 * slope
    assert_close(apart(position, torch.ones(2, 9), 0.7), expected, rtol=0, atol=1e-6)
    assert energy(expected) < energy(position)


def test_a_motion_of_the_world_moves_what_it_returns(rng):
    position = 0.3 * torch.randn(2, 9, 3, generator=rng)
    turn, clock = exp(torch.randn(3, generator=rng)), torch.ones(2, 9)
    moved = apart(position @ turn.T + 1, clock)
    assert_close(moved, apart(position, clock) @ turn.T + 1, rtol=0, atol=1e-6)


def test_neighbours_and_early_times_are_left_alone(rng):
    position = 0.3 * torch.randn(1, 9, 3, generator=rng)
    assert apart(position, torch.full((1, 9), 0.29)).equal(position)
    assert apart(position[:, :3], torch.ones(1, 3)).equal(position[:, :3])
    clock = torch.tensor([[0.0] * 6 + [1.0] * 3])  # a motif is known, the rest at its source
    assert apart(position, clock)[:, :6].equal(position[:, :6])
    assert apart(torch.zeros(1, 9, 3), torch.ones(1, 9)).isfinite().all()


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    network = FrameTransformerConfig(
        dim=16, pair=8, depth=2, num_heads=2, updates=2, self_conditioning=True
    )
    return ProteinModelConfig(network=network).build()


def test_a_model_has_a_default_that_may_be_turned_off(model):
    def places(repulsion=None, weight=0.0):
        object.__setattr__(model.config, "repulsion", weight)
        return draw(model, 2, nothing(20), Sampling(steps=8, repulsion=repulsion)).state[
            "translation"
        ]

    plain, parted = places(), places(1.0)
    assert energy(parted) < 0.5 * energy(plain)
    assert places(weight=1.0).equal(parted) and places(0.0, weight=1.0).equal(plain)


def test_given_positions_stay(model):
    given = backbone_of(structures.chain(12))
    found = draw(model, 1, given, Sampling(steps=3, repulsion=1.0))
    assert found.state["translation"].equal(given.state["translation"].expand(1, -1, -1))


@pytest.mark.parametrize("repulsion", [-1.0, float("nan"), float("inf")])
def test_a_weight_is_finite(repulsion):
    with pytest.raises(ValueError, match="repulsion is at least 0 and finite"):
        ProteinModelConfig(repulsion=repulsion)
    with pytest.raises(ValueError, match="repulsion is at least 0 and finite"):
        Sampling(repulsion=repulsion)
