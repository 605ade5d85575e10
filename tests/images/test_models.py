"""Image models: what is drawn depends on the seed, the place and the label, and on nothing else."""

import inspect
from dataclasses import replace

import image_oracles
import numpy as np
import pictures
import pytest
import torch
from PIL import Image

from feller.core import load
from feller.core.checkpoint import save_model
from feller.core.config import decode, encode
from feller.core.generators import Flow
from feller.core.heads import (
    DiffusionHead,
    DriftHead,
    FlowHead,
    JointHead,
    JumpHead,
    PosteriorHead,
    ScoreHead,
)
from feller.core.losses import Objective
from feller.core.models import Model
from feller.core.paths import GaussianPath, MixturePath
from feller.core.schedules import VariancePreserving
from feller.core.sources import Masked, UniformBox, UniformTokens
from feller.core.spaces import Euclidean, Tokens
from feller.core.training import Training
from feller.images import drawing
from feller.images.codec import ImageCodec
from feller.images.models import ImageModel, ImageModelConfig, Sampling
from feller.images.networks import DiTConfig, UNetConfig

HOW = Sampling(steps=4, solver="euler")


@pytest.fixture(scope="module")
def model():
    return pictures.model()


def close(a, b):
    """Whether images are equal up to the rounding of a pixel."""
    return a.shape == b.shape and (a.int() - b.int()).abs().max() <= 1


def test_a_model_returns_generators(model):
    assert isinstance(model, Model)
    assert model.kinds == {Flow}
    assert model.space == model.path.space
    x = torch.randn(2, 1, 8, 8)
    generator = model(x, torch.tensor([0.25, 0.5]), torch.tensor([0, 2]))
    assert generator.velocity.shape == x.shape
    assert model(x, 0.5).velocity.shape == x.shape


def test_samples_are_images(model):
    images = model.sample(3, steps=4)
    assert images.shape == (3, 8, 8, 1)
    assert images.dtype == torch.uint8
    assert images.float().std() > 10
    colour = ImageModelConfig(
        network=UNetConfig(channels=(4, 8), blocks_per_level=1, attention_levels=()),
        codec=ImageCodec((3, 8, 16)),
    ).build()
    assert colour.sample(2, steps=1).shape == (2, 8, 16, 3)


def test_no_images_may_be_drawn(model):
    images, nfe = model.draw(0, None, HOW)
    assert images.shape == (0, 8, 8, 1)
    assert images.dtype == torch.uint8
    assert nfe == 0


@pytest.mark.parametrize("label", [None, "dog"])
def test_an_image_depends_on_the_seed_and_its_position(model, label):
    four = model.sample(4, label=label, steps=4, seed=1)
    assert model.sample(4, label=label, steps=4, seed=1).equal(four)
    assert close(model.sample(2, label=label, steps=4, seed=1), four[:2])
    assert not close(model.sample(4, label=label, steps=4, seed=2), four)
    assert len({image.numpy().tobytes() for image in four}) == 4


@pytest.mark.parametrize("batch_size", [1, 2, 5])
def test_the_batch_size_changes_nothing(model, batch_size):
    labels = torch.tensor([0, 1, 2, 1, 0])
    whole, nfe = model.draw(5, labels, HOW, seed=3)
    parts, same = model.draw(5, labels, replace(HOW, batch_size=batch_size), seed=3)
    assert close(whole, parts)
    assert nfe == same == 4


def test_a_label_is_a_name_a_number_or_many(model):
    assert model.labels(2, None) is None
    for label in ("dog", "DOG", "1", 1):
        assert model.labels(2, label).tolist() == [1, 1]
    many = torch.tensor([2, 0])
    assert model.labels(2, many) is many
    assert model.labels(0, "dog").tolist() == []
    with pytest.raises(ValueError, match=r"one label an image: \(3,\), not \(2,\)"):
        model.labels(3, many)
    for label in ("cow", 3, -1):
        with pytest.raises(
            ValueError, match=r"unknown label '.*'; there are 0 cat, 1 dog, 2 Big B"
        ):
            model.labels(2, label)


def test_labels_change_the_image(model):
    cat, dog = (model.sample(1, label=label, steps=4) for label in ("cat", "dog"))
    assert not close(cat, dog)
    mixed = model.sample(2, label=torch.tensor([0, 1]), steps=4)
    assert close(mixed[:1], cat)


