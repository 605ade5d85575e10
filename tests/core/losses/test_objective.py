"""The objective: what it is for an oracle, in each parametrization, and as a bound."""

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.testing import assert_close

from feller.core.divergences import Cosh, GeneralizedKL, Logistic, PNorm, SquaredNorm
from feller.core.generators import (
    Categorical,
    Diffusion,
    Flow,
    FromPosterior,
    Generator,
    Jump,
    Product,
    backward,
    stationary,
)
from feller.core.heads import FlowHead, Head, JointHead, JumpHead, PosteriorHead
from feller.core.losses import DIVERGENCES, Objective, check_path
from feller.core.models import GeneratorModel, Model
from feller.core.paths import GaussianPath, GeodesicPath, MixturePath, ProductPath
from feller.core.posteriors import FiniteData
from feller.core.schedules import CondOT, Cosine, Polynomial, VariancePreserving
from feller.core.solutions import event_rate, solution
from feller.core.sources import Gaussian, Masked, UniformBox, UniformTokens
from feller.core.spaces import Euclidean, Tokens
from feller.core.times import expand_time

PATH = GaussianPath()
POINTS = torch.tensor([[-2.0], [2.0]], dtype=torch.float64)
ORACLE = FiniteData(PATH, Flow, POINTS)


def expected_loss(model, t):
    """E D over data and states, by quadrature."""
    axis = torch.linspace(-9, 9, 2001, dtype=torch.float64)
    z, x = (a.reshape(-1, 1) for a in torch.meshgrid(POINTS[:, 0], axis, indexing="ij"))
    law = 0.5 * PATH.log_density(x, t, z).exp() * (axis[1] - axis[0])
    return (law * Objective()(model, PATH, z, t, x)).sum()


def irreducible(t):
    """E Var(u | x_t) = E Var(z | x_t) / (1 - t)^2, with Var(z | x) = 4 - E[z | x]^2."""
    x = torch.linspace(-9, 9, 2001, dtype=torch.float64)[:, None]
    law = PATH.log_density(x[:, None], t, POINTS).exp().mean(1) * (x[1] - x[0])
    mean = 2 * torch.tanh(2 * t * x[:, 0] / (1 - t) ** 2)
    return (law * (4 - mean**2)).sum() / (1 - t) ** 2


@pytest.mark.parametrize("t", [0.1, 0.3, 0.7])
def test_the_oracle_has_the_irreducible_loss(t):
    assert_close(expected_loss(ORACLE, t), irreducible(t))


@pytest.mark.parametrize("t", [0.1, 0.7])
def test_any_other_model_has_its_squared_distance_more(t):
    class Bent(Model):
        kinds, space = ORACLE.kinds, ORACLE.space
        path = None

        def __call__(self, x, t, condition=None):
            return Flow(ORACLE(x, t).velocity + x.sin())

    axis = torch.linspace(-9, 9, 2001, dtype=torch.float64)[:, None]
    law = PATH.log_density(axis[:, None], t, POINTS).exp().mean(1) * (axis[1] - axis[0])
    distance = (law * axis[:, 0].sin() ** 2).sum()
    assert_close(expected_loss(Bent(), t), irreducible(t) + distance)


@pytest.mark.parametrize("t", [0.5, torch.tensor([0.2, 0.5, 0.9])])
def test_the_space_of_the_loss_is_a_weight(t, rng):
    model = GeneratorModel(lambda x, t, condition: x.tanh(), PATH, FlowHead("x_1"))
    z, x_t = torch.randn(2, 3, 4, generator=rng)
    plain = (z - x_t.tanh()).square().mean(1)
    assert_close(Objective(loss_space="x_1")(model, PATH, z, t, x_t), plain)
    assert_close(Objective()(model, PATH, z, t, x_t), plain / (1 - t) ** 2)


@pytest.mark.parametrize("schedule", [CondOT(), Cosine(), VariancePreserving()])
def test_the_loss_of_the_score_is_that_of_the_noise_over_its_variance(schedule, rng):
    path = GaussianPath(schedule=schedule)
    model = GeneratorModel(lambda x, t, condition: x.tanh(), path, FlowHead("noise"))
    z, noise = torch.randn(2, 3, 4, generator=rng, dtype=torch.float64)
    t = torch.tensor([0.2, 0.5, 0.9], dtype=torch.float64)
    x_t = path.sample(z, t, x_0=noise)
    plain = (noise - x_t.tanh()).square().mean(1)
    assert_close(Objective(loss_space="noise")(model, path, z, t, x_t), plain)
    assert_close(
        Objective(loss_space="score")(model, path, z, t, x_t), plain / schedule.sigma(t) ** 2
    )


