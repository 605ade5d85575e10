import pytest
import torch

from feller.core import random
from feller.core.grids import uniform_grid
from feller.core.registry import load
from feller.core.solvers import Euler, simulate
from feller.proteins.models import MASK, ProteinModelConfig
from feller.proteins.networks import FrameTransformerConfig
from feller.proteins.so3.rotations import exp

TURN, SHIFT = exp(torch.tensor([0.5, -1.1, 2.0])), torch.tensor([0.3, -2.0, 1.0])


def tiny(**options):
    torch.manual_seed(0)
    network = FrameTransformerConfig(dim=32, pair=8, depth=2, num_heads=2, updates=2)
    model = ProteinModelConfig(network=network, **options).build().eval()
    for p in model.parameters():  # what begins at zero would hide what it is worth
        torch.nn.init.normal_(p, std=0.1)
    return model


def source(model, b=2, n=9):
    like = {"translation": torch.empty(0), "rotation": torch.empty(0)}
    like["residue"] = torch.empty(0, dtype=torch.int64)
    shapes = {"translation": (b, n, 3), "rotation": (b, n, 3, 3), "residue": (b, n)}
    return model.path.sample_source(shapes, random.rows(7, 0, b), like=like)


def moved(x):
    return {
        "translation": x["translation"] @ TURN.T + SHIFT,
        "rotation": TURN @ x["rotation"],
        "residue": x["residue"],
    }


def test_the_prediction_turns_with_the_world_and_stays_centred():
    model = tiny()
    x = source(model)
    one, other = model(x, 0.4, predict=True), model(moved(x), 0.4, predict=True)
    torch.testing.assert_close(other.translation, one.translation @ TURN.T, rtol=0, atol=1e-4)
    torch.testing.assert_close(other.rotation, TURN @ one.rotation, rtol=0, atol=1e-4)
    torch.testing.assert_close(other.residue, one.residue, rtol=0, atol=1e-4)
    assert one.translation.mean(1).abs().max() < 1e-5


@pytest.mark.parametrize(
    ("flow", "jump"),
    [
        pytest.param(1.0, 0.0, marks=pytest.mark.slow),
        pytest.param(0.0, 1.0, marks=pytest.mark.slow),
        (0.5, 0.5),
    ],
)
def test_a_seeded_trajectory_turns_with_the_world(flow, jump):
    """Of a trained model: what sees bonds to a hundredth of their length magnifies rounding."""
    model = load("proteins/short-flow").eval().weighted(flow=flow, jump=jump)
    x, times = source(model), uniform_grid(12, end=0.95)
    x["translation"] = x["translation"] - x["translation"].mean(1, keepdim=True)
    turned = {**x, "translation": x["translation"] @ TURN.T, "rotation": TURN @ x["rotation"]}
    one, other = (
        simulate(model, start, times, Euler(), random.rows(1, 0, 2)).state for start in (x, turned)
    )
    torch.testing.assert_close(other["translation"], one["translation"] @ TURN.T, rtol=0, atol=1e-4)
    torch.testing.assert_close(other["rotation"], TURN @ one["rotation"], rtol=0, atol=1e-4)
    assert other["residue"].equal(one["residue"])
    assert (one["rotation"] - x["rotation"]).abs().max() > 0.1


def test_what_is_known_stays():
    model = tiny(flow=0.5, jump=0.5)
    x = source(model)
    known = torch.zeros(2, 9, dtype=torch.bool)
    known[:, 2:5] = True
    x["residue"][known] = 4
    grid = uniform_grid(10, end=0.9)[:, None, None]
    clock = torch.where(known, 1.0, grid)
    times = dict.fromkeys(x, clock)
    end = simulate(model, x, times, Euler(), random.rows(1, 0, 2)).state
    assert all(end[name][known].equal(x[name][known]) for name in x)
    assert not end["translation"][~known].equal(x["translation"][~known])


def test_a_row_of_a_batch_is_what_it_is_alone():
    model = tiny(flow=0.5, jump=0.5)
    whole = model.sample(3, length=8, steps=6, seed=4)
    parts = model.sample(3, length=8, steps=6, seed=4, batch_size=1)
    for a, b in zip(whole, parts, strict=True):
        assert a.sequence == b.sequence
        torch.testing.assert_close(torch.tensor(a.atoms), torch.tensor(b.atoms), rtol=0, atol=1e-3)


def test_weights_are_shared_and_the_fractions_are_checked():
    model = tiny()
    twin = model.weighted(flow=0.25, jump=0.75)
    assert twin.heads is model.heads and model.config.jump == 0
    with pytest.raises(ValueError, match="sum to 1"):
        model.weighted(flow=0.5, jump=0.6)
    with pytest.raises(ValueError, match="modes is at least 1"):
        ProteinModelConfig(modes=0)


def test_the_mask_is_never_drawn_and_only_masks_jump():
    model = tiny()
    x = source(model)
    x["residue"][:, :4] = 3
    (jump,) = model(x, 0.5).factors["residue"].split().jumps
    assert not jump.intensity[:, :4].any() and (jump.intensity[:, 4:] > 0).all()
    assert jump.destination.expand(torch.Size((2, 9))).sample(torch.Generator()).max() < MASK


def test_models_add_up():
    """One part of the rotations flows, the other jumps; both are sums themselves."""
    one, other = (tiny().weighted(flow=flow, jump=1 - flow) for flow in (1.0, 0.25))
    mixed, x_0 = 0.5 * one + 0.5 * other, source(one)
    end = simulate(mixed, x_0, uniform_grid(4), Euler(), random.rows(0, 0, 2)).state
    assert all(value.isfinite().all() for value in end.values())
    first, second = (model(x_0, 0.5).factors["translation"].velocity for model in (one, other))
    both = mixed(x_0, 0.5).by_factor()["translation"].split()
    assert torch.allclose(both.drift, 0.5 * first + 0.5 * second)