def test_guidance_0_is_no_condition_and_1_no_guidance(model):
    labels = torch.tensor([0, 1])
    free, calls = model.draw(2, None, HOW)
    unguided, also = model.draw(2, labels, HOW)
    without, twice = model.draw(2, labels, replace(HOW, guidance=0.0))
    guided, _ = model.draw(2, labels, replace(HOW, guidance=3.0))
    assert close(without, free)
    assert not close(unguided, free)
    assert not close(guided, unguided)
    assert (calls, also, twice) == (4, 4, 8)
    null = torch.full((2,), 3)
    assert close(model.draw(2, null, HOW)[0], free)


def test_guidance_acts_in_its_interval(model):
    how = replace(HOW, guidance=3.0, interval=(0.25, 0.6))
    labels = torch.tensor([0, 1])
    guided, nfe = model.draw(2, labels, how)
    assert nfe == 4 + 2  # at t = 0.25 and 0.5
    assert not close(guided, model.draw(2, labels, HOW)[0])
    assert close(
        model.draw(2, labels, replace(how, interval=(0.8, 1.0)))[0], model.draw(2, labels, HOW)[0]
    )


def test_guidance_needs_labels(model):
    with pytest.raises(ValueError, match="guidance needs labels"):
        model.sample(2, guidance=2.0)


@pytest.mark.parametrize(("solver", "nfe"), [("euler", 4), ("midpoint", 8)])
def test_network_calls_are_counted(model, solver, nfe):
    assert model.draw(1, None, replace(HOW, solver=solver))[1] == nfe


def test_the_calls_are_those_of_the_batch_with_most(model, monkeypatch):
    calls, simulate = iter([7, 13, 8]), drawing.simulate  # as an adaptive solver has them

    def counted(*given, **options):
        return replace(simulate(*given, **options), nfe=next(calls))

    monkeypatch.setattr(drawing, "simulate", counted)
    assert model.draw(3, None, replace(HOW, batch_size=1))[1] == 13


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"solver": "ode45"}, "unknown solver 'ode45'; there are euler, "),
        ({"steps": 0}, "steps is at least 1, not 0"),
    ],
)
def test_senseless_sampling_is_refused(model, options, reason):
    with pytest.raises(ValueError, match=reason):
        model.sample(1, **options)


