"""Conditional paths: all source at t = 0, all data at t = 1, whatever the clock's shape."""

import math

import pytest
import torch
from torch.testing import assert_close

from feller.core import random
from feller.core.pairs import Pair, is_pair
from feller.core.paths import (
    BridgePath,
    ConditionalPath,
    GaussianPath,
    GeodesicPath,
    GeometricPath,
    MixturePath,
    SineNoise,
)
from feller.core.schedules import CondOT, Cosine, Geometric, Polynomial, VariancePreserving
from feller.core.sources import Gaussian, Masked, UniformBox, UniformSphere, UniformTokens
from feller.core.spaces import Euclidean, Interval, Manifold, Sphere, Tokens, Torus

PATHS = [
    GaussianPath(),
    GaussianPath(schedule=Polynomial(3.0)),
    GaussianPath(Euclidean(2), Cosine()),
    GaussianPath(schedule=VariancePreserving()),
    BridgePath(),
    BridgePath(Euclidean(2), Cosine(), SineNoise()),
    BridgePath(noise=None, schedule=Polynomial()),
    GeodesicPath(Euclidean(), Gaussian(), Cosine()),
    GeodesicPath(Sphere(), UniformSphere()),
    GeodesicPath(Torus(), UniformBox(-math.pi, math.pi), Polynomial()),
    MixturePath(Tokens(5), Masked(4)),
    MixturePath(Tokens(5), UniformTokens(5), Cosine()),
    MixturePath(Euclidean(), Gaussian()),
    MixturePath(Sphere(), UniformSphere()),
    MixturePath(Interval(), UniformBox(), Cosine()),
]
BLURRED = [  # at t = 1 the data with a little noise
    GaussianPath(schedule=Geometric()),
    GeometricPath(Tokens(5), 0.1),
]
SHAPE = (6, 4, 3)
every_path = pytest.mark.parametrize("path", PATHS + BLURRED, ids=lambda path: str(path)[:50])
every_sharp_path = pytest.mark.parametrize("path", PATHS, ids=lambda path: str(path)[:50])


def law_of(space):
    """A law on the space from which to draw data."""
    if space.is_discrete:
        return UniformTokens(space.size)
    laws = {Sphere: UniformSphere(), Torus: UniformBox(-math.pi, math.pi), Interval: UniformBox()}
    return laws.get(type(space), Gaussian())


def draw(path, rng):
    """What the path is conditioned on, and source samples: on a bridge, those of its pairs."""
    z, x_0 = law_of(path.space).sample(SHAPE, rng), path.sample_source(SHAPE, rng)
    return path.given(x_0, z), x_0


def data_of(z):
    return z.x_1 if is_pair(z) else z


def clock(path, value):
    """Every shape of one time: a float, one a sample, one an element."""
    elements = SHAPE[: len(SHAPE) - path.space.element_dim]
    return value, torch.full(SHAPE[:1], value), torch.full(elements, value)


def test_every_path_is_tested():
    ours = {c for c in ConditionalPath.__subclasses__() if c.__module__.startswith("feller.core.")}
    assert ours == {type(path) for path in PATHS + BLURRED}


@every_sharp_path
def test_all_is_data_at_one(path, rng):
    z, x_0 = draw(path, rng)
    for t in clock(path, 1.0):
        assert torch.equal(path.sample(z, t, rng), data_of(z))
        assert torch.equal(path.sample(z, t, x_0=x_0, rng=rng), data_of(z))


@pytest.mark.parametrize("path", BLURRED, ids=str)
def test_at_one_the_data_have_the_noise_of_the_path(path, rng):
    z, _ = draw(path, rng)
    z = z[:1, :1].expand(20_000, 1, 3)
    x = path.sample(z, 1.0, rng)
    if path.space.is_discrete:
        assert float((x != z).double().mean()) == pytest.approx(0.08, abs=0.005)
    else:
        assert float((x - z).std()) == pytest.approx(path.schedule.width, rel=0.03)


@every_path
def test_all_is_source_at_zero(path, rng):
    z, x_0 = draw(path, rng)
    leak = 0.01 if isinstance(path.schedule, VariancePreserving) else 1e-6
    for t in clock(path, 0.0):
        assert_close(path.sample(z, t, rng, x_0=x_0), x_0, rtol=0, atol=5 * leak)


@every_path
def test_between_the_state_is_in_the_space_and_is_neither(path, rng):
    z, x_0 = draw(path, rng)
    x = path.sample(z, 0.5, rng, x_0=x_0)
    path.space.check(x)
    assert x.dtype == z.dtype
    assert not torch.equal(x, data_of(z))
    assert not torch.equal(x, x_0)


@every_path
def test_the_shape_of_the_clock_does_not_matter(path, rng):
    z, x_0 = draw(path, rng)
    x, *others = (path.sample(z, t, rng.manual_seed(1), x_0=x_0) for t in clock(path, 0.6))
    for other in others:
        assert_close(other, x)


@every_sharp_path
def test_every_element_has_its_own_clock(path, rng):
    z, x_0 = draw(path, rng)
    t = torch.rand(clock(path, 0.0)[-1].shape, generator=rng)
    t[:, ::2] = 1.0
    x = path.sample(z, t, rng, x_0=x_0)
    assert torch.equal(x[:, ::2], data_of(z)[:, ::2])
    assert not torch.equal(x[:, 1::2], data_of(z)[:, 1::2])


