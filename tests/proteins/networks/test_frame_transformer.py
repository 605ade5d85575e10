"""The transformer on frames: it moves with the world, and moves nothing that is known."""

import pytest
import torch
from torch.testing import assert_close

from feller.core.conditions import dropped
from feller.core.config import decode, encode
from feller.core.nn.condition_kinds import ClassCondition, FloatCondition, ImageCondition
from feller.core.nn.conditions import Conditions
from feller.proteins.networks import FrameTransformerConfig
from feller.proteins.networks.features import LINKS
from feller.proteins.so3.rotations import Rotations, exp

SMALL = {"dim": 16, "pair": 8, "depth": 2, "num_heads": 2}
VARIANTS = [
    {},
    {"points": 2, "atom_distances": True},
    {"self_conditioning": True},
    {"updates": 1},
]
every_variant = pytest.mark.parametrize("options", VARIANTS, ids=str)


def network(dtype=torch.float64, **options):
    """Return a network whose weights, those that start at zero too, are shaken."""
    made = FrameTransformerConfig(**(SMALL | options)).build()
    g = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in made.parameters():
            weight.add_(0.2 * torch.randn(weight.shape, generator=g))
    return made.to(dtype)


def state(rng, b=2, n=7, dtype=torch.float64):
    """Return a state, clocks of each residue and an index with a gap."""
    x = {
        "translation": torch.randn(b, n, 3, generator=rng, dtype=dtype),
        "rotation": exp(2 * torch.randn(b, n, 3, generator=rng, dtype=dtype)),
        "residue": torch.randint(21, (b, n), generator=rng),
    }
    clocks = {name: torch.rand(b, n, generator=rng) for name in x}
    index = torch.arange(n).expand(b, n).clone()
    index[:, n // 2 :] += 4
    return x, clocks, index


def earlier(made, rng, x):
    if not made.config.self_conditioning:
        return None
    return torch.randn(x["translation"].shape, generator=rng, dtype=x["translation"].dtype)


def parts(output):
    return output.hidden, output.translation, output.rotation


@every_variant
@pytest.mark.parametrize(("dtype", "digits"), [(torch.float64, 1e-9), (torch.float32, 1e-4)])
def test_the_network_moves_with_the_world(options, dtype, digits, rng):
    made, (x, clocks, index) = network(dtype, **options), state(rng, dtype=dtype)
    previous = earlier(made, rng, x)
    turn = exp(torch.randn(3, generator=rng, dtype=dtype))
    shift = torch.tensor([2.0, -3.0, 1.0], dtype=dtype)
    world = x | {"translation": x["translation"] @ turn.T + shift, "rotation": turn @ x["rotation"]}
    seen_before = None if previous is None else previous @ turn.T + shift
    still = made(x, clocks, index, previous)
    moved = made(world, clocks, index, seen_before)
    assert (still.translation - x["translation"]).abs().max() > 0.1
    assert (still.rotation - x["rotation"]).abs().max() > 0.1
    assert_close(moved.hidden, still.hidden, rtol=0, atol=digits)
    assert_close(moved.translation, still.translation @ turn.T + shift, rtol=0, atol=digits)
    assert_close(moved.rotation, turn @ still.rotation, rtol=0, atol=digits)


@every_variant
def test_rotations_stay_rotations(options, rng):
    made, (x, clocks, index) = network(**options), state(rng)
    Rotations().check(made(x, clocks, index).rotation)


@every_variant
def test_a_fresh_network_moves_nothing(options, rng):
    made = FrameTransformerConfig(**(SMALL | options)).build()
    x, clocks, index = state(rng, dtype=torch.float32)
    output = made(x, clocks, index)
    assert output.translation.equal(x["translation"])
    assert_close(output.rotation, x["rotation"])


def test_order_one_outputs_move_half_a_nanometre(rng):
    made = FrameTransformerConfig(**SMALL, updates=1).build()
    torch.nn.init.ones_(made.groups[0].move.bias)
    x, clocks, index = state(rng, dtype=torch.float32)
    clocks["translation"] = torch.tensor([[0.0, 0.5, 0.9, 0.95, 0.999, 1.0, 0.0]]).expand(2, 7)
    output = made(x, clocks, index)
    far = (output.translation - x["translation"]).norm(dim=-1) / 3**0.5
    lengths = torch.tensor([0.5, 0.25, 0.05, 0.05, 0.05, 0.0, 0.5])
    assert_close(far, lengths.expand(2, 7), rtol=0, atol=1e-6)


@pytest.mark.parametrize("factor", ["translation", "rotation"])
def test_what_is_known_stays(factor, rng):
    made, (x, clocks, index) = network(torch.float32), state(rng, dtype=torch.float32)
    clocks[factor][0, 2:5] = 1.0
    output = made(x, clocks, index)
    before, after = x[factor], getattr(output, factor)
    other = "rotation" if factor == "translation" else "translation"
    assert after[0, 2:5].equal(before[0, 2:5])
    assert not after[0, :2].eq(before[0, :2]).flatten(1).all(1).any()
    assert not getattr(output, other)[0].eq(x[other][0]).flatten(1).all(1).any()


@pytest.mark.parametrize("factor", ["translation", "rotation", "residue"])
def test_each_residue_has_its_own_clocks(factor, rng):
    made, (x, clocks, index) = network(), state(rng)
    before = made(x, clocks, index).hidden
    late = {name: t.clone() for name, t in clocks.items()}
    late[factor][0, 3] = 0.99
    change = (made(x, late, index).hidden - before).abs().amax(-1)
    assert change[0, 3] > 1e-3
    assert change[0, 3] > 2 * change[0, 0]
    assert change[1].max() == 0


@every_variant
def test_samples_do_not_see_each_other(options, rng):
    made, (x, clocks, index) = network(**options), state(rng, b=3)
    order = torch.tensor([2, 0, 1])
    index[1] += torch.arange(7)
    previous = earlier(made, rng, x)
    straight = parts(made(x, clocks, index, previous))
    picked = {k: v[order] for k, v in x.items()}, {k: t[order] for k, t in clocks.items()}
    shuffled = made(*picked, index[order], None if previous is None else previous[order])
    for one, other in zip(straight, parts(shuffled), strict=True):
        assert_close(other, one[order], rtol=0, atol=1e-12)


@every_variant
@pytest.mark.parametrize(("b", "n"), [(70, 40), (17, 100), (9, 128), (4, 256)])
def test_a_batch_is_taken_in_slices_but_in_training(options, b, n, rng):
    made = network(torch.float32, **options)
    x, clocks, index = state(rng, b=b, n=n, dtype=torch.float32)
    pairs = []
    made.groups[0].pairs.register_forward_hook(lambda _, inputs, out: pairs.append(inputs[2].shape))
    previous = earlier(made, rng, x)
    with torch.no_grad():
        whole = parts(made(x, clocks, index, previous))
        sliced = parts(made.eval()(x, clocks, index, previous))
    assert pairs[0][0] == b
    assert sum(shape[0] for shape in pairs[1:]) == b
    assert len(pairs) > 2
    assert max(shape[0] for shape in pairs[1:]) * n**2 <= max(100_000, 2 * n**2)
    for one, other in zip(sliced, whole, strict=True):
        assert_close(one, other, rtol=0, atol=1e-5)


@every_variant
@pytest.mark.parametrize("n", [1, 2])
def test_short_chains_work(options, n, rng):
    made, (x, clocks, index) = network(**options), state(rng, n=n)
    for part in parts(made(x, clocks, index)):
        assert part.isfinite().all()


def test_long_chains_work(rng):
    made, (x, clocks, index) = network(torch.float32), state(rng, b=1, n=512, dtype=torch.float32)
    with torch.no_grad():
        for part in parts(made(x, clocks, index)):
            assert part.isfinite().all()


@every_variant
@pytest.mark.parametrize("spread", [0.0, 1e-4])
def test_slopes_are_finite_where_positions_coincide(options, spread, rng):
    made, (x, clocks, index) = network(torch.float32, **options), state(rng, dtype=torch.float32)
    for name in ("translation", "rotation"):
        x[name] = x[name].clone()
    x["translation"][:, 1:4] = x["translation"][:, :1] + spread
    x["rotation"][:, 1] = x["rotation"][:, 0]
    for name in ("translation", "rotation"):
        x[name].requires_grad_()
    output = made(
        x, clocks, index, torch.zeros(2, 7, 3) if "self_conditioning" in options else None
    )
    sum(part.square().mul(torch.rand(part.shape)).sum() for part in parts(output)).backward()
    for slope in (x["translation"].grad, x["rotation"].grad, *(p.grad for p in made.parameters())):
        assert slope.isfinite().all()


@every_variant
def test_every_weight_is_used(options, rng):
    made, (x, clocks, index) = network(**options), state(rng)
    output = made(x, clocks, index, earlier(made, rng, x))
    sum(part.mul(torch.rand(part.shape)).sum() for part in parts(output)).backward()
    for name, weight in made.named_parameters():
        assert weight.grad is not None, name
        assert weight.grad.abs().max() > 0, name
    for group in made.groups:
        assert (group.look.weight.grad[:, -LINKS:].abs().max(0).values > 0).all()


def test_slopes_are_right(rng):
    made, (x, clocks, index) = network(points=1), state(rng, b=1, n=3)

    def run(translation, rotation):
        return parts(made(x | {"translation": translation, "rotation": rotation}, clocks, index))

    inputs = x["translation"].requires_grad_(), x["rotation"].requires_grad_()
    assert torch.autograd.gradcheck(run, inputs)


def test_gaps_matter(rng):
    made, (x, clocks, index) = network(), state(rng)
    whole = torch.arange(7).expand(2, 7)
    before, after = made(x, clocks, index).hidden, made(x, clocks, whole).hidden
    assert not torch.allclose(before, after, atol=1e-3)
    assert_close(made(x, clocks, whole + 100).hidden, after)


@every_variant
def test_a_mirror_is_another_world(options, rng):
    made, (x, clocks, index) = network(**options), state(rng)
    mirror = torch.diag(torch.tensor([1.0, 1.0, -1.0], dtype=torch.float64))
    # A mirrored frame is turned back into a right-handed one along its third axis.
    mirrored = x | {
        "translation": x["translation"] @ mirror,
        "rotation": mirror @ x["rotation"] @ mirror,
    }
    Rotations().check(mirrored["rotation"])
    before, after = made(x, clocks, index).hidden, made(mirrored, clocks, index).hidden
    assert (before - after).abs().max() > 0.05


def test_an_earlier_estimate_is_seen_and_only_where_it_is_asked_for(rng):
    made, (x, clocks, index) = network(self_conditioning=True), state(rng)
    estimate = torch.randn(2, 7, 3, generator=rng, dtype=torch.float64)
    first, later = made(x, clocks, index).hidden, made(x, clocks, index, estimate).hidden
    assert not torch.allclose(first, later, atol=1e-3)
    with pytest.raises(ValueError, match="self_conditioning=False takes no earlier estimate"):
        network()(x, clocks, index, estimate)


@every_variant
def test_geometry_stays_in_single_precision_under_autocast(options, rng):
    made, (x, clocks, index) = network(torch.float32, **options), state(rng, dtype=torch.float32)
    previous = earlier(made, rng, x)
    full = made(x, clocks, index, previous)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = made(x, clocks, index, previous)
    assert half.translation.dtype == half.rotation.dtype == torch.float32
    Rotations().check(half.rotation)
    error = half.rotation.mT @ half.rotation - torch.eye(3)
    assert error.abs().max() < 1e-5
    assert_close(half.translation, full.translation, rtol=0, atol=0.1)


def test_dropout_is_for_training_only(rng):
    made, (x, clocks, index) = network(dropout=0.5), state(rng)
    assert not made(x, clocks, index).hidden.equal(made(x, clocks, index).hidden)
    made.eval()
    assert made(x, clocks, index).hidden.equal(made(x, clocks, index).hidden)


@every_variant
def test_configurations_survive_json(options):
    config = FrameTransformerConfig(**options)
    assert decode(encode(config)) == config


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"depth": 4, "updates": 3}, "3 updates cannot share 4 blocks equally"),
        ({"depth": 4, "updates": 0}, "0 updates cannot share 4 blocks"),
        ({"depth": 0, "updates": 1}, "1 updates cannot share 0 blocks"),
        ({"dim": 30, "num_heads": 4}, "4 heads cannot share 30 channels equally"),
    ],
)
def test_sizes_divide(options, message):
    with pytest.raises(ValueError, match=message):
        FrameTransformerConfig(**options)


