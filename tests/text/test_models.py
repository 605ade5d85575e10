"""Text models: the network's logits, and the chain they are read as."""

from dataclasses import replace

import pytest
import texts
import torch
from chains import SOURCES
from torch.testing import assert_close

from feller.core.checkpoint import load_model, save_model
from feller.core.config import decode, encode
from feller.core.discrete.guidance import ClassifierFree
from feller.core.discrete.losses import CrossEntropy
from feller.core.discrete.parametrizations import own_evidence
from feller.core.generators import Jump
from feller.core.models import Model
from feller.core.schedules import Cosine
from feller.text.networks import TextTransformerConfig
from feller.text.tokenizers import Pieces

every_source = pytest.mark.parametrize("noise", SOURCES)


def states(model, rng, b=3):
    z = torch.randint(5, (b, 8), generator=rng)
    return model.path.sample(z, 0.5, rng)


@every_source
def test_a_model_is_a_chain(noise, rng):
    model = texts.model(noise)
    assert isinstance(model, Model)
    assert model.kinds == {Jump}
    x = states(model, rng)
    model.space.check(x)
    jump = model(x, torch.tensor([0.2, 0.5, 0.8]))
    kappa = torch.tensor([0.2, 0.5, 0.8])[:, None].expand(x.shape)
    hazard = 1 / (1 - kappa)
    moving = x == 5 if noise == "mask" else torch.ones_like(x) > 0
    assert_close(jump.intensity, hazard * moving)
    law = jump.destination.logits.softmax(-1)
    expected = model.posterior(model.logits(x, kappa[:, 0]), x, kappa).softmax(-1)
    assert_close(law, expected)
    assert law.shape == (*x.shape, 5)


def test_the_clock_is_that_of_the_schedule(rng):
    model = texts.model(schedule=Cosine())
    x = model.path.sample_source((2, 8), rng)
    t, s = torch.tensor([0.3, 0.6]), torch.tensor([0.7, 0.6])
    jump = model(x, t)
    chance = -torch.expm1(-jump.intensity * jump.duration(s - t))
    left = model.path.schedule.alpha
    assert_close(chance[0, 0], 1 - (1 - left(s[0])) / (1 - left(t[0])))
    assert chance[1].abs().max() < 1e-6


@every_source
@pytest.mark.parametrize("law", ["posterior", "leave_one_out"])
def test_each_distribution_is_had_from_the_other(noise, law, rng):
    model = texts.model(noise, parametrization=law)
    x = states(model, rng)
    kappa = torch.full(x.shape, 0.5)
    logits = model.logits(x, 0.5)
    laws = {"posterior": model.posterior, "leave_one_out": model.leave_one_out}
    assert laws[law](logits, x, kappa) is logits
    evidence = own_evidence(model.path.source, x, kappa)
    if noise == "mask":
        return
    posterior, other = (laws[name](logits, x, kappa) for name in laws)
    at = x.clamp_max(4)[..., None]
    gap = (posterior - other).gather(-1, at)[..., 0]
    assert_close(gap[x < 5], evidence[x < 5])


def test_only_what_is_asked_reaches_the_head(rng):
    model = texts.model()
    x = states(model, rng)
    where = x == 5
    seen = []
    model.network.head.register_forward_hook(lambda *call: seen.append(call[1][0].shape))
    some = model.logits(x, 0.5, where=where)
    assert_close(some, model.logits(x, 0.5)[where])
    assert seen[0] == (int(where.sum()), 16)
    assert some.dtype == torch.float32


@pytest.mark.parametrize("kappa", [0.5, torch.tensor(0.5), torch.full((3,), 0.5)])
def test_kappa_is_one_number_or_many(kappa, rng):
    model = texts.model("uniform")
    x = states(model, rng)
    each = model.logits(x, torch.full(x.shape, 0.5))
    assert_close(model.logits(x, kappa), each)


def test_a_time_per_element(rng):
    model = texts.model("uniform")
    x = states(model, rng)
    t = torch.rand(x.shape, generator=rng)
    assert_close(model(x, t).intensity, 1 / (1 - t))