def test_the_loss_is_a_mean_over_all_axes_of_a_sample(rng):
    model = GeneratorModel(lambda x, t, condition: 0 * x, PATH)
    z, x_0 = torch.randn(2, 3, 4, 5, 2, generator=rng)
    x_t = PATH.sample(z, 0.5, x_0=x_0)
    assert_close(Objective()(model, PATH, z, 0.5, x_t), (z - x_0).square().mean((1, 2, 3)))


def test_the_condition_reaches_the_network(rng):
    model = GeneratorModel(lambda x, t, condition: condition, PATH)
    z, x_0 = torch.randn(2, 3, 4, generator=rng)
    x_t = PATH.sample(z, 0.5, x_0=x_0)
    loss = Objective()(model, PATH, z, 0.5, x_t, condition=z - x_0)
    assert_close(loss, torch.zeros(3), atol=1e-10, rtol=0)


def test_each_kind_has_its_divergence():
    assert set(DIVERGENCES) == {Flow, Diffusion, Jump, FromPosterior}
    assert Objective() == Objective(DIVERGENCES[Flow], "velocity", DIVERGENCES[Jump])


@dataclass
class Returns(Model):
    """A model that returns what it is made with."""

    generator: Any
    space: Any = PATH.space
    kinds: frozenset = frozenset()
    path = None

    def __call__(self, x, t, condition=None):
        return self.generator(x, t) if callable(self.generator) else self.generator


TOKENS = {
    "masked": MixturePath(Tokens(4), Masked(3), Polynomial(2.0)),
    "uniform": MixturePath(Tokens(3), UniformTokens(3)),
}


def test_from_a_mask_a_jump_has_the_cross_entropy_of_masked_tokens(rng):
    """Without the hazard, and up to a constant."""
    path, logits = TOKENS["masked"], torch.randn(5, 6, 3, generator=rng)
    z, x = torch.randint(3, (5, 6), generator=rng), torch.full((5, 6), 3)
    x = torch.where(torch.rand(5, 6, generator=rng) < 0.5, z, x)
    t = torch.tensor([0.01, 0.2, 0.5, 0.9, 0.999])
    hazard = path.schedule.hazard(expand_time(t, x.float()))
    jump = Jump(torch.where(x == 3, hazard, 0.0), Categorical(logits))
    entropy = F.cross_entropy(logits.movedim(-1, 1), z, reduction="none")
    expected = torch.where(x == 3, entropy, 0.0).mean(1)
    assert_close(Objective()(Returns(jump), path, z, t, x), expected, rtol=1e-4, atol=1e-5)


def test_from_a_mask_a_posterior_learns_masked_tokens_only(rng):
    path, logits = TOKENS["masked"], torch.randn(5, 6, 3, generator=rng, requires_grad=True)
    z, x = torch.randint(3, (5, 6), generator=rng), torch.full((5, 6), 3)
    x = torch.where(torch.rand(5, 6, generator=rng) < 0.5, z, x)
    model = GeneratorModel(Constant(logits), path, PosteriorHead(3))
    loss = Objective()(model, path, z, 0.5, x)
    entropy = F.cross_entropy(logits.movedim(-1, 1), z, reduction="none")
    assert_close(loss, torch.where(x == 3, entropy, 0.0).mean(1))
    (slope,) = torch.autograd.grad(loss.sum(), logits)
    assert (slope.abs().sum(-1) > 0).equal(x == 3)


class Constant(nn.Module):
    """A network that returns one tensor."""

    def __init__(self, output):
        super().__init__()
        self.output = output

    def forward(self, x, t, condition=None):
        return self.output


@dataclass(frozen=True)
class Chain(Model):
    """A chain of one token: rates `(b, k)` from each state, as a model of jumps."""

    path: Any
    tilt: float

    @property
    def space(self):
        return self.path.space

    kinds = frozenset({Jump})

    def __call__(self, x, t, condition=None):
        tokens = torch.arange(self.space.size, dtype=torch.float64)
        t = expand_time(t, x.double())
        logits = -((tokens - self.tilt * (x + t)[..., None]) ** 2)
        rate = event_rate(self.path, t)
        return Jump(rate * (1 + 0.3 * x + self.tilt * t), Categorical(logits))