@pytest.mark.compile
@pytest.mark.parametrize("options", [{}, {"points": 2, "self_conditioning": True}], ids=str)
def test_a_compiled_network_is_the_eager_network(options, rng):
    made, (x, clocks, index) = network(torch.float32, **options), state(rng, dtype=torch.float32)
    previous = earlier(made, rng, x)
    compiled = torch.compile(made, fullgraph=True)(x, clocks, index, previous)
    for one, other in zip(parts(compiled), parts(made(x, clocks, index, previous)), strict=True):
        assert_close(one, other, rtol=0, atol=1e-4)


@pytest.mark.parametrize("b", [2, 120])
def test_it_is_told_things_of_a_chain_by_name(b, rng):
    conditions = Conditions({"kind": ClassCondition(classes=3), "size": FloatCondition()})
    made = network(conditions=conditions).eval()
    x, clocks, index = state(rng, b=b, n=30 if b > 2 else 7)
    told = {"kind": torch.arange(b) % 3, "size": torch.rand(b, generator=rng).double()}
    found, silent = made(x, clocks, index, None, told), made(x, clocks, index)
    assert not found.hidden[0].allclose(silent.hidden[0])
    first = dropped(told, torch.arange(b) == 0)
    mixed = made(x, clocks, index, None, first)
    assert_close(mixed.hidden[0], silent.hidden[0])
    assert_close(mixed.hidden[-1], found.hidden[-1])
    assert decode(encode(made.config)) == made.config


def test_what_it_cannot_be_told_is_refused(rng):
    x, clocks, index = state(rng)
    with pytest.raises(ValueError, match="a network without any"):
        network()(x, clocks, index, None, {"kind": torch.tensor([0, 1])})
    with pytest.raises(ValueError, match="frames cannot be concatenated to an image"):
        network(conditions=Conditions({"look": ImageCondition(image_channels=1)}))
