"""Every source passes its check; what is none is caught."""

import math

import pytest
import torch

from feller.core.discrete.sources import MaskedUniform, UnigramTokens
from feller.core.sources import (
    DataSource,
    Gaussian,
    Masked,
    Source,
    UniformBox,
    UniformSphere,
    UniformTokens,
)
from feller.core.spaces import Euclidean, Sphere, Tokens, Torus
from feller.core.testing import check_source

HOMES = [
    (Gaussian(), Euclidean(2)),
    (UniformBox(-0.5, 2.0), Euclidean()),
    (UniformBox(-math.pi, math.pi), Torus()),
    (UniformSphere(), Sphere()),
    (UniformTokens(4), Tokens(5)),
    (Masked(4), Tokens(5)),
    (UnigramTokens((3.0, 1.0, 2.0)), Tokens(3)),
    (MaskedUniform(4, 0.3), Tokens(5)),
]


def test_every_source_is_checked():
    ours = {c for c in Source.__subclasses__() if c.__module__.startswith("feller.core.")}
    ours.remove(DataSource)  # draws nothing
    assert ours == {type(source) for source, _ in HOMES}


@pytest.mark.parametrize(("source", "space"), HOMES, ids=str)
def test_ours_pass(source, space):
    check_source(source, space, (2, 3))


class Wrong(Source):
    """A normal source with one thing that is wrong."""

    def __init__(self, wrong):
        self.wrong = wrong

    def sample(self, shape, rng, *, like=None):
        if self.wrong == "shape":
            shape = (*shape, 1)
        if self.wrong == "seed":
            rng = None
        if self.wrong == "rows" and isinstance(rng, list):
            return torch.randn(shape, generator=rng[0], dtype=like.dtype)
        like = None if self.wrong == "dtype" else like
        x = Gaussian().sample(shape, rng, like=like)
        return x * 1.05 if self.wrong == "width" else x

    def log_density(self, x):
        if self.wrong == "one number":
            return Gaussian().log_density(x).sum(-1)
        if self.wrong == "never":
            return torch.full_like(x, -torch.inf)
        return Gaussian().log_density(x) + (0.1 if self.wrong == "mass" else 0)


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        ("shape", r"Wrong draws shape \(10000, 2, 1\) for \(2,\) states"),
        ("dtype", "Wrong draws torch.float32 where `like` is torch.float64"),
        ("seed", "Wrong draws other states from the same seed"),
        ("rows", "a row of Wrong depends on other rows"),
        ("one number", "log_density of Wrong has shape"),
        ("never", "Wrong draws what its log_density rules out"),
        ("mass", "the density of Wrong sums to 1.1052, not 1"),
        ("width", "the draws of Wrong do not follow its density: p = "),
    ],
)
def test_what_is_wrong_is_told(wrong, complaint):
    with pytest.raises(AssertionError, match=complaint):
        check_source(Wrong(wrong), Euclidean(), (2,))


def test_the_right_one_of_these_passes():
    check_source(Wrong("nothing"), Euclidean(), (2,))


def test_tokens_that_come_too_often_are_told():
    class Loaded(UniformTokens):
        """Uniform by its word."""

        def sample(self, shape, rng, *, like=None):
            return super().sample(shape, rng, like=like).clamp_min(1)

    with pytest.raises(AssertionError, match="the draws of Loaded do not follow its density"):
        check_source(Loaded(4), Tokens(5), (2,))