def rate_matrices(jump, x, size):
    """The rate matrices `(times, size, size)` of a chain, from its jumps at every state."""
    points, mass = jump.destination.quadrature()
    to = F.one_hot(points[:, 0], size).double()
    rates = torch.einsum("b,bp,bpk->bk", jump.intensity[:, 0].double(), mass[:, 0].double(), to)
    rates = rates * (1 - F.one_hot(x[:, 0], size))
    matrices = rates.unflatten(0, (-1, size))
    return matrices - torch.diag_embed(matrices.sum(-1))


@pytest.mark.parametrize("name", TOKENS)
def test_times_the_rate_of_events_the_loss_is_the_entropy_of_paths(name):
    """Against the relative entropy of the chain of z and the model's, watched at many times.

    Their transition matrices are matrix exponentials; by the chain rule the entropies of all steps
    add, and tend to that of the paths from below as steps get short.
    """
    path, steps, end = TOKENS[name], 2000, 0.95
    model, size, h = Chain(path, 0.7), path.space.size, end / steps
    x = torch.arange(size).repeat(steps)[:, None]
    z = torch.ones_like(x)
    t = ((torch.arange(steps, dtype=torch.float64) + 0.5) * h).repeat_interleave(size)
    before = path.log_density(x, t - h / 2, z).double().exp().view(steps, size)
    theirs, ours = (
        torch.matrix_exp(h * rate_matrices(jump, x, size))
        for jump in (solution(path, Jump)(path, x, t, z), model(x, t))
    )
    entropy = (before * torch.xlogy(theirs, theirs / ours).sum(-1)).sum()
    here = path.log_density(x, t, z).double().exp()[:, 0]
    bound = (here * event_rate(path, t) * Objective()(model, path, z, t, x)).sum() * h
    assert_close(bound, entropy, rtol=2e-3, atol=0)


def test_the_loss_of_a_posterior_on_masks_is_the_likelihood(rng):
    """-log p(z) = int kappa_dot / (1 - kappa) P(masked) CE dt, for one token whose law stands."""
    path, logits = TOKENS["masked"], torch.randn(1, 1, 3, generator=rng, dtype=torch.float64)
    model = GeneratorModel(Constant(logits.expand(1000, 1, 3)), path, PosteriorHead(3))
    z, masked = torch.tensor([[2]]), torch.tensor([[3]])
    t = (torch.arange(1000, dtype=torch.float64) + 0.5) / 1000
    z, masked = z.expand(1000, 1), masked.expand(1000, 1)
    weight = path.schedule.hazard(t) * (1 - path.schedule.alpha(t))
    found = (weight * Objective()(model, path, z, t, masked)).mean()
    assert_close(found, -logits.log_softmax(-1)[0, 0, 2], rtol=1e-6, atol=0)


@pytest.mark.parametrize("t", [0.2, 0.7])
def test_the_oracle_of_jumps_has_the_least_loss(t):
    """Any other rates cost the generalized KL divergence from the exact ones more."""
    path, points = TOKENS["uniform"], torch.tensor([[0, 1], [1, 2], [2, 2]])
    oracle = FiniteData(path, Jump, points)
    x = torch.cartesian_prod(torch.arange(3), torch.arange(3))
    joint = path.log_density(x[:, None], t, points[None]).sum(-1).exp() / 3

    def loss(model):
        each = [Objective()(model, path, z.expand_as(x), t, x) for z in points]
        return (joint * torch.stack(each, 1)).sum()

    exact = oracle(x, t)
    worse = Jump(1.5 * exact.intensity, exact.destination)
    excess = exact.intensity / event_rate(path, torch.tensor(t))
    points_at, mass = exact.destination.quadrature()
    away = (mass * (points_at != x[..., None])).sum(-1)
    per_rate = float(GeneralizedKL()(torch.tensor(1.0), torch.tensor(1.5)))
    expected = (joint.sum(1) * (excess * away).mean(1)).sum() * per_rate
    assert_close(loss(Returns(worse)) - loss(oracle), expected, rtol=1e-4, atol=1e-6)


