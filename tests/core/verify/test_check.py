"""The check: what solves the forward equation passes, what does not is caught, and by how much."""

import math
from dataclasses import dataclass, replace

import pytest
import torch

from feller.core import random
from feller.core.algebra import backward, stationary
from feller.core.generators import Diffusion, Flow, Jump, Product
from feller.core.models import GeneratorModel, Model
from feller.core.paths import GaussianPath, MixturePath, ProductPath
from feller.core.posteriors import FiniteData, FiniteProductData, NormalMixture
from feller.core.solutions import solution
from feller.core.sources import Masked
from feller.core.spaces import Tokens
from feller.core.times import expand_time
from feller.core.verify import (
    Entry,
    Plan,
    Reference,
    Statistics,
    Sums,
    Verification,
    bank,
    verify,
)
from feller.core.verify.check import Probe, Residual
from feller.core.verify.distributions import pathwise

PATH = GaussianPath()
POINTS = torch.tensor([[-2.0], [1.0]], dtype=torch.float64)
WEIGHTS = torch.tensor([0.3, 0.7], dtype=torch.float64)
DATA = Reference(POINTS, WEIGHTS)
FLOW, NOISE, JUMP = (FiniteData(PATH, kind, POINTS, WEIGHTS) for kind in (Flow, Diffusion, Jump))


@pytest.mark.parametrize(
    "model",
    [
        FLOW,
        NOISE,
        JUMP,
        0.5 * FLOW + 0.5 * JUMP,
        0.2 * FLOW + 0.3 * NOISE + 0.5 * JUMP,
        (lambda t: 1 - t) * FLOW + (lambda t: t) * JUMP,
    ],
    ids=["flow", "diffusion", "jump", "half and half", "all three", "by time"],
)
def test_a_marginal_generator_passes(model):
    found = verify(model, DATA)
    assert found.passed
    assert found.method == "quadrature"
    assert found.note == ""
    assert found.relative() < 1e-5
    assert {r.time for r in found.residuals} == set(Plan().chosen_times)
    assert all(r.standard_error == 0 for r in found.residuals)


def test_a_superposition_at_full_weights_fails_and_says_why():
    found = verify(1.0 * FLOW + 1.0 * JUMP, DATA)
    assert not found.passed
    assert found.note == "forward weights less backward weights sum to 1, these to 2"
    assert found.relative() == pytest.approx(1.0, abs=1e-4)  # twice as fast as it should be


def test_another_law_of_the_data_fails():
    assert not verify(FLOW, Reference(POINTS)).passed


def langevin(path, points, weights):
    """Drift g^2 / 2 score, with noise g = sigma: it leaves p_t alone."""

    @dataclass(frozen=True)
    class Langevin(Model):
        path: GaussianPath
        kinds = frozenset({Diffusion})

        @property
        def space(self):
            return self.path.space

        def __call__(self, x, t, condition=None):
            sigma = self.path.schedule.sigma(expand_time(t, x))
            posterior = FiniteData(self.path, Flow, points, weights).posterior(x, t)
            score = (
                -(x - self.path.schedule.alpha(expand_time(t, x)) * posterior @ points) / sigma**2
            )
            return Diffusion(sigma**2 * score / 2, (sigma**2).expand_as(x))

    return Langevin(path)


def test_a_stationary_part_passes_alone_and_in_a_sum():
    corrector = langevin(PATH, POINTS, WEIGHTS)
    assert verify(corrector, DATA, role="stationary").passed
    assert not verify(corrector, DATA).passed
    assert verify(1.0 * FLOW + 2.0 * stationary(corrector), DATA).passed
    assert not verify(FLOW, DATA, role="stationary").passed


@pytest.mark.parametrize(("rate", "passes"), [(1.0, True), (1.01, False)])
def test_a_jump_whose_rate_is_off_by_one_percent_fails(rate, passes):
    def jump(path, x, t, z):
        right = solution(path, Jump)(path, x, t, z)
        return replace(right, intensity=rate * right.intensity)

    for points in (POINTS[:1], POINTS):
        assert verify(Entry(PATH, jump, points), Reference(points)).passed == passes


