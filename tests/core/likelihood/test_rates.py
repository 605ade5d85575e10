"""Path divergences against their definitions: sums over states, fine grids, noise errors."""

import pytest
import torch
from torch.distributions import Normal
from torch.testing import assert_close

from feller.core.divergences import GeneralizedKL
from feller.core.generators import (
    Atoms,
    Binned,
    Categorical,
    Diffusion,
    Flow,
    Jump,
    Point,
    backward,
    stationary,
)
from feller.core.heads import JumpHead, PosteriorHead
from feller.core.likelihood import path_divergence
from feller.core.likelihood.rates import log_mass, only_part
from feller.core.models import GeneratorModel
from feller.core.parametrizations import convert
from feller.core.paths import GaussianPath, GeodesicPath, MixturePath
from feller.core.posteriors import FiniteData, NormalMixture
from feller.core.schedules import CondOT, Cosine, Polynomial, VariancePreserving, derivative
from feller.core.solutions import solution
from feller.core.sources import Masked, UniformBox, UniformSphere, UniformTokens
from feller.core.spaces import Euclidean, Sphere, Tokens

SCHEDULES = [CondOT(), Cosine(), Polynomial(), VariancePreserving()]
every_schedule = pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda s: type(s).__name__)
KL = GeneralizedKL()


def token_rates(jump, x, size):
    """The rate of every single change of a token, null jumps left out."""
    points, weights = jump.destination.quadrature()
    rate = torch.zeros(*x.shape, size, dtype=torch.float64)
    rate.scatter_add_(-1, points, jump.intensity[..., None].double() * weights)
    return rate.scatter(-1, x[..., None], 0.0)


@pytest.mark.parametrize("source", [Masked(3), UniformTokens(4)])
@pytest.mark.parametrize("kind", ["categorical", "mixture"])
def test_tokens_sum_over_their_neighbours(source, kind, rng):
    path, t = MixturePath(Tokens(4), source), torch.tensor([0.2, 0.5, 0.9]).double()
    z = torch.tensor([[0, 1], [1, 1], [2, 0]])
    x = path.sample(z, t / 2, rng)
    if kind == "mixture":
        jump = FiniteData(path, Jump, z, torch.tensor([0.5, 0.3, 0.2]).double())(x, t)
    else:
        logits = torch.randn(3, 2, 4, generator=rng).double()
        jump = Jump(torch.rand(3, 2, generator=rng).double(), Categorical(logits))
    target = token_rates(solution(path, Jump)(path, x, t, z), x, 4)
    ours = token_rates(jump, x, 4)
    each = torch.where((target > 0) | (ours > 0), KL(target, ours), 0.0)
    assert_close(path_divergence(jump, path, x, t, z), each.sum((1, 2)))


def test_masked_tokens_pay_their_cross_entropy_at_the_hazard(rng):
    # The posterior gives no chance to the mask, and leaves the tokens that have arrived.
    path, logits = MixturePath(Tokens(4), Masked(3), Polynomial()), torch.randn(2, 3, generator=rng)
    z, x = torch.tensor([[0, 1], [2, 2]]), torch.tensor([[3, 3], [2, 3]])
    hot = torch.nn.functional.one_hot(x, 4)[..., :3]
    output = torch.where(x[..., None] == 3, logits[:, None, :], hot * 1e4)

    def network(x, t, condition):
        return torch.cat([output, torch.full((2, 2, 1), -torch.inf)], -1)

    model = GeneratorModel(network, path, PosteriorHead(4))
    found = path_divergence(model(x, 0.6), path, x, 0.6, z)
    hazard = 2 * 0.6 / (1 - 0.6**2)
    cross = -logits.log_softmax(-1)[:, None].expand(2, 2, 3).gather(-1, z[..., None])[..., 0]
    assert_close(found, hazard * torch.where(x == 3, cross, 0.0).sum(1))


def test_a_mixture_path_on_an_interval(rng):
    path = MixturePath(Euclidean(1), UniformBox())
    values, logits = torch.linspace(-1, 1, 5), torch.randn(2, 1, 5, generator=rng)
    z, x = torch.tensor([[0.5], [-1.0]]), torch.tensor([[0.31], [-1.0]])
    jump = Jump(torch.full((2, 1), 3.0), Atoms(logits, values))
    found = path_divergence(jump, path, x, 0.5, z)
    chance = logits.softmax(-1)[:, 0]
    first = 3 - 2 + 2 * torch.log(2 / (3 * chance[0, 3]))
    assert_close(found, torch.stack([first, 3 * (1 - chance[1, 0])]))