@every_path
def test_a_row_does_not_depend_on_its_batch(path, rng):
    z, _ = draw(path, rng)
    t = torch.linspace(0.1, 0.9, len(z))
    x = path.sample(z, t, random.rows(0, 0, 6))
    assert_close(path.sample(z[4:], t[4:], random.rows(0, 4, 6)), x[4:], rtol=0, atol=0)


@every_path
def test_source_samples_are_drawn_where_none_are_given(path, rng):
    z, _ = draw(path, rng)
    if is_pair(z):
        return  # a pair brings its own
    x = path.sample(z, 0.0, rng.manual_seed(3))
    expected = path.sample_source(SHAPE, rng.manual_seed(3), like=z)
    assert_close(x, expected, rtol=0, atol=0.05)


@every_path
@pytest.mark.parametrize("t", [1.5, -0.1, float("nan"), torch.tensor([0.5, 1.5])])
def test_times_are_in_the_unit_interval(path, t, rng):
    x_0 = path.sample_source((2, 3, 3), rng)
    z = path.given(x_0, x_0)
    with pytest.raises(ValueError, match=r"t lies in \[0, 1\], not"):
        path.sample(z, t, rng)


MOVING = [path for path in PATHS + BLURRED if isinstance(path, (GaussianPath, BridgePath))]


@pytest.mark.parametrize("path", [*MOVING, PATHS[7]], ids=lambda path: str(path)[:50])
def test_a_state_is_drawn_with_its_time_derivative(path, rng):
    """Each row, element or all on one clock: the difference of two times at the same draws."""
    x_1 = torch.randn(SHAPE, generator=rng, dtype=torch.float64)
    x_1 = torch.nn.functional.normalize(x_1, dim=-1) if path.space.is_curved else x_1
    z, h = path.given(path.sample_source(SHAPE, rng, like=x_1), x_1), 1e-6
    for each in clock(path, 0.4):
        t = each.double() if torch.is_tensor(each) else each
        drawn = path.draw(z, t, rng.manual_seed(1))
        ends = [path.sample(z, t + s, rng.manual_seed(1)) for s in (h, -h)]
        assert_close(drawn.x_t, path.sample(z, t, rng.manual_seed(1)), rtol=0, atol=1e-12)
        assert_close(drawn.velocity, (ends[0] - ends[1]) / (2 * h), rtol=0, atol=1e-5)


@every_path
def test_a_path_says_whether_a_velocity_tells_the_score(path):
    if isinstance(path, GaussianPath):
        path.check_score("Noised")
        return
    name = type(path).__name__
    with pytest.raises(ValueError, match=rf"^Noised takes .* not on a {name}: .*Head") as caught:
        path.check_score("Noised")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("path", [PATHS[4], PATHS[7], PATHS[10]], ids=str)
def test_what_a_path_cannot_tell_is_refused(path):
    x = torch.ones(1, 3)
    assert path.convert(x, "velocity", "velocity", x, 0.5) is x
    with pytest.raises(ValueError, match=f"velocity of a {type(path).__name__} gives no score"):
        path.convert(x, "velocity", "score", x, 0.5)
    if not isinstance(path, BridgePath):
        with pytest.raises(ValueError, match=f"the score of a {type(path).__name__} is not known"):
            path.score(x, 0.5, x)


def test_a_pair_is_given_to_bridges_and_its_data_to_others():
    x_0, x_1 = torch.zeros(2, 1), torch.ones(2, 1)
    assert GaussianPath().given(x_0, x_1) is x_1
    assert BridgePath().given(x_0, x_1) == Pair(x_0, x_1)


OUTSIDE = [
    (Tokens(3), Masked(7)),
    (Tokens(3), Masked(-1)),
    (Tokens(3), UniformTokens(9)),
    (Tokens(3), Gaussian()),
    (Interval(), Gaussian()),
    (Interval(), UniformBox(-2.0, 1.0)),
    (Interval(), Masked(0)),
    (Torus(), UniformBox(0.0, 2 * math.pi)),
    (Torus(), Gaussian()),
    (Sphere(), Gaussian()),
    (Euclidean(), UniformSphere()),
]


@pytest.mark.parametrize(("space", "source"), OUTSIDE, ids=str)
def test_a_source_draws_in_its_space(space, source):
    with pytest.raises(ValueError, match="draws what is not in"):
        MixturePath(space, source)
    if isinstance(space, Manifold):
        with pytest.raises(ValueError, match="draws what is not in"):
            GeodesicPath(space, source)


def test_a_source_may_draw_less_than_its_space():
    for space, source in [
        (Tokens(3), Masked(0)),
        (Tokens(3), UniformTokens(2)),
        (Interval(), UniformBox(0.0, 1.0)),
        (Torus(), UniformBox()),
        (Torus(), UniformBox(-math.pi, math.pi)),
        (Euclidean(), UniformBox()),
    ]:
        MixturePath(space, source)


@pytest.mark.parametrize(
    ("name", "part", "said"),
    [
        ("space", CondOT(), r"MixturePath: space is a StateSpace, not CondOT; name the parts"),
        ("source", Tokens(4), r"MixturePath: source is a Source, not Tokens"),
        ("schedule", Masked(3), r"MixturePath: schedule is a Schedule, not Masked"),
    ],
)
def test_parts_in_the_wrong_order_are_refused(name, part, said):
    path = MixturePath(Tokens(4), Masked(3))
    object.__setattr__(path, name, part)  # types are checked in tests: users' are not
    with pytest.raises(TypeError, match=said):
        path.__post_init__()