@pytest.mark.parametrize(("share", "passes"), [(1.0, True), (0.0, False), (0.98, False)])
def test_noise_that_depends_on_the_state_needs_the_slope_of_its_variance(share, passes):
    def diffusion(path, x, t, z):
        variance, slope = 1 + x.sin() / 2, x.cos() / 2
        velocity = solution(path, Flow)(path, x, t, z).velocity
        score = path.score(x, t, z)
        return Diffusion(velocity + variance * score / 2 + share * slope / 2, variance)

    found = verify(Entry(PATH, diffusion, POINTS[:1]), Reference(POINTS[:1]))
    assert found.passed == passes


def test_a_backward_generator_passes_as_such_and_in_a_corrector():
    def reversed_flow(path, x, t, z):
        return Flow(-solution(path, Flow)(path, x, t, z).velocity)

    forth, back = (Entry(PATH, s, POINTS) for s in (solution(PATH, Flow), reversed_flow))
    data = Reference(POINTS)
    assert verify(back, data, role="backward").passed
    assert not verify(back, data).passed
    assert verify(2.0 * forth + 1.0 * backward(back), data).passed
    assert verify(1.0 * forth + 1.0 * backward(back), data, role="stationary").passed


def test_in_many_dimensions_samples_decide(rng):
    points = torch.randn(4, 30, generator=rng, dtype=torch.float64)
    plan = Plan(times=(0.15, 0.5, 0.8), samples=2000, batch=700)
    exact = FiniteData(PATH, Flow, points)
    found = verify(exact, Reference(points), plan=plan)
    assert found.passed
    assert found.method == "pathwise"
    assert 0 < found.noise() < 0.05
    assert not verify(Slow(exact, 0.9), Reference(points), plan=plan).passed


@dataclass(frozen=True)
class Slow(Model):
    """A flow model at a multiple of its velocity."""

    model: object
    speed: float
    kinds = frozenset({Flow})

    @property
    def path(self):
        return self.model.path

    @property
    def space(self):
        return self.path.space

    def __call__(self, x, t, condition=None):
        return Flow(self.speed * self.model(x, t).velocity)


@pytest.mark.parametrize("error", [0.3, 0.03])
def test_the_relative_error_is_that_of_the_velocity(error):
    assert verify(Slow(FLOW, 1 + error), DATA).relative() == pytest.approx(error, rel=1e-3)
    points = POINTS.repeat(1, 6)
    slow = Slow(FiniteData(PATH, Flow, points, WEIGHTS), 1 + error)
    found = verify(slow, Reference(points, WEIGHTS), plan=Plan(samples=20_000))
    assert found.relative() == pytest.approx(error, abs=4 * found.noise())
    assert found.noise() < 0.03


def test_noise_is_taken_out_of_the_relative_error():
    normals = NormalMixture(PATH, POINTS.repeat(1, 3), torch.tensor([0.5, 0.2]).double(), WEIGHTS)
    rng = torch.Generator().manual_seed(3)
    which = torch.multinomial(WEIGHTS, 50_000, replacement=True, generator=rng)
    spread = normals.stds[which, None] * torch.randn(50_000, 3, generator=rng, dtype=torch.float64)
    found = verify(normals, Reference(normals.means[which] + spread), plan=Plan(samples=3000))
    assert found.passed
    assert found.relative() < 2 * found.noise()


def test_a_model_is_told_the_conditions_of_its_points():
    def network(x, t, condition):
        return (POINTS[condition] - x) / (1 - t[:, None])

    model = GeneratorModel(network, PATH)
    found = verify(model, Reference(POINTS, WEIGHTS, torch.tensor([0, 1])))
    assert found.method == "pathwise"
    assert found.passed
    assert found.worst.size < 1e-12
    assert not verify(model, Reference(POINTS, WEIGHTS, torch.tensor([1, 0]))).passed


@dataclass(frozen=True)
class Both(Model):
    """The conditional generator of a product, at a multiple of the jump's rate."""

    path: ProductPath
    z: dict
    rate: float = 1.0
    kinds = frozenset({Product})

    @property
    def space(self):
        return self.path.space

    def __call__(self, x, t, condition=None):
        place, token = (self.path.factors[name] for name in ("place", "token"))
        jump = solution(token, Jump)(token, x["token"], t, self.z["token"])
        flow = solution(place, Flow)(place, x["place"], t, self.z["place"])
        return Product(
            {"place": flow, "token": replace(jump, intensity=self.rate * jump.intensity)}
        )