def test_a_model_sees_no_time(rng):
    """At the same kappa, all schedules are one model."""
    linear, cosine = texts.model("uniform"), texts.model("uniform", schedule=Cosine())
    x = states(linear, rng)
    t = torch.full((3,), 0.5)
    kappa = cosine.path.schedule.alpha(t)
    assert_close(cosine(x, t).destination.logits, linear(x, kappa).destination.logits)


def test_padding_is_no_state(rng):
    model = texts.model()
    x = states(model, rng)
    valid = torch.arange(8) < torch.tensor([8, 5, 3])[:, None]
    logits = model.logits(x, 0.5, valid=valid)
    changed = torch.where(valid, x, 0)
    assert_close(model.logits(changed, 0.5, valid=valid)[valid], logits[valid])
    assert_close(logits[2, :3], model.logits(x[2:, :3], 0.5)[0])


def test_labels(rng):
    model = texts.model(num_classes=3)
    x = states(model, rng)
    assert not torch.allclose(
        model.logits(x, 0.5, torch.tensor([0, 1, 2])), model.logits(x, 0.5), atol=1e-2
    )


@every_source
def test_a_model_survives_its_folder(noise, tmp_path, rng):
    model = texts.model(noise)
    again = load_model(save_model(model, tmp_path / "model"))
    assert again.config == model.config
    x = states(model, rng)
    assert again.logits(x, 0.5).equal(model.logits(x, 0.5))


def test_a_tokenizer_travels_with_its_model(tmp_path):
    pieces = Pieces.train(["abab abab ba"], 258)
    codec = replace(texts.CODEC, tokenizer=pieces)
    again = load_model(save_model(texts.model(codec=codec), tmp_path / "model"))
    assert again.codec.tokenizer == pieces
    assert again.network.head.out_features == 258


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"noise": "uniform"}, "network.conditioned"),
        ({"noise": "unigram"}, "a frequency for each of 5 ids, not 0"),
        (
            {"network": TextTransformerConfig(transformer=texts.BLOCKS, causal=True)},
            "a chain needs both sides",
        ),
    ],
)
def test_a_network_suits_its_source(change, reason):
    with pytest.raises(ValueError, match=reason):
        replace(texts.config(), **change)


def test_configurations_survive_json():
    for noise in SOURCES:
        config = texts.config(noise, schedule=Cosine(), parametrization="leave_one_out")
        assert decode(encode(config)) == config


def test_samples_are_texts():
    model = texts.model()
    drawn = model.sample(3, prompt="ab", suffix="d", steps=4)
    assert [(len(t), t[:2], t[-1]) for t in drawn] == [(8, "ab", "d")] * 3
    assert model.sample(2, prompt="ab", suffix="d", steps=4) == drawn[:2]
    assert model.sample(3, prompt="ab", suffix="d", steps=4, seed=1) != drawn
    assert model.sample(0) == []


def test_sampling_leaves_the_mode_as_it_was():
    model = texts.model().train()
    model.sample(1, steps=1)
    assert model.training


@pytest.mark.parametrize("noise", ["mask", "uniform"])
def test_a_preview_is_text(noise, tmp_path):
    texts.model(noise).preview(tmp_path / "step_1")
    written = (tmp_path / "step_1.txt").read_text()
    assert len(written.split("\n----\n")) == 4
    assert set(written) <= set(texts.ALPHABET + "\n-")


def test_models_add_up(rng):
    one, other = texts.model("mask"), texts.shaken(texts.model("mask"), seed=4)
    x, t = states(one, rng), torch.tensor([0.2, 0.5, 0.8])
    mixed = (0.25 * one + 0.75 * other)(x, t)

    def f(states):
        return (states == 2).double().sum(1)

    expected = 0.25 * one(x, t).apply(f, x) + 0.75 * other(x, t).apply(f, x)
    assert_close(mixed.apply(f, x), expected)


def test_a_refused_draw_leaves_the_model_in_training():
    model = texts.model("uniform").train()
    model.network.eval()
    modes = [part.training for part in model.modules()]
    with pytest.raises(ValueError, match="mask"):
        model.sample(1, solver="events")
    model.sample(1, steps=2)
    assert [part.training for part in model.modules()] == modes


@pytest.mark.parametrize("field", ["noise", "parametrization"])
def test_a_misspelt_name_is_no_other_choice(field):
    with pytest.raises(ValueError, match=f"{field} is .*, not 'masked'"):
        texts.misspelt(texts.model("mask").config, **{field: "masked"})