def test_the_parts_of_a_superposition_are_trained_each_for_itself(rng):
    head = JointHead((FlowHead(), JumpHead(4)), (0.3, 0.7))
    output = torch.randn(3, 2, 6, generator=rng)
    z, x, t = *torch.randn(2, 3, 2, generator=rng), torch.tensor([0.1, 0.5, 0.9])
    joint = GeneratorModel(Constant(output), PATH, head)
    flow = GeneratorModel(Constant(output[..., 0]), PATH)
    jump = GeneratorModel(Constant(output[..., 1:]), PATH, JumpHead(4))
    z = z.tanh()
    expected = sum(Objective()(model, PATH, z, t, x) for model in (flow, jump))
    assert_close(Objective()(joint, PATH, z, t, x), expected)


def test_a_part_that_moves_back_learns_the_backward_solution(rng):
    path = TOKENS["uniform"]
    z, x = torch.randint(3, (2, 4, 5), generator=rng)
    target = solution(path, Jump, backward=True)(path, x, 0.5, z)
    loss = Objective()(Returns(backward(target)), path, z, 0.5, x)
    # at each element its rates are exact: the loss is 0, as that of no other jump
    assert_close(loss, torch.zeros(4), atol=1e-5, rtol=0)
    forward = solution(path, Jump)(path, x, 0.5, z)
    assert (Objective()(Returns(backward(forward)), path, z, 0.5, x) > 0.1).all()
    with pytest.raises(ValueError, match="a stationary part has no target"):
        Objective()(Returns(stationary(target)), path, z, 0.5, x)


HEADS: dict[str, tuple[Any, Head]] = {
    "flow": (PATH, FlowHead()),
    "x_1": (PATH, FlowHead("x_1")),
    "jump": (PATH, JumpHead(8)),
    "following": (PATH, JumpHead(8, follow=True)),
    "posterior": (PATH, PosteriorHead(5, flow=0.5, jump=0.5)),
    "joint": (PATH, JointHead((FlowHead(), JumpHead(8)), (0.5, 0.5))),
    "interval": (MixturePath(Euclidean(), UniformBox()), JumpHead(8)),
    "masked": (TOKENS["masked"], PosteriorHead(3)),
    "uniform": (TOKENS["uniform"], PosteriorHead(3)),
}
DATA = {
    True: torch.tensor([[0, 2, 1], [2, 1, 0]]),
    False: torch.tensor([[-1.0, 0.5, 1], [1, 0, 0]]),
}


class Small(nn.Module):
    """A small network of numbers or tokens."""

    def __init__(self, channels):
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.Linear(2, channels)

    def forward(self, x, t, condition=None):
        t = expand_time(t, x.float()).expand(x.shape)
        output = self.layer(torch.stack([x.float(), t.float()], -1))
        return output.squeeze(-1) if self.layer.out_features == 1 else output


def problem(name):
    path, head = HEADS[name]
    z = DATA[path.space.is_discrete]
    x = path.sample(z, 0.5, torch.Generator().manual_seed(0))
    return GeneratorModel(Small(head.channels), path, head), path, z, x


@pytest.mark.parametrize("name", HEADS)
def test_known_elements_cost_nothing(name):
    """At t = 1 by their own clocks; the others cost what they cost without them."""
    model, path, z, x = problem(name)
    t = torch.tensor([[0.3, 1.0, 0.3], [0.6, 0.6, 1.0]])
    known = t == 1
    x = torch.where(known, z, x)
    loss = Objective()(model, path, z, t, x)
    moved = Objective()(model, path, z, torch.where(known, 0.4, t), torch.where(known, x[:, :1], x))
    assert loss.isfinite().all()
    grads = torch.autograd.grad(loss.sum(), list(model.parameters()))
    assert all(g.isfinite().all() for g in grads)
    alone = [
        Objective()(model, path, z[r][~known[r]][None], float(t[r, 0]), x[r][~known[r]][None])
        for r in range(2)
    ]
    assert_close(loss, torch.cat(alone) * 2 / 3)
    assert loss.shape == moved.shape


