"""Bits per dimension: of a normal distribution they are known; other processes have their ELBO."""

import math

import pytest
import torch

from feller.core.generators import Diffusion, Flow
from feller.core.models import Model
from feller.core.paths import GaussianPath
from feller.core.posteriors import FiniteData, NormalMixture
from feller.core.spaces import Euclidean
from feller.images.data import ImageData
from feller.images.metrics.likelihood import likelihood
from feller.images.metrics.splits import some_of, splits
from feller.images.recipes import drawn_flow, mnist_discrete

DATA = ImageData(source="drawn")


class Exact(torch.nn.Module, Model):
    """A process that is known, instead of a network and its head."""

    def __init__(self, model, process):
        super().__init__()
        self.process, self.path, self.kinds = process, model.path, process.kinds
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def forward(self, x, t, condition=None):
        return self.process(x, t)


class Normal(Model):
    """The flow of data that are independent standard normals."""

    path = GaussianPath(Euclidean(3))
    kinds = frozenset({Flow})
    exact = NormalMixture(GaussianPath(), torch.zeros(1, 784), torch.ones(1), torch.ones(1))

    def __call__(self, x, t, condition=None):
        return Flow(self.exact(x.flatten(1), t).velocity.view(x.shape))


@pytest.mark.gate
def test_the_bits_of_a_normal_distribution_are_its_density():
    model = drawn_flow().model.build()
    assert model.path.space == Euclidean(3)
    model.model = Exact(model, Normal())
    found = likelihood(model, DATA, n=6, steps=20)
    test = splits(model, DATA).test
    z = model.codec.encode((some_of(test, 6, 0), None))[0]
    nats = (0.5 * z.square() + 0.5 * math.log(2 * math.pi)).mean()
    assert found.value == pytest.approx(float(nats) / math.log(2) + math.log2(127.5), abs=0.02)
    assert found.low < found.value < found.high and "NFE 40" in found.protocol
    assert likelihood(model, DATA, n=1, steps=2).low is None


@pytest.mark.gate
def test_a_diffusion_has_its_elbo():
    """Of the very images that are measured, all it is left to guess is which of them."""
    model = drawn_flow().model.build()
    test = splits(model, DATA).test
    points = model.codec.encode((some_of(test, 4, 0), None))[0]
    exact = FiniteData(model.path, Diffusion, points)
    model.model = Exact(model, exact)
    found = likelihood(model, DATA, n=4, steps=8)
    assert "ELBO" in found.protocol and "NFE 16" in found.protocol
    assert abs(found.value) < 0.1


def test_levels_have_their_own_bits():
    """A fresh network finds all 16 levels as likely: 4 bits, whatever the image."""
    config = mnist_discrete().model
    found = likelihood(config.build(), DATA, n=2, steps=3)
    assert found.value == pytest.approx(4.0, abs=1e-3)
    assert "ELBO of 16 grey levels, 2 test images" in found.protocol
    assert "NFE 3" in found.protocol


def test_nothing_is_refused():
    model = drawn_flow().model.build()
    with pytest.raises(ValueError, match="an image and a step, not 0 and 5"):
        likelihood(model, DATA, n=0, steps=5)
