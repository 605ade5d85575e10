"""What is known of images: they agree with it, and else are of the model."""

from dataclasses import replace

import image_oracles
import numpy as np
import pictures
import pytest
import torch
from PIL import Image
from torch.testing import assert_close

from feller.core.generators import Flow
from feller.core.heads import PosteriorHead
from feller.core.losses import Objective
from feller.core.paths import GaussianPath, MixturePath
from feller.core.posteriors import FiniteData, NormalMixture
from feller.core.sources import Masked
from feller.core.spaces import Euclidean, Tokens
from feller.images.codec import ImageCodec
from feller.images.conditions import Given, read_image, read_mask
from feller.images.models import ImageModelConfig, Sampling
from feller.images.networks import UNetConfig
from feller.images.times import KnownPixels

SHAPE = (3, 8, 8)


def made(exact):
    """A model of colour images with an exact generator in the place of its network."""
    network = UNetConfig(channels=(4,), blocks_per_level=1, attention_levels=())
    model = ImageModelConfig(network=network, codec=ImageCodec(SHAPE)).build()
    model.model.forward = exact
    return model


@pytest.fixture(scope="module")
def normal():
    data = NormalMixture(GaussianPath(), torch.zeros(1, 192), torch.tensor([0.4]), torch.ones(1))
    return made(lambda x, t, condition=None: Flow(data(x.flatten(1), t).velocity.view_as(x)))


@pytest.mark.parametrize(("repeats", "least"), [(1, 0.4), (5, 0.75)])
def test_known_pixels_are_kept_and_tell_the_others(repeats, least, rng):
    """Of four images known by half one remains, where steps are taken often enough."""
    raw = torch.randint(40, 216, (4, 8, 8, 3), generator=rng, dtype=torch.uint8)
    z = ImageCodec(SHAPE).encode((raw, None))[0]
    data = FiniteData(GaussianPath(Euclidean(3)), Flow, z)
    mask = torch.zeros(8, 8, dtype=torch.bool)
    mask[4:] = True
    given = Given(image=torch.where(mask[..., None], 0, raw[2]), mask=mask, repeats=repeats)
    drawn = made(lambda x, t, condition=None: data(x, t)).sample(32, given=given)
    assert drawn[:, :4].equal(raw[2, :4].expand(32, 4, 8, 3))
    suits = (drawn.int() - raw[2].int()).abs().flatten(1).amax(1) <= 3
    assert suits.float().mean() > least


def test_known_pixels_with_their_own_times_are_exact(rng):
    """Of four images two are as what is known: each is drawn as often, and no other."""
    raw = torch.randint(40, 216, (4, 8, 8, 3), generator=rng, dtype=torch.uint8)
    raw[3, :4] = raw[2, :4]
    z = ImageCodec(SHAPE).encode((raw, None))[0]
    data = FiniteData(GaussianPath(Euclidean(3)), Flow, z)
    model = made(lambda x, t, condition=None: data(x, t))
    model.config = replace(model.config, pixel_times=True)
    mask = torch.zeros(8, 8, dtype=torch.bool)
    mask[4:] = True
    given = Given(image=torch.where(mask[..., None], 0, raw[2]), mask=mask)
    drawn = model.sample(200, given=given)
    gap = (drawn[:, None].int() - raw.int()).abs().flatten(2).amax(2)
    assert int(gap.amin(1).max()) <= 1
    counts = gap.argmin(1).bincount(minlength=4).tolist()
    assert counts[:2] == [0, 0] and 70 < counts[2] < 130
    with pytest.raises(ValueError, match="repeats is 1, not 2, for a model that takes known"):
        model.sample(1, given=replace(given, repeats=2))


def test_known_levels_are_no_masks(rng):
    """Of three images known by half one remains, by the solver that suits masks."""
    known = image_oracles.Known.some(3, 6)
    path = MixturePath(Tokens(257, 3), Masked(256))
    model = known.model(levels=256, path=path, head=PosteriorHead(256))
    mask = torch.zeros(6, 6, dtype=torch.bool)
    mask[3:] = True
    given = Given(image=torch.where(mask[..., None], 0, known.raw[1]), mask=mask)
    images, nfe = model.draw(20, None, Sampling(steps=36), given=given)
    assert images.equal(known.raw[1].expand(20, 6, 6, 1))
    assert nfe == 18  # those that are asked for


def test_a_model_of_pixel_times_trains_and_is_told_them():
    config = replace(pictures.CONFIG, pixel_times=True)
    model, codec = pictures.model(config), config.codec
    z = torch.rand(4, 1, 8, 8) * 2 - 1
    t = KnownPixels(fraction=1.0).draw(torch.tensor([0.1, 0.4, 0.6, 0.9]), None, z)
    x_t = model.path.sample(z, t)
    assert x_t[t == 1].equal(z[t == 1])
    loss = Objective()(model, model.path, z, t, x_t, condition=torch.tensor([0, 1, 2, 0]))
    assert loss.shape == (4,) and loss.isfinite().all()
    given = Given(image=codec.decode(z[:1])[0], mask=torch.eye(8).bool())
    drawn = model.sample(2, label=1, guidance=2.0, steps=3, given=given)
    assert drawn.shape == (2, 8, 8, 1)
    assert not model.sample(2, steps=3).equal(model.sample(2, steps=3, given=given))


