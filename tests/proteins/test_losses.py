from dataclasses import replace

import pytest
import torch

from feller.core import random
from feller.core.losses import Objective, Sample
from feller.proteins.losses import FrameLoss
from feller.proteins.models import MASK, ProteinModelConfig
from feller.proteins.networks import FrameTransformerConfig
from feller.proteins.so3.rotations import exp


def model(**options):
    torch.manual_seed(0)
    network = FrameTransformerConfig(dim=32, pair=8, depth=2, num_heads=2, updates=2, **options)
    return ProteinModelConfig(network=network).build()


def sample(m, t, b=4, n=10):
    rng = torch.Generator().manual_seed(1)
    place = torch.randn(b, n, 3, generator=rng)
    z = {
        "translation": place - place.mean(1, keepdim=True),
        "rotation": exp(torch.randn(b, n, 3, generator=rng)),
        "residue": torch.randint(20, (b, n), generator=rng),
    }
    return Sample(z, t, m.path.sample(z, t, random.rows(0, 0, b)))


def parts(m, found, s):
    return FrameLoss().parts(m.path, s, found, torch.arange(10).expand(4, 10))


def perfect(m, s):
    """What a network would say that knows the data."""
    z, t, x = s
    found = m(x, t, predict=True)
    narrow = torch.full_like(found.concentrations, 2000.0)
    logits = 50.0 * torch.nn.functional.one_hot(z["residue"], 20)
    return replace(
        found,
        translation=z["translation"],
        rotation=z["rotation"],
        turn=torch.zeros_like(found.turn),
        centres=z["rotation"][..., None, :, :].expand_as(found.centres),
        concentrations=narrow,
        residue=logits,
    )


def test_who_knows_the_data_pays_nothing():
    m = model()
    s = sample(m, 0.7)
    losses = parts(m, perfect(m, s), s)
    for name in ("translation", "rotation_velocity", "residue", "geometry", "contact"):
        assert losses[name].abs().max() < 1e-6, name
    assert (losses["rotation_likelihood"] < -8).all()  # the log density of so narrow a distribution


def test_positions_cost_the_squared_error_of_the_velocity():
    m = model()
    s = sample(m, 0.6)
    found = perfect(m, s)
    wrong = replace(found, translation=found.translation + torch.tensor([0.3, 0.0, 0.0]))
    assert parts(m, wrong, s)["translation"].tolist() == pytest.approx([0.09 / 0.16] * 4, rel=1e-4)
    s = sample(m, 0.99)  # held at 0.9
    wrong = replace(perfect(m, s), translation=s[0]["translation"] + torch.tensor([0.3, 0.0, 0.0]))
    assert parts(m, wrong, s)["translation"].tolist() == pytest.approx([9.0] * 4, rel=1e-4)


def test_turns_cost_the_squared_error_of_the_velocity():
    m = model()
    s = sample(m, 0.6)
    wrong = replace(perfect(m, s), turn=torch.tensor([0.0, 2.0, 0.0]).expand(4, 10, 3))
    assert parts(m, wrong, s)["rotation_velocity"].tolist() == pytest.approx([4.0] * 4, rel=1e-4)


def test_early_turns_cost_less_where_they_are_to_settle():
    m = model()
    index = torch.arange(10).expand(4, 10)
    for t, part in ((0.2, 1 / 8), (0.4, 1.0), (0.6, 1.0)):
        s = sample(m, t)
        wrong = replace(perfect(m, s), turn=torch.tensor([0.0, 2.0, 0.0]).expand(4, 10, 3))
        found = FrameLoss(settle=0.4).parts(m.path, s, wrong, index)["rotation_velocity"]
        assert found.tolist() == pytest.approx([4.0 * part] * 4, rel=1e-4)


def pair(apart, index):
    """Residues 0.5 nm apart in the data, and `apart` nm in what is found: what contacts cost."""
    m = model()
    z, t, x = sample(m, 0.6, b=1, n=2)
    place = torch.tensor([[[0.25, 0.0, 0.0], [-0.25, 0.0, 0.0]]])
    s = Sample({**z, "translation": place}, t, x)
    found = replace(perfect(m, s), translation=place * apart / 0.5)
    return FrameLoss().parts(m.path, s, found, torch.tensor([index]))["contact"].item()


def test_contacts_cost_the_squared_errors_of_distances_in_space():
    weight = 1 / 0.16
    assert pair(0.7, [0, 3]) == pytest.approx(0.04 * weight, rel=1e-4)
    assert pair(0.7, [0, 2]) == 0  # neighbours in the chain, which geometry sees
    assert pair(0.5, [0, 3]) == pytest.approx(0, abs=1e-9)


def test_a_clash_that_is_none_in_the_data_costs_ten_times_as_much():
    assert pair(0.35, [0, 9]) == pytest.approx(10 * 0.0225 / 0.16, rel=1e-4)


def test_residues_cost_only_where_they_are_masked_and_known():
    m = model()
    s = sample(m, 0.5)
    flat = replace(perfect(m, s), residue=torch.zeros(4, 10, 20))
    assert parts(m, flat, s)["residue"].tolist() == pytest.approx([2.9957] * 4, rel=1e-3)
    z = {**s[0], "residue": torch.full_like(s[0]["residue"], MASK)}
    x = {**s[2], "residue": z["residue"]}
    assert not parts(m, flat, Sample(z, 0.5, x))["residue"].any()


