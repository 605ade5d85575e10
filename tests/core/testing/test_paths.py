"""Every path passes its check; what is none is caught."""

import math

import pytest
import torch

from feller.core.paths import ConditionalPath, GaussianPath, GeodesicPath, MixturePath
from feller.core.schedules import Geometric
from feller.core.sources import Masked, UniformBox
from feller.core.spaces import Tokens, Torus
from feller.core.testing import check_path
from feller.core.times import expand_time
from feller.core.verify.examples import EXAMPLES

EVERY = [example for examples in EXAMPLES.values() for example in examples()]


def test_every_path_is_checked():
    ours = {c for c in ConditionalPath.__subclasses__() if c.__module__.startswith("feller.core.")}
    assert ours == {type(example.path) for example in EVERY}


def ends_at_data(path):
    return not (isinstance(path.schedule, Geometric) or hasattr(path, "noise"))


@pytest.mark.parametrize("example", EVERY, ids=lambda e: str(e.path)[:70])
def test_ours_pass(example):
    z = example.points[[0, 0, 0]]
    check_path(example.path, z, ends_at_data=ends_at_data(example.path))


Z = torch.tensor([[0.5, 1.0], [-1.0, 0.2], [0.1, -0.4]], dtype=torch.float64)


class Wrong(GaussianPath):
    """The Gaussian path with one thing that is wrong."""

    wrong = "nothing"

    def sample(self, z, t, rng=None, *, x_0=None):
        if self.wrong == "clock" and isinstance(t, torch.Tensor) and t.ndim > 1:
            t = t[:, 0]
        if self.wrong == "rows" and isinstance(rng, list):
            rng = rng[0]
        if self.wrong == "source" and x_0 is not None:
            x_0 = 2 * x_0
        x = super().sample(z, t, rng, x_0=x_0)
        if self.wrong == "end":
            x = x + 1e-3 * (expand_time(t, z) == 1)
        return x.float() if self.wrong == "dtype" else x

    def log_density(self, x, t, z):
        wide = 1.2 if self.wrong == "density" else 1.0
        mass = 0.2 if self.wrong == "mass" else 0.0
        mean = self.schedule.alpha(t) * z
        return super().log_density(mean + (x - mean) * wide, t, z) + mass + torch.tensor(wide).log()


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        ("source", "a state of Wrong at t = 0, beside its source sample, is off by"),
        ("end", "a state of Wrong at t = 1 is not exactly its data point"),
        ("dtype", "Wrong returns torch.float32 for data of torch.float64"),
        ("clock", "an element of Wrong beside known ones is off by"),
        ("rows", "a row of Wrong depends on other rows"),
        ("mass", r"the density of Wrong sums to 1\.22\d* at t = 0.4, not 1"),
        ("density", r"the states of Wrong do not follow its density at t = 0.4: p = "),
    ],
)
def test_what_is_wrong_is_told(wrong, complaint, monkeypatch):
    check_path(Wrong(), Z)
    monkeypatch.setattr(Wrong, "wrong", wrong)
    with pytest.raises(AssertionError, match=complaint):
        check_path(Wrong(), Z)


def test_tokens_that_come_too_early_are_told(monkeypatch):
    class Early(MixturePath):
        """A mixture whose tokens arrive before their time."""

        def sample(self, z, t, rng=None, *, x_0=None):
            return super().sample(z, t**0.8 if isinstance(t, float) else t, rng, x_0=x_0)

    z = torch.tensor([[0, 1], [2, 3]])
    with pytest.raises(AssertionError, match="Early"):
        check_path(Early(Tokens(5), Masked(4)), z)


def test_angles_end_where_the_torus_does():
    check_path(GeodesicPath(Torus(), UniformBox(-math.pi, math.pi)), Z)