def test_a_time_that_is_none(rng):
    model = texts.model("mask")
    with pytest.raises(ValueError, match=r"t lies in \[0, 1\], not 2"):
        model(states(model, rng), 2.0)


def train_on(model, labels):
    """A step of one's own loop, which is where labels come from."""
    z = torch.zeros(len(labels), 8, dtype=torch.int64)
    t = torch.full((len(labels),), 0.5)
    x = model.path.sample(z, t, torch.Generator().manual_seed(0))
    CrossEntropy()(model.train(), model.path, z, t, x, condition=labels).mean().backward()
    return model.eval()


def test_labels_that_were_never_trained_are_refused(tmp_path):
    model = texts.config(num_classes=3).build().eval()
    with pytest.raises(ValueError, match="never trained on label 1; it knows none"):
        model.sample(1, label=1)
    train_on(model, torch.tensor([0, 2, 2]))
    assert len(model.sample(2, label=[2, 0], steps=2)) == 2
    again = load_model(save_model(model, tmp_path / "model"))  # what was trained is saved
    for label, name in ((1, "label 1"), (None, "no label"), (3, "no label"), ([0, 1], "label 1")):
        with pytest.raises(ValueError, match=rf"never trained on {name}; it knows \[0, 2\]"):
            again.sample(2, label=label, steps=2)
    guided = ClassifierFree(again, 2.0)  # which needs a model without a label
    with pytest.raises(ValueError, match="never trained on no label"):
        guided.check_condition(torch.tensor([0]))
    train_on(again, torch.tensor([0, 3]))  # dropped
    guided.check_condition(torch.tensor([0]))
    assert len(again.sample(1, steps=2)) == 1


def test_weights_of_before_are_taken_for_trained(tmp_path):
    model = texts.model(num_classes=3)
    state = {k: v for k, v in model.state_dict().items() if not k.endswith("trained")}
    fresh = texts.config(num_classes=3).build().eval()
    fresh.load_state_dict(state)
    assert fresh.sample(2, label=1, steps=2) == model.sample(2, label=1, steps=2)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"n": -1}, "n is .*at least 0, not -1"),
        ({"label": [0, 1, 2]}, "there are 3 labels for 2 texts"),
        ({"label": [0, 7]}, r"labels are 0 \.\.\. 2, not 7"),
        ({"label": -1}, r"labels are 0 \.\.\. 2, not -1"),
        ({"length": 0}, "length is at least 1, not 0"),
        ({"length": 10**12}, "length is at most 1,048,576, not 10{12}"),
        ({"temperature": "1"}, "temperature is a number, not '1'"),
        ({"top_p": "x"}, "top_p is a number, not 'x'"),
        ({"top_k": 2.5}, r"top_k is a whole number, not 2\.5"),
        ({"block": 2.5}, r"block is a whole number, not 2\.5"),
        ({"solver": []}, r"solver is a name, not \[\]"),
        ({"prompt": "abcd", "length": 4}, "have 4 tokens, and the context 4"),
        ({"guidance": 2.0}, "unknown option 'guidance' of sampling; there are solver, steps"),
    ],
)
def test_what_cannot_be_drawn_is_refused_in_one_line(options, reason):
    with pytest.raises(ValueError, match=reason) as caught:
        texts.model(num_classes=3).sample(**({"n": 2, "steps": 2} | options))
    assert "\n" not in str(caught.value)


def test_a_length_and_labels_are_asked_for():
    model = texts.model(num_classes=3)
    assert [len(text) for text in model.sample(2, length=5, steps=2)] == [5, 5]
    both = model.sample(2, label=[0, 2], steps=4)
    assert both[0] == model.sample(1, label=0, steps=4)[0]
    assert both == model.sample(2, label=(0, 2), steps=4)
    with pytest.raises(ValueError, match="without classes"):
        texts.model().sample(1, label=0)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@every_source
def test_half_precision_draws(noise, dtype):
    model = texts.model(noise).to(dtype)
    assert [len(text) for text in model.sample(2, steps=4)] == [8, 8]
    assert model.logits(torch.zeros(1, 8, dtype=torch.int64), 0.5).dtype == torch.float32
