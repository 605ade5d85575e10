import copy
import inspect
import re
from dataclasses import replace

import numpy as np
import pytest
import structures
import tiny_proteins
import torch
from scipy import stats

from feller.core.discrete.solvers import TOKEN_SOLVERS
from feller.core.registry import load
from feller.proteins.design.conditioning import backbone_of, nothing, sequence_of
from feller.proteins.drawing import draw
from feller.proteins.metrics.likelihood import sequence_likelihood
from feller.proteins.models import MASK, ProteinModelConfig
from feller.proteins.networks import FrameOutput, FrameTransformerConfig
from feller.proteins.sampling import Sampling
from feller.proteins.so3.fisher import mean_cosine
from feller.proteins.so3.paths import FisherPath, HeatKernelPath
from feller.proteins.so3.rotations import angle


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    network = FrameTransformerConfig(
        dim=32, pair=8, depth=2, num_heads=2, updates=2, self_conditioning=True
    )
    return ProteinModelConfig(network=network).build()


def test_calls_are_steps_and_every_state_is_kept(model):
    drawing = draw(model, 3, nothing(7), Sampling(steps=5, keep=True, batch_size=2))
    assert drawing.nfe == 5
    assert len(drawing.steps) == 6
    assert drawing.steps[-1]["translation"].equal(drawing.state["translation"])
    assert (drawing.steps[0]["residue"] == MASK).all()
    assert (drawing.state["residue"] < MASK).all()


@pytest.mark.parametrize("length", [1, 2, 3])
@pytest.mark.parametrize("jump", [0.0, 0.5, 1.0])
def test_short_chains(model, length, jump):
    for chain in model.sample(2, length=length, steps=4, jump=jump):
        assert chain.atoms.shape == (length, 4, 3) and np.isfinite(chain.atoms).all()


def test_one_step_is_the_prediction(model):
    assert draw(model, 1, nothing(5), Sampling(steps=1)).nfe == 1


def test_backbones_alone_keep_their_residues_unknown(model):
    drawing = draw(model, 2, nothing(6), Sampling(steps=4, sequence=False))
    assert (drawing.state["residue"] == MASK).all()


def test_no_temperature_is_the_mode(model):
    one, other = (
        draw(model, 1, nothing(6), Sampling(steps=1, temperature=0.0), seed=s).state for s in (0, 0)
    )
    assert one["residue"].equal(other["residue"])


def test_hardly_a_temperature_is_the_mode(model):
    mode, cold = (
        draw(model, 1, nothing(6), Sampling(steps=3, temperature=T)).state["residue"]
        for T in (0.0, 1e-39)
    )
    assert cold.equal(mode)


def test_the_model_is_left_in_its_mode(model):
    model.train()
    model.sample(1, length=2, steps=2)
    assert model.training


def test_no_residue_and_no_sample(model):
    with pytest.raises(ValueError, match="length is at least 1, not 0"):
        draw(model, 1, nothing(0), Sampling())


@pytest.mark.gate
def test_noise_leaves_the_distribution_of_positions_alone_and_less_of_it_narrows_it(monkeypatch):
    """All data at the origin: places at time t are normal, with deviation 1 - t."""
    model = ProteinModelConfig(network=FrameTransformerConfig(dim=8, depth=2, num_heads=1)).build()

    def origin(x, clocks, index, previous):
        hidden = torch.zeros(*x["residue"].shape, 8)
        return FrameOutput(hidden, torch.zeros_like(x["translation"]), x["rotation"])

    monkeypatch.setattr(model.network, "forward", origin)

    def spread(noise, scale, at=25, **final):
        how = {"noise": noise, "noise_scale": scale} | final
        sampling = Sampling(steps=50, power=1.0, keep=True, **how)
        return float(draw(model, 32, nothing(8), sampling).steps[at]["translation"].std())

    assert spread(0.0, 1.0) == pytest.approx(0.5, rel=0.06)
    assert spread(0.5, 1.0) == pytest.approx(0.5, rel=0.06)
    assert spread(2.0, 0.3) < 0.4
    assert spread(2.0, 0.3, final_noise_scale=1.0) == spread(2.0, 0.3)  # up to the middle
    late = [spread(4.0, 0.3, 45, final_noise_scale=end) for end in (0.3, 1.0)]
    assert late[0] < 0.07 and late[1] == pytest.approx(0.1, rel=0.15)