def test_sampling_leaves_no_gradients(model):
    assert not model.sample(1, steps=1).requires_grad
    assert all(parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize(
    ("config", "columns", "head"), [(pictures.CONFIG, 3, 18), (pictures.UNCONDITIONAL, 8, 0)]
)
def test_a_preview_has_a_column_a_class(config, columns, head, tmp_path):
    pictures.model(config).preview(tmp_path / "step_1")
    with Image.open(tmp_path / "step_1.png") as picture:
        assert picture.size == (8 * (10 * columns + 2), 8 * (10 * 8 + 2) + head)


@pytest.mark.parametrize(
    "config",
    [
        pictures.CONFIG,
        pictures.UNCONDITIONAL,
        ImageModelConfig(network=DiTConfig(), codec=ImageCodec((3, 8, 8), flip=True)),
    ],
    ids=["U-Net", "unconditional", "DiT"],
)
def test_configurations_survive_json(config):
    assert decode(encode(config)) == config


def test_the_network_suits_the_images():
    with pytest.raises(ValueError, match="in_channels is 1, but images have 3"):
        replace(pictures.CONFIG, codec=ImageCodec((3, 8, 8), pictures.CLASSES))
    with pytest.raises(ValueError, match=r"num_classes is 3, but codec\.classes names 2"):
        replace(pictures.CONFIG, codec=ImageCodec((1, 8, 8), ("cat", "dog")))


def test_a_bundled_model():
    model = load("images/fashion-flow")
    images = model.sample(2, label="bag", steps=2, guidance=2.0, seed=0)
    assert images.shape == (2, 28, 28, 1)
    assert images.float().mean() > 20


def test_a_network_for_other_images_is_refused():
    codec = ImageCodec((1, 8, 8))
    network = UNetConfig(in_channels=1, channels=(8, 16), blocks_per_level=1)  # gives 3 channels
    with pytest.raises(ValueError, match=r"network\.out_channels is 3, but images have 1"):
        ImageModelConfig(network=network, codec=codec)


def test_a_head_that_divides_by_zero_at_the_start_is_refused():
    codec = ImageCodec((3, 8, 8))
    network = UNetConfig(channels=(8, 16), blocks_per_level=1)
    with pytest.raises(ValueError, match="alpha > 0 at t = 0"):
        ImageModelConfig(network=network, codec=codec, head=FlowHead("noise"))
    with pytest.raises(ValueError, match="alpha > 0 at t = 0"):
        joint = JointHead((FlowHead("score"), JumpHead(4)), (0.5, 0.5))
        ImageModelConfig(network=network, codec=codec, head=joint)
    path = GaussianPath(Euclidean(3), VariancePreserving())
    config = ImageModelConfig(network=network, codec=codec, head=FlowHead("noise"), path=path)
    assert config.build().sample(2, steps=3).shape == (2, 8, 8, 3)


def test_sampling_leaves_the_mode_as_it_was():
    model = ImageModelConfig(
        network=UNetConfig(channels=(8, 16), blocks_per_level=1, dropout=0.5),
        codec=ImageCodec((3, 8, 8)),
    ).build()
    for parameter in model.parameters():
        parameter.data += 0.1
    assert model.train().sample(2, steps=2).equal(model.sample(2, steps=2))  # without dropout
    assert model.training
    assert not model.eval().training


def test_images_that_are_not_finite_are_an_error():
    model = ImageModelConfig(
        network=UNetConfig(channels=(8, 16), blocks_per_level=1), codec=ImageCodec((3, 8, 8))
    ).build()
    for parameter in model.parameters():
        parameter.data.fill_(torch.nan)
    with pytest.raises(ValueError, match="not finite"):
        model.sample(2, steps=2)


# What a training left out is refused


def dropped(fraction):
    return pictures.model(replace(pictures.CONFIG, condition_drop=fraction))


def test_a_training_writes_what_it_dropped_into_the_model():
    assert pictures.CONFIG.trained(Training(condition_drop=0.1)).condition_drop == 0.1
    assert pictures.CONFIG.trained(Training()).condition_drop == 0
    assert pictures.UNCONDITIONAL.trained(Training()) == pictures.UNCONDITIONAL


def test_a_model_trained_with_every_label_draws_with_labels_alone(tmp_path):
    save_model(dropped(0.0), tmp_path / "a")
    model = load(str(tmp_path / "a"))  # which knows it
    assert model.sample(2, label="dog", steps=2).equal(
        pictures.model().sample(2, label="dog", steps=2)
    )
    trained = "the model was trained with every label, so "
    with pytest.raises(ValueError, match=f"{trained}drawing without a label"):
        model.sample(2)
    with pytest.raises(ValueError, match=f"{trained}drawing without a label"):
        model.draw(2, torch.tensor([3, 0]), HOW)  # 3 is the null label
    with pytest.raises(ValueError, match=f"{trained}guidance"):
        model.sample(2, label="dog", guidance=2.0)
    with pytest.raises(ValueError, match=f"{trained}drawing without a label"):
        model(torch.zeros(2, 1, 8, 8), 0.5)  # as anyone's guidance would ask
    model.preview(tmp_path / "step_1")


def test_a_model_trained_without_labels_draws_without(tmp_path):
    model = dropped(1.0)
    assert model.sample(2, steps=2).equal(pictures.model().sample(2, steps=2))
    with pytest.raises(ValueError, match="the model was trained without labels"):
        model.sample(2, label="dog")
    model.preview(tmp_path / "step_1")


def test_a_model_trained_with_both_draws_with_both():
    for fraction in (0.1, None):
        model = dropped(fraction)
        model.sample(1, steps=1)
        model.sample(1, label="dog", guidance=2.0, steps=1)


# Odd arguments


def test_labels_are_lists_too(model):
    found = model.sample(2, label=["dog", 2], steps=2)
    assert found.equal(model.sample(2, label=torch.tensor([1, 2]), steps=2))
    for label, reason in [
        (["dog"], r"one label an image: \(2,\), not \(1,\)"),
        (["dog", "cow"], "unknown label 'cow'"),
        (torch.tensor([0.0, 1.0]), "labels are whole numbers, not torch.float32"),
    ]:
        with pytest.raises(ValueError, match=reason):
            model.labels(2, label)


@pytest.mark.parametrize("label", [None, 0])
def test_counts_and_seeds_are_whole_numbers(label, model):
    with pytest.raises(ValueError, match="n is a whole number of at least 0, not -1"):
        model.sample(-1, label=label)
    assert model.sample(1, label=label, steps=1, seed=-5).shape == (1, 8, 8, 1)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_the_bundled_flow_samples_in_half_precision(dtype):
    given = {"steps": 3, "label": "bag"}
    whole = load("images/fashion-flow").sample(2, **given).float()
    half = load("images/fashion-flow").to(dtype).sample(2, **given).float()
    assert (half - whole).abs().mean() < 2.0  # of 255 levels


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize(
    "config",
    [
        pictures.CONFIG,
        ImageModelConfig(network=DiTConfig(num_classes=2), codec=ImageCodec((3, 8, 8), ("a", "b"))),
    ],
    ids=["U-Net", "DiT"],
)
def test_models_in_half_precision_draw_the_same(config, dtype):
    model = config.build() if isinstance(config.network, DiTConfig) else pictures.model(config)
    right = model.sample(2, label=1, steps=4).int()
    assert (model.to(dtype).sample(2, label=1, steps=4).int() - right).abs().float().mean() < 4


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int8, torch.int16, torch.uint64])
def test_labels_are_whole_numbers_of_any_kind(dtype):
    model = pictures.model()
    right = model.labels(2, [1, 0])
    assert model.labels(2, torch.tensor([1, 0], dtype=dtype)).equal(right)
    untyped = inspect.unwrap(ImageModel.labels)  # which a user calls
    assert untyped(model, 2, torch.tensor([1, 0], dtype=dtype).numpy()).equal(right)
    assert untyped(model, 1, np.int64(1)).tolist() == [1]
    for none in (torch.tensor([True, False]), True):
        with pytest.raises(ValueError, match=r"labels are whole numbers, not|unknown label 'True'"):
            model.labels(2, none)