@pytest.mark.parametrize(
    ("seen", "measure"),
    [
        ("gray", lambda x: x.mean(3)),
        ("small", lambda x: x.unflatten(2, (4, 2)).unflatten(1, (4, 2)).mean((2, 4))),
    ],
)
def test_what_was_seen_is_seen_again(seen, measure, normal, rng):
    truth = torch.randint(60, 196, (1, 8, 8, 3), generator=rng).float()
    image = measure(truth).round().to(torch.uint8)[0]
    image = image[..., None].expand(8, 8, 3) if seen == "gray" else image
    drawn = normal.sample(16, given=Given(image=image, seen=seen, std=0.01)).float()
    assert (measure(drawn) - measure(truth)).square().mean().sqrt() < 3
    assert drawn.std(0).mean() > 20  # and nothing else


def test_a_blurred_image_is_sharpened(normal):
    image = torch.full((8, 8, 3), 200, dtype=torch.uint8)
    drawn = normal.sample(16, given=Given(image=image, seen="blur", std=0.01)).float()
    assert_close(drawn.mean(), torch.tensor(200.0), rtol=0, atol=3)
    assert drawn.std(0).mean() > 20


@pytest.mark.parametrize(
    ("shape", "options", "reason"),
    [
        ((8, 8, 3), {}, "known pixels need a mask"),
        ((8, 8, 3), {"mask": (8, 8), "seen": "gray"}, "a mask marks known pixels, but gray"),
        ((8, 4, 3), {"mask": (8, 4)}, "draws 8x8 with 3 channels, the image is 8x4 with 3"),
        ((8, 8, 1), {"seen": "blur"}, "draws 8x8 with 3 channels, the image is 8x8 with 1"),
        ((8, 8, 3), {"mask": (4, 8)}, "the model draws 8x8, but the mask is 4x8"),
        ((8, 8, 3), {"seen": "blur", "width": 0.0}, "the width of a blur is positive, not 0.0"),
        ((8, 8, 3), {"seen": "blur", "repeats": 2}, "repeats is of known pixels, which need a m"),
        ((3, 3, 3), {"seen": "small"}, "the sides of a small image divide those of 8x8"),
        ((3, 4, 3), {"seen": "small"}, "the sides of a small image divide those of 8x8"),
        ((16, 16, 3), {"seen": "small"}, "the sides of a small image divide those of 8x8"),
    ],
)
def test_what_does_not_fit_is_refused(shape, options, reason, normal):
    options = dict(options)
    if "mask" in options:
        options["mask"] = torch.ones(options["mask"], dtype=torch.bool)
    with pytest.raises(ValueError, match=reason):
        normal.sample(1, given=Given(image=torch.zeros(shape, dtype=torch.uint8), **options))


def test_images_and_masks_are_read(tmp_path):
    pixels = np.full((4, 4, 3), 200, np.uint8)
    pixels[:2] = 100
    Image.fromarray(pixels).save(tmp_path / "a.png")
    assert read_image(tmp_path / "a.png", 3).equal(torch.from_numpy(pixels))
    assert read_image(tmp_path / "a.png", 1).shape == (4, 4, 1)
    assert read_mask(tmp_path / "a.png").flatten().tolist() == [False] * 8 + [True] * 8
    (tmp_path / "b.png").write_text("none")
    with pytest.raises(ValueError, match=r"b\.png"):
        read_image(tmp_path / "b.png", 3)


def test_pictures_by_flags(tmp_path):
    from terminal import feller

    folder = pictures.save(tmp_path / "tiny")
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (8, 8), dtype=np.uint8)).save(tmp_path / "a.png")
    mask = np.zeros((8, 8), np.uint8)
    mask[:4] = 255
    Image.fromarray(mask).save(tmp_path / "m.png")
    out = tmp_path / "out.npz"
    flags = ("--image", tmp_path / "a.png", "--mask", tmp_path / "m.png", "-n", 2, "--steps", 2)
    assert feller("sample", folder, *flags, "--out", out).code == 0
    with np.load(out) as arrays, Image.open(tmp_path / "a.png") as image:
        assert (arrays["images"][:, 4:, :, 0] == np.asarray(image)[4:]).all()
        assert not (arrays["images"][0, :4, :, 0] == np.asarray(image)[:4]).all()
    two = ("--between", tmp_path / "a.png", tmp_path / "m.png", "-n", 3, "--steps", 2)
    assert feller("sample", folder, *two, "--out", tmp_path / "arc.npz").code == 0
    wrong = feller("sample", folder, "--mask", tmp_path / "m.png", "--out", tmp_path / "b.npz")
    assert "--mask, --seen and --repeats belong to an --image: give one" in wrong.err


@pytest.mark.parametrize(
    ("field", "kind", "reason"),
    [
        ("image", torch.float32, r"a given image has bytes, 0 to 255, not torch\.float32"),
        ("mask", torch.uint8, r"a mask is true where pixels are drawn, not torch\.uint8"),
    ],
)
def test_numbers_of_another_kind_are_refused(field, kind, reason):
    given = Given(
        image=torch.zeros(8, 8, 3, dtype=torch.uint8), mask=torch.ones(8, 8, dtype=torch.bool)
    )
    # Types are checked in tests: users' are not.
    object.__setattr__(given, field, getattr(given, field).to(kind))
    with pytest.raises(ValueError, match=reason):
        given.__post_init__()
