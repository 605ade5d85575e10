"""Paths of rotations: what every path must do, the law of their states, and what is refused."""

import math

import pytest
import torch
from scipy import stats
from torch.testing import assert_close

from feller.core.config import decode, encode
from feller.core.generators import Jump
from feller.core.paths import GeodesicPath, MixturePath
from feller.core.posteriors import FiniteData
from feller.core.schedules import Cosine, VariancePreserving
from feller.core.testing import check_path
from feller.proteins.so3.paths import FisherPath, HeatKernelPath
from feller.proteins.so3.radial import uniform_cdf
from feller.proteins.so3.rotations import Rotations, angle, exp, log, relative
from feller.proteins.so3.sources import UniformRotations

ISOTROPIC = [FisherPath(schedule=Cosine()), HeatKernelPath()]
PATHS = [
    FisherPath(),
    *ISOTROPIC,
    GeodesicPath(Rotations(), UniformRotations()),
    MixturePath(Rotations(), UniformRotations()),
]
isotropic = pytest.mark.parametrize("path", ISOTROPIC, ids=["fisher", "heat kernel"])


def rotations(*shape, rng, dtype=torch.float64):
    return UniformRotations().sample((*shape, 3, 3), rng, like=torch.empty(0, dtype=dtype))


@pytest.mark.parametrize("path", PATHS, ids=lambda p: type(p).__name__)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_paths_keep_the_contract(path, dtype, rng):
    rng.manual_seed(7)  # other rotations than the check's own draws
    check_path(path, rotations(6, 4, rng=rng, dtype=dtype))


@isotropic
@pytest.mark.parametrize("t", [0.1, 0.5, 0.95])
def test_states_follow_the_distribution(path, t, rng):
    z = rotations(1, 1, rng=rng)
    v = log(relative(z, path.sample(z.expand(5000, 1, 3, 3), t, rng)))[:, 0]
    w = v.norm(dim=-1)
    s = path.parameter(torch.tensor(t, dtype=torch.float64))
    assert stats.kstest(path.family.cdf(w, s).numpy(), "uniform").pvalue > 1e-3
    for axis in (v / w[:, None]).T:
        assert stats.kstest((axis.numpy() + 1) / 2, "uniform").pvalue > 1e-3


@isotropic
def test_the_density_is_that_of_the_angle(path, rng):
    x, z = rotations(2, 5, 1, rng=rng)
    s = path.parameter(torch.tensor(0.4, dtype=torch.float64))
    expected = path.family.log_density(angle(relative(z, x)), s)
    assert_close(path.log_density(x, 0.4, z), expected)
    turn = rotations(1, 1, rng=rng)
    assert_close(path.log_density(turn @ x, 0.4, turn @ z), expected)


@isotropic
def test_the_density_has_mass_one(path, rng):
    x = rotations(40_000, 1, rng=rng)
    mass = path.log_density(x, 0.2, x[:1]).exp().double()
    assert abs(float(mass.mean()) - 1) < 5 * float(mass.std()) / len(x) ** 0.5


@isotropic
def test_the_source_is_the_distribution_at_the_start(path):
    w = torch.linspace(0, math.pi, 100, dtype=torch.float64)
    start = path.family.cdf(w, path.parameter(torch.zeros((), dtype=torch.float64)))
    assert (start - uniform_cdf(w)).abs().max() < 1e-3


@isotropic
def test_at_the_end_angles_are_of_five_degrees(path, rng):
    z = rotations(2000, 1, rng=rng)
    w = angle(relative(z, path.sample(z, 1 - 1e-6, rng)))
    assert math.degrees(w.square().mean().sqrt()) == pytest.approx(5.0, abs=0.2)


@isotropic
def test_a_state_is_between_its_ends(path, rng):
    z, x_0 = rotations(2, 50, 3, rng=rng)
    x = path.sample(z, 0.5, x_0=x_0)
    way, whole = log(relative(z, x)), log(relative(z, x_0))
    assert_close(torch.linalg.cross(way, whole), torch.zeros_like(way), rtol=0, atol=1e-9)
    assert ((way * whole).sum(-1) >= 0).all()
    assert (way.norm(dim=-1) <= whole.norm(dim=-1) + 1e-3).all()