def test_a_look_at_many_channels_is_arrays(tmp_path):
    network = replace(pictures.NETWORK, in_channels=5, out_channels=5)
    codec = ImageCodec((5, 8, 8), pictures.CLASSES)
    pictures.model(ImageModelConfig(network=network, codec=codec)).preview(tmp_path / "step_1")
    with np.load(tmp_path / "step_1.npz") as arrays:
        assert arrays["images"].shape == (24, 8, 8, 5)


# Heads of every kind, on every path

VP = GaussianPath(Euclidean(3), VariancePreserving())
BINS = JumpHead(32, follow=True)
MASKS = {"path": MixturePath(Tokens(257, 3), Masked(256)), "head": PosteriorHead(256)}
EVENS = {"path": MixturePath(Tokens(256, 3), UniformTokens(256)), "head": PosteriorHead(256)}
BOX = MixturePath(Euclidean(3), UniformBox(-1.0, 1.0))
HEADS = {
    "flow": {},
    "x_1": {"head": FlowHead("x_1")},
    "v": {"head": FlowHead("v")},
    "flow, VP": {"path": VP},
    "noise, VP": {"path": VP, "head": FlowHead("noise")},
    "score, VP": {"path": VP, "head": FlowHead("score")},
    "jump": {"head": BINS},
    "jump, VP": {"path": VP, "head": BINS},
    "joint": {"head": JointHead((FlowHead(), BINS), (0.5, 0.5))},
    "joint, VP": {"path": VP, "head": JointHead((FlowHead(), BINS), (0.5, 0.5))},
    "diffusion of a posterior": {"head": PosteriorHead(256, 0.0, 1.0, 0.0)},
    "diffusion of a posterior, VP": {"path": VP, "head": PosteriorHead(256, 0.0, 1.0, 0.0)},
    "all of a posterior": {"head": PosteriorHead(256, 0.3, 0.3, 0.4)},
    "jump on the mixture path": {"path": BOX, "head": PosteriorHead(256)},
    "masked levels": {"levels": 256, **MASKS},
    "uniform levels": {"levels": 256, **EVENS},
}
STEPS = {"jump on the mixture path": 100, "masked levels": 36, "uniform levels": 150}


@pytest.mark.gate
@pytest.mark.parametrize("name", HEADS)
def test_an_exact_network_of_each_head_draws_the_images(name):
    """Each as often as it should be, to half a grey level, by the solver and grid that suit it."""
    known = image_oracles.Known.some(20, 6)
    how = Sampling(steps=STEPS.get(name, 20))
    images, _ = known.model(**HEADS[name]).draw(120, None, how)
    assert known.check(images) < 0.5


@pytest.mark.slow
@pytest.mark.parametrize("name", HEADS)
def test_an_exact_network_of_each_head_draws_500_images(name):
    known = image_oracles.Known.some(500, 8)
    steps = {"masked levels": 64}
    how = Sampling(steps=steps.get(name, 2 * STEPS.get(name, 20)))
    images, _ = known.model(**HEADS[name]).draw(2000, None, how)
    assert known.check(images) < 0.5