def test_the_parts_of_a_superposition_have_names_and_weights():
    model, path, z, x = problem("joint")
    parts = Objective().by_part(model, path, z, 0.5, x)
    assert list(parts) == ["flow", "jump"]
    for index, name in enumerate(("flow", "jump")):
        head = model.head.heads[index]
        alone = GeneratorModel(lambda *given, i=index: pieces(model, given)[i], path, head)
        assert_close(parts[name], Objective()(alone, path, z, 0.5, x))
    assert_close(Objective()(model, path, z, 0.5, x), parts["flow"] + parts["jump"])
    weighed = Objective(weights=(2.0, 0.5))
    assert_close(weighed.by_part(model, path, z, 0.5, x)["jump"], 0.5 * parts["jump"])
    assert_close(weighed(model, path, z, 0.5, x), 2 * parts["flow"] + 0.5 * parts["jump"])
    with pytest.raises(ValueError, match="weights has 1, the model's parts are flow, jump"):
        Objective(weights=(1.0,))(model, path, z, 0.5, x)
    assert [*(Objective() + 0.1 * Objective().named("two")).by_part(model, path, z, 0.5, x)] == [
        "objective/flow", "objective/jump", "two/flow", "two/jump",
    ]  # fmt: skip


def pieces(model, given):
    """What each head of a joint one reads."""
    output = model.network(*given)
    return output[..., 0], output[..., 1:]


def test_parts_of_one_kind_are_numbered_and_those_of_a_product_have_its_names():
    model, path, z, x = problem("flow")
    twice = 0.5 * model + 0.5 * model
    assert [*Objective().by_part(twice, path, z, 0.5, x)] == ["flow", "flow 2"]
    product = ProductPath({"a": path, "b": path})

    class Both(Model):
        path, kinds = product, model.kinds

        def __call__(self, x, t, condition=None):
            return Product({"a": model(x["a"], t), "b": twice(x["b"], t)})

    found = Objective().by_part(Both(), product, {"a": z, "b": z}, 0.5, {"a": x, "b": x})
    assert list(found) == ["a", "b/flow", "b/flow 2"]


@pytest.mark.parametrize("name", HEADS)
def test_the_loss_is_finite_at_the_ends_of_time(name):
    model, path, z, _ = problem(name)
    for t in (0.0, 1e-6, 1 - 1e-6):
        x = path.sample(z, t, torch.Generator().manual_seed(0))
        loss = Objective()(model, path, z, t, x)
        assert loss.isfinite().all()
        assert all(g.isfinite().all() for g in torch.autograd.grad(loss.sum(), model.parameters()))


@pytest.mark.parametrize("name", HEADS)
def test_autocast_changes_only_the_network(name):
    model, path, z, x = problem(name)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = Objective()(model, path, z, torch.tensor([0.2, 0.8]), x)
    assert loss.dtype == torch.float32
    assert_close(loss, Objective()(model, path, z, torch.tensor([0.2, 0.8]), x), rtol=0.1, atol=0.1)
    loss.sum().backward()


@pytest.mark.parametrize("name", HEADS)
def test_the_device_is_that_of_the_data(name):
    model, path, z, x = problem(name)
    model, z, x = model.to("meta"), z.to("meta"), x.to("meta")
    for t in (0.5, torch.empty(2, device="meta"), torch.empty(2, 3, device="meta")):
        loss = Objective()(model, path, z, t, x)
        assert loss.device.type == "meta"
        assert loss.shape == (2,)


@pytest.mark.compile
@pytest.mark.parametrize("name", HEADS)
def test_the_objective_compiles_in_one_graph(name):
    (model, path, z, x), objective = problem(name), Objective()
    torch._dynamo.reset()
    backend = "inductor" if name in ("joint", "masked") else "aot_eager"  # the graph is the same
    compiled = torch.compile(
        lambda z, t, x: objective(model, path, z, t, x), fullgraph=True, backend=backend
    )
    for t in (torch.tensor([0.2, 0.8]), torch.tensor([[0.3, 1.0, 0.3], [0.6, 0.6, 1.0]])):
        loss, expected = compiled(z, t, x), Objective()(model, path, z, t, x)
        assert_close(loss, expected)
        slopes = [torch.autograd.grad(v.sum(), model.parameters()) for v in (loss, expected)]
        assert_close(*slopes)