@pytest.mark.parametrize("z", [-1.0, 0.4])
@pytest.mark.parametrize("kind", ["oracle", "bins"])
def test_gaussian_jumps_integrate_over_where_they_land(z, kind, rng):
    path, t, scale = GaussianPath(), 0.6, 0.4
    points, weights = torch.tensor([[-1.0], [0.4]]).double(), torch.tensor([0.3, 0.7]).double()
    x = torch.tensor([[-1.7], [-0.4], [0.1], [2.0]]).double()
    y = torch.linspace(-4, 4, 100_001, dtype=torch.float64)
    cell = float(y[1] - y[0])

    def measure(z):
        """The jump measure by its definition: [d/dt log p]_- times the normalized [d/dt p]_+."""

        def slope(y):
            u = (y - t * z) / scale
            return (1 + z * u - u**2) / scale

        growth = slope(y).clamp_min(0) * torch.exp(-0.5 * ((y - t * z) / scale) ** 2)
        return (-slope(x)).clamp_min(0) * growth / (growth.sum() * cell)

    if kind == "oracle":
        model = FiniteData(path, Jump, points, weights)
        jump, posterior = model(x, t), model.posterior(x, t)
        theirs = posterior[:, :1] * measure(-1.0) + posterior[:, 1:] * measure(0.4)
    else:
        output = torch.randn(4, 1, 17, generator=rng).double()
        jump = GeneratorModel(lambda x, t, c: output, path, JumpHead(16))(x, t)
        edges = jump.destination.edges
        bins = torch.bucketize(y, edges, right=True) - 1
        inside = (bins >= 0) & (bins < 16)
        mass = output[:, 0, :16].softmax(-1)[:, bins.clamp(0, 15)] * inside
        theirs = jump.intensity * mass / (edges[1] - edges[0])
    target = measure(z)
    exact = torch.where((target > 0) | (theirs > 0), KL(target, theirs), 0.0).sum(1) * cell
    found = path_divergence(jump, path, x, t, torch.full_like(x, z))
    assert_close(found, exact, rtol=1e-3, atol=1e-3)


def test_a_posterior_stands_for_its_jump(rng):
    path, points = GaussianPath(), torch.tensor([[-1.0], [1.0]]).double()
    oracle = FiniteData(path, Jump, points, torch.tensor([0.3, 0.7]).double())
    model = GeneratorModel(
        lambda x, t, c: oracle.posterior(x, t)[:, None].log(), path, PosteriorHead(2)
    )
    z, t = points.repeat(10, 1), torch.linspace(0.1, 0.9, 20).double()
    x = path.sample(z, t, rng)
    exact = path_divergence(oracle(x, t), path, x, t, z)
    assert_close(path_divergence(model(x, t), path, x, t, z), exact)


def test_bins_that_miss_where_jumps_land_pay_without_end():
    path, x = GaussianPath(), torch.tensor([[3.0]])
    short = Binned(torch.zeros(1, 1, 4), torch.linspace(-1, 1, 5))
    found = path_divergence(Jump(torch.ones(1, 1), short), path, x, 0.5, torch.ones(1, 1))
    assert bool(found.isinf().all())


@every_schedule
def test_flows_pay_for_noise_at_the_rate_of_the_log_snr(schedule, rng):
    path, t = GaussianPath(schedule=schedule), torch.tensor([0.1, 0.5, 0.95]).double()
    z, x, velocity = (torch.randn(3, 2, generator=rng).double() for _ in range(3))
    found = path_divergence(Flow(velocity), path, x, t, z)
    slope = derivative(lambda t: 2 * (schedule.alpha(t) / schedule.sigma(t)).log(), t)
    noise = convert(z, ("x_1", "noise"), schedule, x, t)
    predicted = convert(velocity, ("velocity", "noise"), schedule, x, t)
    assert_close(found, 0.5 * slope * ((noise - predicted) ** 2).sum(1))


def test_diffusions_pay_half_the_error_of_the_drift_over_the_covariance(rng):
    path, t = GaussianPath(), 0.3
    z, x = (torch.randn(4, 2, generator=rng).double() for _ in range(2))
    flow, diffusion = (FiniteData(path, kind, z.flip(0)) for kind in (Flow, Diffusion))
    noise = convert(z, ("x_1", "noise"), path.schedule, x, t)
    predicted = convert(flow(x, t).velocity, ("velocity", "noise"), path.schedule, x, t)
    # Velocity and score are affine in the noise: slopes -sigma / (alpha sigma) and -1 / sigma.
    covariance, per_noise = 2 * (1 - t), 1 / t + (1 - t) / (1 - t)
    rate = 0.5 * per_noise**2 / covariance * ((noise - predicted) ** 2).sum(1)
    found = path_divergence(diffusion(x, t), path, x, t, z)
    assert_close(found, rate)
    assert bool((found >= path_divergence(flow(x, t), path, x, t, z)).all())  # whose noise is best
    other = Diffusion(x, torch.tensor(0.1).double())
    with pytest.raises(ValueError, match="covariance is not that of the path"):
        path_divergence(other, path, x, t, z)


@every_schedule
@pytest.mark.parametrize("kind", [Flow, Diffusion, Jump])
def test_the_conditional_generator_pays_nothing(schedule, kind, rng):
    path = GaussianPath(schedule=schedule)
    z, x = (torch.randn(4, 2, generator=rng).double() for _ in range(2))
    t = torch.tensor([0.1, 0.4, 0.7, 0.9]).double()
    conditional = solution(path, kind)(path, x, t, z)
    assert_close(path_divergence(conditional, path, x, t, z), torch.zeros(4).double())