def test_bins_that_lie_still_leave_noise_of_their_own_width():
    known = image_oracles.Known.some(20, 6)
    images, _ = known.model(head=JumpHead(32)).draw(120, None, Sampling(steps=20))
    assert 1 < known.check(images) < 10


@pytest.mark.parametrize("kind", [*HEADS, "drift", "diffusion", "flow and score"])
def test_a_network_of_each_head_trains_and_draws(kind, tmp_path):
    others = {
        "drift": {"head": DriftHead()},
        "diffusion": {"head": DiffusionHead()},
        "flow and score": {"head": JointHead((FlowHead(), ScoreHead()), (1.0, 1.0))},
    }
    fields = {**HEADS, **others}[kind].copy()
    codec = ImageCodec((1, 8, 8), pictures.CLASSES, levels=fields.pop("levels", 0))
    model = ImageModelConfig(network=pictures.NETWORK, codec=codec, **fields).build()
    raw = torch.randint(256, (4, 8, 8, 1), generator=torch.Generator().manual_seed(0)).byte()
    z, labels = codec.encode((raw, torch.tensor([0, 1, 2, 0])))
    t = torch.tensor([0.1, 0.4, 0.6, 0.9])
    loss = Objective()(model, model.path, z, t, model.path.sample(z, t), condition=labels)
    loss.sum().backward()
    assert loss.isfinite().all()
    assert model.model.network.state_dict()  # and a gradient comes to its last layer
    last = [p for name, p in model.named_parameters() if ".head." in name]
    assert all(p.grad.count_nonzero() for p in last)
    assert model.sample(2, steps=2).shape == (2, 8, 8, 1)
    save_model(model, tmp_path / "a")
    assert load(str(tmp_path / "a")).sample(2, steps=2, label=1).shape == (2, 8, 8, 1)


@pytest.mark.parametrize(
    ("fields", "levels", "reason"),
    [
        (MASKS, 0, r"codec\.levels is 0, the path is on Tokens\(size=257"),
        ({}, 256, r"codec\.levels is 256, the path is on Euclidean"),
        (MASKS, 16, r"codec\.levels is 16, the path is on Tokens\(size=257"),
        ({"path": GaussianPath()}, 0, "images have 3 axes, the states of Euclidean"),
    ],
)
def test_a_path_on_other_states_is_refused(fields, levels, reason):
    codec = ImageCodec((1, 8, 8), pictures.CLASSES, levels=levels)
    with pytest.raises(ValueError, match=reason):
        ImageModelConfig(network=pictures.NETWORK, codec=codec, **fields)


def test_masked_pixels_come_a_few_a_call():
    model = image_oracles.Known.some(3, 6).model(levels=256, **MASKS)
    assert [model.draw(2, None, Sampling(steps=n))[1] for n in (1, 5, 36)] == [1, 5, 36]


def test_a_model_of_two_times_is_told_where_a_step_ends():
    config = pictures.model().config
    config = replace(config, network=replace(config.network, two_times=True))
    model, seen = config.build(), []

    def network(x, t, condition, s):
        seen.append((float(t[0]), float(s[0])))
        return 0 * x

    model.model.network.forward = network
    model.sample(1, steps=2, label=0, guidance=2.0)
    assert seen == [(0.0, 0.5), (0.0, 0.5), (0.5, 1.0), (0.5, 1.0)]


def test_a_condition_may_be_numbers():
    network = replace(pictures.NETWORK, num_classes=0, condition_size=2)
    config = ImageModelConfig(network=network, codec=ImageCodec((1, 8, 8)), condition_drop=0.1)
    model = config.build()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    first, second = [0.0, 1.0], [3.0, -2.0]
    both = model.sample(2, label=[first, second], steps=2, guidance=2.0)
    assert close(
        both,
        torch.cat(
            [
                model.sample(2, label=v, steps=2, guidance=2.0)[i : i + 1]
                for i, v in enumerate((first, second))
            ]
        ),
    )
    assert not close(both, model.sample(2, label=first, steps=2))
    with pytest.raises(ValueError, match="the condition is 2 numbers, or"):
        model.sample(2, label=[1.0, 2.0, 3.0])
    dropped = model.codec.drop(torch.ones(2, 2), torch.tensor([True, False]))
    assert dropped.isnan().tolist() == [[True, True], [False, False]]
    assert config.trained(Training(condition_drop=0.2)).condition_drop == 0.2