@pytest.mark.gate
def test_noise_leaves_the_distribution_of_rotations_alone_and_less_of_it_narrows_it(monkeypatch):
    """All data unturned: rotations at time t are isotropic Fisher, of the path's concentration."""
    model = ProteinModelConfig(network=FrameTransformerConfig(dim=8, depth=2, num_heads=1)).build()
    heads = model.heads.forward

    def unturned(output):
        found = heads(output)
        still = torch.eye(3).expand_as(found.rotation)
        sharp = torch.full_like(found.concentrations, 1e5)
        centres = still[..., None, :, :].expand_as(found.centres)
        return replace(found, rotation=still, centres=centres, concentrations=sharp)

    monkeypatch.setattr(model.heads, "forward", unturned)

    def away(noise, scale, **weights):
        how = {"rotation_noise": noise, "noise_scale": scale, "flow": 0.0, "jump": 0.0} | weights
        drawing = draw(model, 24, nothing(16), Sampling(steps=60, power=1.0, keep=True, **how))
        return float(1 - angle(drawing.steps[30]["rotation"]).cos().mean())

    expected = float(1 - mean_cosine(FisherPath().parameter(torch.tensor(0.5))))
    assert away(1.0, 1.0, flow=1.0) == pytest.approx(expected, rel=0.15)
    assert away(1.0, 1.0, jump=1.0) == pytest.approx(expected, rel=0.15)
    assert away(3.0, 0.3, flow=1.0) < 0.7 * expected


def test_what_is_known_gets_no_noise(model):
    given = nothing(5)
    for name, value in (("translation", torch.tensor(0.25)), ("rotation", torch.eye(3))):
        given.known[name][2] = True
        given.state[name][2] = value
    drawing = draw(model, 2, given, Sampling(steps=5, noise=2.0, rotation_noise=2.0))
    assert (drawing.state["translation"][:, 2] == 0.25).all()
    assert (drawing.state["rotation"][:, 2] == torch.eye(3)).all()
    assert drawing.state["translation"].isfinite().all()
    assert drawing.state["rotation"].isfinite().all()


def test_noise_is_the_models_unless_it_is_asked_for(model):
    twin = copy.copy(model)
    twin.config = replace(model.config, noise=2.0, rotation_noise=3.0, noise_scale=0.5)
    asked = {"noise": 2.0, "rotation_noise": 3.0, "noise_scale": 0.5}

    def places(which, **noise):
        return draw(which, 1, nothing(6), Sampling(steps=4, **noise)).state["translation"]

    assert places(twin).equal(places(model, **asked))
    assert places(twin, noise=0.0, rotation_noise=0.0).equal(places(model))
    assert not places(twin).equal(places(twin, rotation_noise=0.0))
    twin.config = replace(twin.config, final_noise_scale=1.0)
    assert places(twin).equal(places(model, **asked, final_noise_scale=1.0))
    assert places(twin, noise_scale=0.5).equal(places(model, **asked))  # one number for all times
    assert not places(twin).equal(places(model))


def test_rotations_have_noise_on_the_fisher_path_only():
    network = FrameTransformerConfig(dim=8, depth=2, num_heads=1)
    model = ProteinModelConfig(network=network, rotation=HeatKernelPath()).build()
    with pytest.raises(ValueError, match="rotation_noise is for rotations on a FisherPath, not"):
        draw(model, 1, nothing(5), Sampling(steps=2, rotation_noise=1.0))


@pytest.mark.parametrize("temperature", [0.0, 0.5, 1.0, 4.0])
def test_the_temperature_is_that_of_every_step(model, monkeypatch, temperature):
    """A head that always names one law: what is drawn in 8 steps has its power 1 / T."""
    law = torch.softmax(torch.randn(20, generator=torch.Generator().manual_seed(0)), 0)
    heads = model.heads.forward

    def fixed(*args):
        found = heads(*args)
        return replace(found, residue=law.log().expand_as(found.residue))

    monkeypatch.setattr(model.heads, "forward", fixed)
    drawn = draw(model, 32, nothing(40), Sampling(steps=8, temperature=temperature), seed=1)
    shares = torch.bincount(drawn.state["residue"].flatten(), minlength=20) / (32 * 40)
    cooled = law ** (1 / temperature) if temperature else (law == law.max()).float()
    torch.testing.assert_close(shares, cooled / cooled.sum(), rtol=0, atol=0.04)