@every_schedule
@pytest.mark.parametrize("kind", [Flow, Diffusion, Jump])
def test_rates_are_finite_in_single_precision(schedule, kind, rng):
    path = GaussianPath(schedule=schedule)
    model = FiniteData(path, kind, torch.tensor([[-1.0], [1.0]]))
    t = torch.cat([torch.tensor([1e-7, 1e-3]), 1 - torch.logspace(-0.5, -6, 20)])
    z = torch.ones(22, 1)
    x = path.sample(z, t, rng)
    found = path_divergence(model(x, t), path, x, t, z)
    assert bool(found.isfinite().all())
    assert bool((found >= -1e-5 * (1 + found.abs())).all())
    discrete = MixturePath(Tokens(3), UniformTokens(2))
    network = GeneratorModel(lambda x, t, c: torch.randn(22, 1, 3), discrete, PosteriorHead(3))
    x = discrete.sample(z.long(), t, rng)
    assert bool(path_divergence(network(x, t), discrete, x, t, z.long()).isfinite().all())


def expected(model, z, t, nodes=60):
    """The mean rate over x_t given the number z, at each time: rows are times and nodes."""
    path = model.path
    n = torch.linspace(-7, 7, nodes, dtype=torch.float64)
    weight = (Normal(0, 1).log_prob(n)).softmax(0)
    clock = t.repeat_interleave(nodes)
    x = path.sample(torch.full((len(clock), 1), z).double(), clock, x_0=n.repeat(len(t))[:, None])
    rate = path_divergence(model(x, clock), path, x, clock, torch.full_like(x, z))
    return (rate.view(len(t), nodes) * weight).sum(1)


def test_the_schedule_does_not_count():
    """Between equal ratios of signal to noise the path term is one number, of a wrong model too."""
    one, terms = torch.ones(1).double(), []
    log_ratio = torch.linspace(-4, 4, 201, dtype=torch.float64)  # log alpha / sigma
    for schedule in SCHEDULES:
        model = NormalMixture(GaussianPath(schedule=schedule), one[:, None], 0.5 * one, one)
        low, high = torch.zeros(201).double(), torch.ones(201).double()
        for _ in range(60):
            t = (low + high) / 2
            above = (schedule.alpha(t) / schedule.sigma(t)).log() > log_ratio
            low, high = torch.where(above, low, t), torch.where(above, t, high)
        slope = derivative(lambda t, s=schedule: (s.alpha(t) / s.sigma(t)).log(), t)
        terms.append(torch.trapezoid(expected(model, -2.0, t) / slope, log_ratio))
    assert_close(torch.stack(terms), terms[0].expand(4), rtol=1e-9, atol=0)
    assert terms[0] > 1


def test_masses_of_points(rng):
    y = torch.tensor([0, 2, 3])
    logits = torch.randn(3, 3, generator=rng)
    found = log_mass(Categorical(logits), y).exp()
    assert_close(found, torch.stack([logits[0].softmax(0)[0], logits[1].softmax(0)[2], y[0] * 0.0]))
    assert_close(log_mass(Point(torch.tensor([0, 1, 3])), y).exp(), torch.tensor([1.0, 0.0, 1.0]))
    with pytest.raises(LookupError, match="a Binned gives no mass"):
        log_mass(Binned(torch.zeros(1, 2), torch.tensor([0.0, 1.0, 2.0])), torch.zeros(1))


def test_what_has_no_path_divergence_is_refused():
    x, flow = torch.eye(3), Flow(torch.zeros(3, 3))
    sphere = GeodesicPath(Sphere(), UniformSphere())
    with pytest.raises(LookupError, match="no path divergence of GeodesicPath x Flow; there are"):
        path_divergence(flow, sphere, x, 0.5, x)
    with pytest.raises(ValueError, match="not of a superposition"):
        path_divergence(0.5 * flow + 0.5 * flow, GaussianPath(), x, 0.5, x)
    on_sphere = MixturePath(Sphere(), UniformSphere())
    with pytest.raises(ValueError, match="on numbers and tokens"):
        path_divergence(solution(on_sphere, Jump)(on_sphere, x, 0.5, x), on_sphere, x, 0.5, x)


@pytest.mark.compile
def test_path_divergences_compile():
    z, t = torch.zeros(4, 2), torch.full((4,), 0.5)
    gaussian, tokens = GaussianPath(), MixturePath(Tokens(4), Masked(3))

    def flow(x):
        return path_divergence(Flow(-x), gaussian, x, t, z)

    def jump(logits):
        x, z = torch.full((4, 2), 3), torch.zeros(4, 2, dtype=torch.int64)
        return path_divergence(Jump(torch.ones(4, 2), Categorical(logits)), tokens, x, t, z)

    for f, x in ((flow, torch.randn(4, 2)), (jump, torch.randn(4, 2, 4))):
        assert_close(torch.compile(f, fullgraph=True)(x), f(x))


def test_only_what_moves_along_the_path_is_bounded():
    flow = Flow(torch.zeros(1, 1))
    assert only_part(1.0 * flow) is flow
    for mark in (stationary, backward):
        with pytest.raises(ValueError, match=f"along the path, not of a {mark.__name__} one"):
            only_part(mark(flow))
