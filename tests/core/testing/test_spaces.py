"""Every space passes its check; what is none is caught."""

import math

import pytest
import torch

from feller.core.sources import Gaussian, UniformBox, UniformSphere, UniformTokens
from feller.core.spaces import Euclidean, Interval, Manifold, Sphere, StateSpace, Tokens, Torus
from feller.core.testing import check_space

HOMES = [
    (Euclidean(), Gaussian()),
    (Interval(-1.0, 2.0), UniformBox(-1.0, 2.0)),
    (Sphere(), UniformSphere()),
    (Tokens(5), UniformTokens(5)),
    (Torus(), UniformBox(-math.pi, math.pi)),
]


def points(source, rng):
    dtype = torch.int64 if isinstance(source, UniformTokens) else torch.float64
    return source.sample((8, 3), rng, like=torch.empty(0, dtype=dtype))


def test_every_space_is_checked():
    found = {c for base in (StateSpace, Manifold) for c in base.__subclasses__()} - {Manifold}
    ours = {c for c in found if c.__module__.startswith("feller.core.")}
    assert ours == {type(space) for space, _ in HOMES}


@pytest.mark.parametrize(("space", "source"), HOMES, ids=str)
def test_ours_pass(space, source, rng):
    check_space(space, points(source, rng))


class Wrong(Manifold):
    """The Euclidean space with one thing that is wrong."""

    event_dim = 1

    def __init__(self, wrong):
        self.wrong, self.flat = wrong, Euclidean()

    def check(self, x):
        if self.wrong == "refuses":
            raise ValueError("no")
        if self.wrong != "takes":
            self.flat.check(x)

    def exp(self, x, v):
        return x + v * (1 + v.abs()) if self.wrong == "speed" else x + v

    def log(self, x, y):
        return 0.9 * (y - x) if self.wrong == "log" else y - x

    def project(self, x):
        return x / 2 if self.wrong == "project" else x

    def project_tangent(self, x, v):
        return v / 2 if self.wrong == "tangent" else v


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        ("refuses", "Wrong refuses points of its own"),
        ("takes", "Wrong takes torch.int64 for torch.float64 without a word"),
        ("speed", "log after exp on Wrong is off by"),
        ("log", "log after exp on Wrong is off by"),
        ("project", "project of Wrong, twice, is off by"),
        ("tangent", "project_tangent of Wrong, twice, is off by"),
    ],
)
def test_what_is_wrong_is_told(wrong, complaint, rng):
    with pytest.raises(AssertionError, match=complaint):
        check_space(Wrong(wrong), points(Gaussian(), rng))


def test_the_right_one_of_these_passes(rng):
    check_space(Wrong("nothing"), points(Gaussian(), rng))


def test_discrete_is_not_continuous(rng):
    class Numbers(Tokens):
        """Tokens that are said to be numbers."""

        is_discrete = False

    with pytest.raises(AssertionError, match=r"Numbers is_discrete, but its points are torch\.int"):
        check_space(Numbers(5), points(UniformTokens(5), rng))