@isotropic
def test_what_is_known_is_certain(path, rng):
    x, z = rotations(2, 1, 2, rng=rng)
    t = torch.tensor([[1.0, 0.5]])
    density = path.log_density(torch.stack([z[:, 0], x[:, 1]], 1), t, z)
    assert density[0, 0] == 0
    assert density[0, 1].isfinite()
    assert path.log_density(x, t, z)[0, 0] == -math.inf


@isotropic
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_states_and_slopes_are_finite_at_all_times(path, dtype, rng):
    z = rotations(4, 2, rng=rng, dtype=dtype)
    x_0 = z.clone()
    x_0[1, :, :, :2] *= -1  # half a turn away
    for t in (0.0, 1e-6, 0.5, 1 - 1e-6, 1.0):
        base = z.clone().requires_grad_()
        x = path.sample(base, t, x_0=x_0)
        Rotations().check(x.detach())
        (x * torch.arange(9.0).view(3, 3)).sum().backward()
        assert base.grad.isfinite().all()


@isotropic
@pytest.mark.parametrize("t", [-0.1, 1.5, math.nan, torch.tensor([0.5, 2.0])])
def test_times_outside_are_refused(path, t, rng):
    with pytest.raises(ValueError, match=r"t lies in \[0, 1\], not"):
        path.sample(rotations(2, 1, rng=rng), t, rng)


@pytest.mark.parametrize("t", [0.25, torch.tensor([0.25, 0.25])])
def test_the_mass_of_a_mixture_is_that_of_a_rotation(t, rng):
    """One number for each rotation: the atom where all nine entries agree, else a cell."""
    path, width = MixturePath(Rotations(), UniformRotations()), 1e-2
    z = rotations(2, 3, rng=rng)
    x = z.clone()
    x[0, 1] = rotations(rng=rng)
    x[1, 2] = x[1, 2] @ exp(torch.tensor([0.0, 0.0, 1e-3], dtype=torch.float64))
    x[1, 0, :, :2] *= -1  # the last column, and no other, is that of z
    mass = path.log_mass(x, t, z, width)
    assert mass.shape == (2, 3)
    cell = 0.75 * width**9
    away = torch.zeros(2, 3, dtype=torch.bool)
    away[0, 1] = away[1, 0] = True
    expected = torch.where(away, math.log(cell), math.log(0.25 + cell)).double()
    assert_close(mass, expected, check_dtype=False, rtol=1e-6, atol=1e-6)


def test_the_posterior_of_a_mixture_is_certain_at_an_atom(rng):
    path, points = MixturePath(Rotations(), UniformRotations()), rotations(3, 2, rng=rng)
    weights = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
    x = rotations(3, 2, rng=rng)
    x[0, 1] = points[2, 1]  # one rotation of two has arrived
    x[1] = points[1]
    found = FiniteData(path, Jump, points, weights).posterior(x, 0.5)
    expected = torch.stack([torch.eye(3)[2].double(), torch.eye(3)[1].double(), weights])
    assert_close(found, expected, check_dtype=False)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: FisherPath(start=0.5), "starts between 0 and 0.01 and rises, not from 0.5 by 400"),
        (lambda: FisherPath(rise=-1.0), "by -1.0"),
        (lambda: FisherPath(schedule=VariancePreserving()), "a mixing weight starts at 0"),
        (lambda: HeatKernelPath(wide=1.0), "starts at 2.5 rad or more"),
        (lambda: HeatKernelPath(narrow=1e-3), "not at 3.0 and 0.001"),
    ],
)
def test_what_is_no_path_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("path", PATHS, ids=lambda p: type(p).__name__)
def test_a_path_is_plain_data(path):
    assert decode(encode(path)) == path
