"""Drawing: from given noise, with every kind of guidance, and back to the noise."""

from dataclasses import replace

import pictures
import pytest
import torch
from torch.testing import assert_close

from feller.core.generators import Flow
from feller.core.paths import GaussianPath
from feller.core.posteriors import NormalMixture
from feller.images.drawing import Request, draw, interpolate, invert, slerp
from feller.images.sampling import Sampling

HOW = Sampling(steps=4, solver="euler")


@pytest.fixture(scope="module")
def model():
    return pictures.model()


@pytest.fixture(scope="module")
def smooth():
    """A model that knows the normal of its data: what it draws follows from the noise."""
    made = pictures.model(pictures.UNCONDITIONAL)
    path = GaussianPath()
    flat = NormalMixture(path, torch.full((1, 64), 0.2), torch.tensor([0.3]), torch.ones(1))

    def forward(x, t, condition=None):
        return Flow(flat(x.flatten(1), t).velocity.view_as(x))

    made.model.forward = forward
    return made


def test_noise_may_be_given(model, rng):
    noise = torch.randn(3, 1, 8, 8, generator=rng)
    drawn = model.sample(3, label="cat", steps=2, noise=noise)
    assert not drawn.equal(model.sample(3, label="cat", steps=2))
    again = draw(model, Request(n=1, labels=torch.tensor([0]), noise=noise[2:]), Sampling(steps=2))
    assert (again[0].int() - drawn[2:].int()).abs().max() <= 1
    parts = model.sample(3, label="cat", steps=2, noise=noise, batch_size=2)
    assert (parts.int() - drawn.int()).abs().max() <= 1
    with pytest.raises(ValueError, match=r"noise is \(n, c, h, w\) = \(3, 1, 8, 8\), not"):
        model.sample(3, noise=noise[:, :, :4])
    with pytest.raises(ValueError, match="noise is one state an image, 4, not 3"):
        model.sample(4, noise=noise)


def test_images_have_a_guidance_each(model):
    scales = (0.0, 3.0, 1.0)
    together = model.sample(3, label="dog", steps=2, guidance=scales, batch_size=2)
    for i, scale in enumerate(scales):
        alone = model.sample(3, label="dog", steps=2, guidance=scale)
        assert (together[i].int() - alone[i].int()).abs().max() <= 1
    with pytest.raises(ValueError, match="guidance is one for each of 2 images"):
        model.sample(2, label="dog", guidance=scales)


def test_a_worse_model_guides(model, tmp_path):
    pictures.save(tmp_path / "same")
    plain, calls = model.draw(2, None, HOW)
    how = replace(HOW, guidance=3.0, autoguidance=str(tmp_path / "same"))
    same, twice = model.draw(2, None, how)  # away from itself there is no way
    assert (same.int() - plain.int()).abs().max() <= 1
    assert twice == 2 * calls
    other = replace(pictures.UNCONDITIONAL, network=replace(pictures.UNCONDITIONAL.network))
    pictures.save(tmp_path / "other", other)
    with pytest.raises(ValueError, match="cannot guide: its classes is"):
        model.draw(2, None, replace(how, autoguidance=str(tmp_path / "other")))


def test_rescaled_guidance_is_another(model):
    how = replace(HOW, guidance=5.0)
    labels = torch.tensor([0, 1])
    plain, rescaled = (
        model.draw(2, labels, replace(how, rescale=share))[0].float() for share in (0.0, 1.0)
    )
    assert not rescaled.equal(plain)


def test_weights_are_for_joint_models(model):
    with pytest.raises(ValueError, match="mix is a weight for each part of the model, of which"):
        model.sample(1, mix=(0.5, 0.5))
    with pytest.raises(ValueError, match="mix are at least 0 and sum to 1"):
        Sampling(mix=(0.5, 0.6))
    with pytest.raises(ValueError, match="mix and mix_end are as many weights"):
        Sampling(mix=(1.0,), mix_end=(0.5, 0.5))


def test_images_come_back_from_their_noise(smooth):
    images = smooth.sample(3, seed=2, steps=40)
    noise = invert(smooth, images, sampling=Sampling(steps=40))
    again = smooth.sample(3, noise=noise, steps=40)
    assert (again.int() - images.int()).abs().max() <= 2
    expected = (images.float() / 127.5 - 1 - 0.2)[..., 0] / 0.3
    assert_close(noise[:, 0], expected, rtol=0, atol=0.05)  # the flow of a normal scales


def test_an_arc_between_noises(rng):
    a, b = torch.randn(2, 1, 8, 8, generator=rng)
    arc = slerp(a, b, torch.linspace(0, 1, 5))
    assert_close(arc[0], a)
    assert_close(arc[-1], b)
    assert arc.flatten(1).norm(dim=1).min() > 0.95 * min(a.norm(), b.norm())
    assert_close(slerp(a, a, torch.tensor([0.5]))[0], a)


def test_images_between_two(smooth):
    ends = smooth.sample(2, seed=4)
    row = interpolate(smooth, ends, 5, sampling=Sampling(steps=30))
    assert (row[[0, -1]].int() - ends.int()).abs().max() <= 3
    gaps = (row[1:].float() - row[:-1].float()).flatten(1).norm(dim=1)
    assert gaps.max() < 0.7 * (row[0].float() - row[-1].float()).norm()