@pytest.mark.compile
@pytest.mark.parametrize("divergence", [SquaredNorm(), Cosh(), PNorm(3.0), Logistic()], ids=str)
def test_other_divergences_compile(divergence):
    model, path, z, x = problem("posterior")
    torch._dynamo.reset()
    objective = Objective(jump_divergence=divergence)
    compiled = torch.compile(
        lambda z, t, x: objective(model, path, z, t, x), fullgraph=True, backend="aot_eager"
    )
    t = torch.tensor([0.2, 0.8])
    assert_close(compiled(z, t, x), objective(model, path, z, t, x))


def test_what_cannot_be_trained_is_named(rng):
    geodesic = GeodesicPath(Euclidean(), Gaussian())
    x = torch.zeros(2, 3)
    with pytest.raises(LookupError, match="GeodesicPath x Jump"):
        Objective()(Returns(Jump(x, Categorical(x[..., None]))), geodesic, x, 0.5, x)
    with pytest.raises(ValueError, match="velocity of a GeodesicPath gives no x_1"):
        Objective(loss_space="x_1")(Returns(Flow(x)), geodesic, x, 0.5, x)
    with pytest.raises(
        ValueError, match=r"a velocity of shape \(2, 1\) is not one of states \(2, 3\)"
    ):
        Objective()(Returns(Flow(x[:, :1])), PATH, x, 0.5, x)
    model = GeneratorModel(Small(3), TOKENS["uniform"], PosteriorHead(3))
    with pytest.raises(ValueError, match="the data hold 7, outside the 3 cells of the model"):
        Objective()(
            model, TOKENS["uniform"], torch.full((2, 3), 7), 0.5, torch.zeros_like(x).long()
        )

    class Odd(Generator):
        apply = step = average = None

    with pytest.raises(LookupError, match="no loss of a Odd is known: give it a `compare`"):
        Objective()(Returns(Odd()), PATH, x, 0.5, x)


@pytest.mark.parametrize("shape", [(2,), (1, 2), (3, 1)])
def test_data_have_the_shape_of_the_states(shape):
    x = torch.zeros(3, 2)
    with pytest.raises(
        ValueError, match=r"z has the shape of x_t, \(3, 2\), not \(" + str(shape[0])
    ):
        Objective()(Returns(Flow(x)), PATH, torch.zeros(shape), 0.5, x)


@pytest.mark.parametrize("t", [1.5, torch.tensor([0.5, -0.1, 0.5]), {"x": 2.0}])
def test_times_are_in_the_unit_interval(t):
    x = torch.zeros(3, 2)
    with pytest.raises(ValueError, match=r"t lies in \[0, 1\]"):
        Objective()(Returns(Flow(x)), PATH, x, t, x)


def test_data_that_jump_outside_the_bins_are_named():
    head = JumpHead(16, data=(-1.0, 1.0))
    model = GeneratorModel(Small(17), PATH, head)
    x, z = torch.zeros(3, 2), torch.full((3, 2), 4.0)
    with pytest.raises(ValueError, match=r"jumps of these data land outside the bins, -1\.6"):
        Objective()(model, PATH, z, 0.9, x)
    assert Objective()(model, PATH, z / 4, 0.9, x).isfinite().all()


def test_a_path_that_is_not_the_models_is_refused():
    """It would be trained to follow one path, and be simulated as if it followed another."""
    model, z = GeneratorModel(Small(1), PATH, FlowHead()), torch.zeros(2, 3)
    other = GaussianPath(schedule=Cosine())
    with pytest.raises(
        ValueError, match=r"the model is on Gauss.*CondOT.*, and the loss was given"
    ):
        Objective()(model, other, z, 0.5, z)
    wrapped = SimpleNamespace(module=model)  # as the wrapper of a process group
    with pytest.raises(ValueError, match=r"give it model\.path"):
        check_path(wrapped, other)
    Objective()(model, GaussianPath(), z, 0.5, z)  # another object of the same value


def test_the_loss_of_a_network_of_another_shape_is_refused():
    model = GeneratorModel(lambda x, t, condition: x[:, 0], PATH)
    with pytest.raises(ValueError, match=r"the network gave \(2,\)"):
        Objective()(model, PATH, torch.zeros(2, 1), 0.5, torch.zeros(2, 1))
    with pytest.raises(ValueError, match=r"an intensity of shape \(2,\)"):
        jump = Jump(torch.ones(2), Categorical(torch.zeros(2, 4)))
        x = torch.zeros(2, 1).long()
        Objective()(Returns(jump), TOKENS["uniform"], x, 0.5, x)