def test_what_cannot_be_drawn_is_refused(model):
    plain = inspect.unwrap(draw)  # without the hook, which checks types in tests alone
    for n in (0, -1):
        with pytest.raises(ValueError, match=f"n is at least 1, not {n}"):
            plain(model, n, nothing(5), Sampling(steps=2))
    with pytest.raises(ValueError, match="seed is a whole number, not None"):
        plain(model, 1, nothing(5), Sampling(steps=2), seed=None)
    for dtype in (torch.float16, torch.bfloat16, torch.float64):
        other = copy.deepcopy(model).to(dtype)
        with pytest.raises(ValueError, match=f"the weights are {dtype}: draw of model.float"):
            plain(other, 1, nothing(5), Sampling(steps=2))


@pytest.mark.parametrize(
    ("function", "given", "reason"),
    [
        (nothing, (2.5,), "length is a whole number of at least 1, not 2.5"),
        (nothing, ("8",), "length is a whole number of at least 1, not '8'"),
        (nothing, (2_000_000,), "length is at most 10,000, not 2,000,000"),
    ],
)
def test_a_slip_is_reported_in_a_line(function, given, reason):
    with pytest.raises(ValueError, match=re.escape(reason)):
        inspect.unwrap(function)(*given)


def test_what_is_given_is_not_letters(model):
    with pytest.raises(ValueError, match="as sequence_of makes of a chain, not 'MKV'"):
        inspect.unwrap(draw)(model, 1, "MKV", Sampling(steps=2))


def test_numbers_of_numpy_are_numbers(model):
    plain = inspect.unwrap(draw)
    one = plain(model, np.int64(2), nothing(4), Sampling(steps=2), seed=np.int64(3))
    other = plain(model, 2, nothing(4), Sampling(steps=2), seed=3)
    assert one.state["translation"].equal(other.state["translation"])


@pytest.fixture
def exact(monkeypatch):
    """A tiny model that draws along the places, but knows the sequences of three residues."""
    points = torch.tensor([[0, 0, 1], [1, 1, 1], [2, 0, 1], [1, 2, 0]])
    weights = torch.tensor([0.4, 0.3, 0.2, 0.1], dtype=torch.float64)
    model = tiny_proteins.model()
    predict = model._predict

    def known(x, t, condition, previous):
        fits = ((x["residue"][:, None] == points) | (x["residue"][:, None] == MASK)).all(-1)
        fits = fits | ~fits.any(1, keepdim=True)  # two revealed at once may fit no data
        posterior = fits * weights / (fits * weights).sum(1, keepdim=True)
        tokens = torch.eye(20).double()[points]
        logits = torch.einsum("bk,knv->bnv", posterior, tokens).log().float()
        return replace(predict(x, t, condition, previous), residue=logits)

    monkeypatch.setattr(model, "_predict", known)
    return model, points, weights


BACKBONE = backbone_of(structures.chain(3))


@pytest.mark.parametrize("given", [nothing(3), BACKBONE], ids=["co-design", "inverse folding"])
@pytest.mark.parametrize("name", TOKEN_SOLVERS)
def test_sequences_have_their_distribution(exact, name, given):
    model, points, weights = exact
    n = 400
    how = Sampling(steps=12, power=1.0, sequence_solver=name, batch_size=n)
    found = draw(model, n, given, how, seed=2).state
    same = (found["residue"][:, None] == points).all(-1)
    one_by_one = name in ("events", "confidence", "margin", "entropy")
    assert same.any(1).double().mean() >= (1 if one_by_one else 0.85)
    counts = same.sum(0)
    assert stats.chisquare(counts, weights * counts.sum()).pvalue > 0.001
    if given is BACKBONE:
        assert found["translation"].equal(given.state["translation"].expand(n, 3, 3))