def test_what_is_known_costs_nothing():
    m = model()
    t = {"translation": 1.0, "rotation": 1.0, "residue": 0.5}
    s = sample(m, t)
    losses = parts(m, m(s[2], t, predict=True), s)
    assert not losses["translation"].any() and not losses["rotation_velocity"].any()
    assert not losses["rotation_likelihood"].any() and not losses["geometry"].any()


def test_links_across_a_gap_cost_nothing():
    m = model()
    s = sample(m, 0.9)
    found = perfect(m, s)
    place = found.translation.clone()
    place[:, 5:] += 1.0  # a nanometre apart, where the chain is broken
    wrong = replace(found, translation=place)
    whole, gap = torch.arange(10).expand(4, 10), torch.arange(10) + 7 * (torch.arange(10) > 4)
    of = FrameLoss().parts
    with_gap = of(m.path, s, wrong, gap.expand(4, 10))["geometry"]
    assert (with_gap < of(m.path, s, wrong, whole)["geometry"]).all()


def test_the_parts_are_named_and_add_up():
    m = model()
    s = sample(m, torch.tensor([0.3, 0.6, 0.8, 0.9]))
    loss = FrameLoss()
    named = loss.by_part(m, m.path, *s)
    assert list(named) == [
        "translation",
        "rotation_velocity",
        "rotation_likelihood",
        "residue",
        "geometry",
        "contact",
    ]
    torch.testing.assert_close(sum(named.values()), loss(m, m.path, *s))
    total = (loss + 0.5 * Objective()).by_part(m, m.path, *s)
    assert {"frame_loss/rotation_velocity", "objective/residue"} <= total.keys()


def test_the_objective_of_the_core_trains_proteins():
    """Each factor's generator is compared with the conditional one."""
    m = model().eval()
    both = m.weighted(flow=0.5, jump=0.5)
    s = sample(m, torch.tensor([0.3, 0.6, 0.8, 0.9]))
    flow, mixed = (Objective()(one, m.path, *s) for one in (m, both))
    named = parts(m, m(s[2], s[1], predict=True), s)
    # The flow of rotations is compared for any weight of it, and the jump by the posterior.
    torch.testing.assert_close(mixed - flow, named["rotation_likelihood"])
    assert torch.autograd.grad(mixed.sum(), m.heads.linear.weight)[0].isfinite().all()


@pytest.mark.parametrize("looks", [False, True])
def test_every_weight_learns(looks):
    m = model(self_conditioning=looks)
    s = sample(
        m, {"translation": torch.tensor([0.7, 0.6, 0.8, 0.9]), "rotation": 0.7, "residue": 0.5}
    )
    for _ in range(3):  # gates begin at zero: what is behind them learns a step later
        FrameLoss()(m, m.path, *s).mean().backward()
        with torch.no_grad():
            for p in m.parameters():
                p.add_(p.grad, alpha=-0.01)
                moved = p.grad.abs().sum() > 0
                p.grad = None if p.ndim else p.grad
    FrameLoss()(m, m.path, *s).mean().backward()
    still = [name for name, p in m.named_parameters() if not p.grad.abs().sum() > 0]
    assert moved and not still


def test_a_row_looks_twice_in_any_batch():
    m = model(self_conditioning=True).eval()
    for p in m.parameters():
        torch.nn.init.normal_(p, std=0.1)
    t = {"translation": torch.rand(4), "rotation": torch.rand(4), "residue": torch.rand(4)}
    z, _, x = sample(m, t)
    whole = FrameLoss()(m, m.path, z, t, x)
    one = [{k: v[2:3] for k, v in value.items()} for value in (z, t, x)]
    torch.testing.assert_close(FrameLoss()(m, m.path, *one), whole[2:3], rtol=1e-4, atol=1e-4)


def test_a_motif_does_not_say_who_looks_twice():
    m = model(self_conditioning=True).eval()
    for p in m.parameters():
        torch.nn.init.normal_(p, std=0.1)
    late = 0.7 + torch.tensor([0.25, 0.75]) / 2**12 + (1 - 0.7 * 2**12 % 1) / 2**12
    t = late[:, None].repeat(1, 10)
    t[:, :3] = 1  # known, at the start of the chain
    clocks = {"translation": t, "rotation": t, "residue": t}
    z, _, x = sample(m, clocks, b=2)
    seen = []
    m.network.register_forward_hook(lambda _, inputs, __: seen.append(inputs[3]))
    FrameLoss()(m, m.path, z, clocks, x)
    first, second = seen
    assert first is None
    assert not second[0].isnan().any() and second[1].isnan().all()


def test_rotations_keep_their_precision_under_mixed_precision(monkeypatch):
    m = model()
    s = sample(m, torch.tensor([0.3, 0.6, 0.9, 0.97]))
    found = m(s[2], s[1], predict=True)
    monkeypatch.setattr(m, "forward", lambda *given, **options: found)
    plain = FrameLoss()(m, m.path, s[0], s[1], s[2])
    with torch.autocast("cpu", torch.bfloat16):
        assert FrameLoss()(m, m.path, s[0], s[1], s[2]).equal(plain)
    half = found.to(torch.bfloat16)
    monkeypatch.setattr(m, "forward", lambda *given, **options: half)
    assert FrameLoss()(m, m.path, s[0], s[1], s[2]).dtype == torch.float32