def test_a_product_passes_factor_by_factor():
    path = ProductPath({"place": PATH, "token": MixturePath(Tokens(4), Masked(3))})
    z = {"place": torch.tensor([[0.5, -1.0]]).double(), "token": torch.tensor([[0, 2, 1]])}
    plan = Plan(times=(0.4,), samples=8000)
    found = verify(Both(path, z), Reference(z), plan=plan)
    assert found.passed
    assert found.method == "pathwise x switching"
    assert not verify(Both(path, z, rate=1.3), Reference(z), plan=plan).passed


def test_the_exact_posterior_of_a_product_passes():
    path = ProductPath({"place": PATH, "token": MixturePath(Tokens(4), Masked(3))})
    z = {
        "place": torch.tensor([[0.5, -1.0], [-1.0, 1.0]]).double(),
        "token": torch.tensor([[0, 2, 1], [1, 1, 0]]),
    }
    model, plan = FiniteProductData(path, {"place": Flow, "token": Jump}, z), Plan(samples=3000)
    assert verify(model, Reference(z), plan=plan).passed
    other = {**z, "token": z["token"].flip(0)}  # the factors of another joint law
    assert not verify(model, Reference(other), plan=plan).passed


def test_what_is_no_number_fails():
    class Broken(Slow):
        def __call__(self, x, t, condition=None):
            return Flow(torch.full_like(x, math.nan))

    found = verify(Broken(FLOW, 1.0), DATA)
    assert not found.passed
    assert math.isnan(found.worst.size)


def test_functions_may_be_ones_own():
    plan = Plan(times=(0.5,), functions=Statistics(("x",), lambda x: x))
    (residual,) = verify(FLOW, DATA, plan=plan).residuals
    assert residual.function == "x"
    assert residual.change == pytest.approx(-2 * 0.3 + 0.7)  # the mean of x_t is t E z


def test_the_same_seed_gives_the_same_samples():
    points = POINTS.repeat(1, 3)
    model, data = FiniteData(PATH, Jump, points), Reference(points)
    first, again, other = (
        verify(model, data, plan=Plan(times=(0.5,), samples=50, seed=s)) for s in (0, 0, 1)
    )
    assert first == again
    assert first.residuals != other.residuals


def test_the_worst_is_that_nearest_to_its_bound():
    rows = [
        Residual(0.5, "a", 1.0, 1.2, 1.0, 0.1, 0.5),
        Residual(0.5, "b", 1.0, 1.1, 1.0, 0.01, 0.05),
    ]
    found = Verification(tuple(rows), "pathwise")
    assert found.worst.function == "b"
    assert not found.passed


@pytest.mark.parametrize(("due", "error"), [(1.0, 1.0), (-1.0, 3.0), (0.0, 2.0)])
def test_a_residual_on_samples_is_that_of_what_is_due(due, error):
    change = torch.tensor([1.0, 3.0], dtype=torch.float64)
    sides = torch.stack([change, 2 * change])  # the gap is (2 - due) changes, of deviation sqrt(2)
    found = Residual.measured(Probe(0.5, "f"), sides, Plan(errors=2.0, tolerance=0.25), due)
    assert (found.time, found.function, found.change, found.action) == (0.5, "f", 2.0, 4.0)
    assert found.due == due * 2
    assert found.size == pytest.approx(2 * error)
    assert found.standard_error == pytest.approx(error)
    assert found.allowed == pytest.approx(2 * error + 0.25)


def test_a_model_without_a_path_is_named():
    class Pathless(Model):
        path, __call__ = None, None

    with pytest.raises(ValueError, match="Pathless has no path"):
        verify(Pathless(), DATA)


def test_a_fault_is_a_failure_however_small_the_residuals():
    """Weights of -1 and 2 solve the equation, yet no process has a negative rate."""
    found = verify(-1.0 * FLOW + 2.0 * JUMP, DATA)
    assert all(residual.passed for residual in found.residuals)
    assert found.note == "the weight of a part of a superposition is at least 0"
    assert not found.passed


def moments(points):
    """The mean and the square of a state: 2 x 2 Gauss points of a normal are exact for them."""
    return Statistics(("x", "x^2"), lambda x: torch.stack([x.sum(1), (x**2).sum(1)], 1))


def corners(path, points, weights, t):
    """The law of a Gaussian path of two numbers, given one point, as four states."""
    if len(points) > 1:
        return None
    x_0 = torch.cartesian_prod(*[torch.tensor([-1.0, 1.0], dtype=torch.float64)] * 2)
    return pathwise(path, points.expand_as(x_0), t, x_0, torch.full((4,), 0.25).double())