@pytest.mark.parametrize("name", TOKEN_SOLVERS)
def test_residues_that_are_given_stay_with_every_solver(model, name):
    """Beside a motif, and beside a backbone."""
    given = nothing(6)
    for known in (given, backbone_of(structures.chain(6))):
        known.known["residue"][2], known.state["residue"][2] = True, 7
    given.known["translation"][2] = given.known["rotation"][2] = True
    for known in (given, backbone_of(structures.chain(6))):
        known.known["residue"][2], known.state["residue"][2] = True, 7
        drawing = draw(model, 2, known, Sampling(steps=4, sequence_solver=name, keep=True))
        assert all((step["residue"][:, 2] == 7).all() for step in drawing.steps)
        assert all(step["residue"].shape == (2, 6) for step in drawing.steps)
        masked = [int((step["residue"] == MASK).sum()) for step in drawing.steps]
        assert masked[0] == 10 and masked[-1] == 0 and len(set(masked)) > 2
        assert drawing.state["translation"].isfinite().all()
    fold = sequence_of(structures.chain(6))
    drawing = draw(model, 2, fold, Sampling(steps=3, sequence_solver=name))
    assert drawing.state["residue"].equal(fold.state["residue"].expand(2, 6)) and drawing.nfe == 4


@pytest.mark.parametrize(
    "given", [nothing(5), backbone_of(structures.chain(5))], ids=["co", "inverse"]
)
@pytest.mark.parametrize("name", ["events", "remask"])
def test_a_sample_depends_on_the_seed_and_its_position_with_every_solver(model, name, given):
    how = Sampling(steps=4, sequence_solver=name)
    five = draw(model, 5, given, how, seed=1).state["residue"]
    assert draw(model, 2, given, how, seed=1).state["residue"].equal(five[:2])
    apart = draw(model, 5, given, replace(how, batch_size=2), seed=1).state["residue"]
    assert apart.equal(five)


def test_solvers_cost_what_they_say(model):
    backbone = backbone_of(structures.chain(6))

    def calls(given, **how):
        return draw(model, 2, given, Sampling(**how)).nfe

    assert calls(nothing(6), steps=4, sequence_solver="leap") == 5
    assert calls(backbone, steps=4, sequence_solver="events") == 3
    assert calls(backbone, steps=50, sequence_solver="events") == 6
    assert calls(backbone, steps=4, sequence_solver="leap") <= 4


def test_the_temperature_is_that_of_a_solver(exact):
    """Towards 0 the first is surest to begin with 1, then 1, then 1."""
    model, points, _ = exact
    for given in (nothing(3), BACKBONE):
        how = Sampling(steps=6, sequence_solver="confidence", temperature=0.0)
        assert draw(model, 3, given, how).state["residue"].equal(points[[0]].expand(3, 3))


def test_a_solver_needs_residues(model):
    alone = copy.copy(model)
    alone.config = replace(model.config, sequence=False)
    with pytest.raises(ValueError, match="was trained without residues: it takes no sequence_so"):
        draw(alone, 1, nothing(4), Sampling(steps=2, sequence_solver="events"))
    with pytest.raises(ValueError, match="was trained without residues: it takes no temperature"):
        draw(alone, 1, nothing(4), Sampling(steps=2, temperature=0.5))


@pytest.mark.gate
@pytest.mark.parametrize("name", ["events", "remask"])
def test_a_sequence_is_likely_given_the_backbone_that_it_was_drawn_for(name):
    """In bits a residue: cold draws below warm ones, those below letters by chance."""
    trained, native = load("proteins/short-codesign"), structures.chain(40)

    def bits(residues):
        made = replace(native, residues=residues.numpy().astype(native.residues.dtype))
        return sequence_likelihood(trained, [made], draws=4).value

    cold, warm = (
        draw(
            trained, 1, backbone_of(native), Sampling(steps=10, sequence_solver=name, temperature=T)
        )
        for T in (0.1, 1.0)
    )
    chance = torch.randint(20, (40,), generator=torch.Generator().manual_seed(0))
    assert bits(cold.state["residue"][0]) < 3 < bits(warm.state["residue"][0]) < 4.5
    assert bits(chance) > 4.5


def test_weights_may_change_with_time(model):
    ends = {jump: model.sample(1, length=6, steps=4, jump=jump)[0].atoms for jump in (0.0, 1.0)}
    for jump, atoms in ends.items():
        same = model.sample(1, length=6, steps=4, jump=lambda t, jump=jump: jump + 0 * t)
        assert np.allclose(same[0].atoms, atoms, atol=1e-4)
    late = model.sample(1, length=6, steps=4, flow=lambda t: 1 - t)[0].atoms
    assert not any(np.allclose(late, atoms, atol=1e-3) for atoms in ends.values())
