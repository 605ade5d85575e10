"""How images come about: films of what is drawn, and where pixels jump, by models that know."""

import pictures
import pytest
import torch
from torch import nn

from feller.core.generators import Flow, Jump, Part, Superposition
from feller.core.paths import GaussianPath
from feller.core.posteriors import FiniteData
from feller.core.spaces import Euclidean
from feller.images.sampling import Sampling
from feller.images.trajectories import trajectory

DATA = torch.tensor([-0.8, 0.9])[:, None, None, None] * torch.ones(2, 1, 8, 8)
DATA[1, :, :, :4] = -0.3


class Oracle(nn.Module):
    """The exact posterior of two images, as a flow, a jump or half of each."""

    takes_next = False

    def __init__(self, *kinds):
        super().__init__()
        self.kinds = frozenset(kinds)
        self.like = nn.Parameter(torch.zeros(()), requires_grad=False)  # a model has weights
        self.parts = [FiniteData(GaussianPath(Euclidean(3)), kind, DATA) for kind in kinds]

    def part_kinds(self):
        return tuple(frozenset({part.kind}) for part in self.parts)

    def forward(self, x, t, condition=None, s=None):
        found = [part(x, t) for part in self.parts]
        if len(found) == 1:
            return found[0]
        return Superposition(tuple(Part(1 / len(found), each) for each in found))


def oracle(*kinds):
    model = pictures.UNCONDITIONAL.build()
    model.model = Oracle(*kinds)
    return model


@pytest.fixture
def fired(monkeypatch):
    """How far each firing moved each pixel."""
    found, fire = [], Jump.fire

    def noted(self, x, *given):
        after = fire(self, x, *given)
        found.append((after - x).abs().amax(1))
        return after

    monkeypatch.setattr(Jump, "fire", noted)
    return found


def test_a_film_is_of_the_images_that_are_drawn():
    model, how = pictures.model(), Sampling(steps=4, solver="euler", guidance=2.0)
    labels = torch.tensor([0, 1, 2])
    found = trajectory(model, 3, labels, how, seed=5)
    images, nfe = model.draw(3, labels, how, seed=5)
    assert found.images.equal(images) and found.nfe == nfe
    film = found.film()
    assert film.shape == (5, 3, 8, 8, 1) and film[-1].equal(images)
    assert [moment.time for moment in found.moments] == [0, 0.25, 0.5, 0.75]
    assert not model._forward_hooks  # nothing stays behind


def test_of_a_predicted_and_a_corrected_state_the_last_counts():
    model, how = pictures.model(), Sampling(steps=2, solver="heun")
    found = trajectory(model, 2, None, how)
    (first, second) = found.moments
    drift = (first.state, first.drift)
    assert (second.time, first.time) == (0.5, 0)
    assert not torch.equal(second.state, drift[0] + 0.5 * drift[1])


@pytest.mark.parametrize("kinds", [(Jump,), (Flow, Jump)])
def test_pixels_jump_where_and_when_they_do(kinds, fired):
    how = Sampling(steps=30, solver="mixed", grid="logarithmic")
    found = trajectory(oracle(*kinds), 6, None, how).jumps()
    moved = torch.stack(fired)
    assert found.where.shape == moved.shape and len(moved) > 30
    steps = slice(0, -1)  # images of the last one are rounded to bytes
    assert found.where[steps][moved[steps] > 0.1].all()
    assert not found.where[steps][moved[steps] == 0].any()
    assert found.where.any(0).float().mean() > (0.5 if kinds == (Jump,) else 0.2)
    assert found.counts().max() >= 1
    last, picture = found.last(), found.picture()
    assert 0 < float(last.max()) <= 1 and picture.shape == (6, 8, 8, 1)
    assert picture[found.counts() == 0].eq(0).all()


def test_a_flow_does_not_jump():
    found = trajectory(oracle(Flow), 6, None, Sampling(steps=40, solver="euler")).jumps()
    assert not found.where.any() and found.picture().eq(0).all()


def test_what_is_refused_leaves_no_hook():
    model = pictures.model()
    with pytest.raises(ValueError, match="guidance needs labels"):
        trajectory(model, 2, None, Sampling(guidance=2.0))
    assert not model._forward_hooks