def test_sums_of_ones_own_take_the_place_of_samples():
    seen = []
    sums = Sums(corners, moments, lambda generator: seen.append(generator) or generator)
    points = torch.tensor([[0.7, -0.2], [1.0, 2.0]], dtype=torch.float64)
    flow = Entry(PATH, solution(PATH, Flow), points[:1])
    found = verify(flow, Reference(points[:1]), plan=Plan(sums=sums))
    assert found.passed
    assert found.method == "quadrature"
    assert {r.function for r in found.residuals} == {"x", "x^2"}
    assert found.residuals[0].change == pytest.approx(0.5)  # d/dt t z
    assert [type(generator) for generator in seen] == [Flow] * 3
    both = Entry(PATH, solution(PATH, Flow), points)
    drawn = verify(both, Reference(points), plan=Plan(sums=sums, samples=500))
    assert drawn.method == "pathwise"
    assert drawn.passed
    assert len(seen) == 3
    fast = Entry(
        PATH, lambda *given: Flow(1.01 * solution(PATH, Flow)(*given).velocity), points[:1]
    )
    assert not verify(fast, Reference(points[:1]), plan=Plan(sums=sums)).passed


def test_a_flow_that_moves_along_fixed_directions_alone_fails():
    """Right in the two directions of one seed, at rest in the six others."""
    points = torch.randn(3, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    exact, plan = FiniteData(PATH, Flow, points), Plan(samples=2048, seed=1)
    seen = bank(PATH.space, points, count=2, seed=random.seed_of(1, "directions")).values
    slopes = torch.func.jacrev(lambda x: seen(x[None])[0, ::3])(torch.zeros(8).double())
    along = torch.linalg.qr(slopes.T).Q

    class Narrow(Slow):
        def __call__(self, x, t, condition=None):
            return Flow(self.model(x, t).velocity @ along @ along.T)

    assert verify(Narrow(exact, 1.0), Reference(points), plan=plan).passed
    found = verify(Narrow(exact, 1.0), Reference(points), plan=replace(plan, seed=2))
    assert not found.passed
    assert found.relative() > 0.3


def test_a_flow_that_is_right_at_three_times_fails():
    class Sometimes(Slow):
        def __call__(self, x, t, condition=None):
            speed = 1.0 if t in (0.15, 0.5, 0.8) else 0.5
            return Flow(speed * self.model(x, t).velocity)

    assert verify(Sometimes(FLOW, 1.0), DATA, plan=Plan(times=(0.15, 0.5, 0.8))).passed
    assert not verify(Sometimes(FLOW, 1.0), DATA).passed


SPACE = torch.tensor([[-1.1, 0.4, 0.2], [0.8, -0.3, 1.0]], dtype=torch.float64)


def fast_jump(path, x, t, z):
    right = solution(path, Jump)(path, x, t, z)
    return replace(right, intensity=1.03 * right.intensity)


def wide_diffusion(path, x, t, z):
    right = solution(path, Diffusion)(path, x, t, z)
    return replace(right, covariance=1.02 * right.covariance)


@pytest.mark.parametrize(("kind", "wrong"), [(Jump, fast_jump), (Diffusion, wide_diffusion)])
def test_in_three_dimensions_small_errors_of_rates_and_noise_fail(kind, wrong):
    data, plan = Reference(SPACE[:1]), Plan(times=(0.6,))
    right = verify(Entry(PATH, solution(PATH, kind), SPACE[:1]), data, plan=plan)
    assert right.passed
    assert right.resolution < 0.03
    assert not verify(Entry(PATH, wrong, SPACE[:1]), data, plan=plan).passed


@pytest.mark.parametrize("t", [0.99, 0.999])
def test_near_the_data_what_is_right_passes(t):
    for model in (FLOW, JUMP):
        found = verify(model, DATA, plan=Plan(times=(t,)))
        assert found.passed
        assert found.method == "quadrature"


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(60))
def test_what_is_right_passes_whatever_the_seed(seed):
    times = (*Plan(seed=seed).chosen_times, 0.99, 0.999)
    plan = Plan(times=times, samples=8192, seed=seed)
    for kind in (Flow, Diffusion, Jump):
        for points in (SPACE, POINTS):
            entry = Entry(PATH, solution(PATH, kind), points)
            found = verify(entry, Reference(points), plan=plan)
            assert found.passed, (kind, len(points), found.worst)
