"""The algebra of models: sums of models return the law that each of them returns."""

import pytest
import torch
from scipy import stats
from torch.testing import assert_close

from feller import core
from feller.core.algebra import backward, stationary
from feller.core.generators import Diffusion, Flow, Jump
from feller.core.grids import logarithmic_grid
from feller.core.heads import FlowHead, JointHead, JumpHead
from feller.core.models import GeneratorModel, Model
from feller.core.paths import GaussianPath
from feller.core.posteriors import FiniteData
from feller.core.reweighted import Reweighted
from feller.core.schedules import Cosine
from feller.core.solvers import RungeKutta, simulate
from feller.core.solvers.euler import Euler

POINTS, WEIGHTS = torch.tensor([[-2.0], [2.0]]), torch.tensor([0.3, 0.7])
FLOW, DIFFUSION, JUMP = (
    FiniteData(GaussianPath(), kind, POINTS, WEIGHTS) for kind in (Flow, Diffusion, Jump)
)
X = torch.tensor([[0.5], [-1.0]])


def is_the_law(model, end=0.9):
    """Kolmogorov-Smirnov at 10,000 samples against two normals of means +-2 t."""
    rng = torch.Generator().manual_seed(0)
    x_0 = torch.randn(10_000, 1, generator=rng)
    x = simulate(model, x_0, logarithmic_grid(150, end=end), Euler(), rng).state

    def law(x):
        left, right = (stats.norm.cdf(x, mean, 1 - end) for mean in (-2 * end, 2 * end))
        return 0.3 * left + 0.7 * right

    return stats.kstest(x.double().flatten().numpy(), law).pvalue > 1e-3


@pytest.mark.gate
@pytest.mark.parametrize(
    "model",
    [
        0.5 * FLOW + 0.5 * JUMP,
        (lambda t: 1 - t) * FLOW + (lambda t: t) * JUMP,
        0.5 * (0.4 * FLOW + 0.6 * DIFFUSION) + 0.5 * JUMP,
        Reweighted(0.5 * FLOW + 0.5 * JUMP, (0.0, 1.0)),
    ],
    ids=["halves", "by time", "nested", "reweighted"],
)
def test_a_sum_of_models_returns_the_law(model):
    assert isinstance(model, Model)
    assert is_the_law(model)


def test_kinds_and_network_calls_add():
    model = 0.5 * FLOW + 0.5 * JUMP
    assert model.kinds == {Flow, Jump}
    simulation = simulate(model, X, [0.0, 0.1, 0.2], Euler())
    assert simulation.nfe == 4
    joint = Reweighted(GeneratorModel(Two(), GaussianPath(), HEAD), (0.25, 0.75))
    assert simulate(joint, X, [0.0, 0.1, 0.2], Euler()).nfe == 2


def test_solvers_refuse_the_kinds_of_any_part():
    with pytest.raises(ValueError, match="takes Flow, but the model returns Jump"):
        simulate(0.5 * FLOW + 0.5 * JUMP, X, [0.0, 0.5], RungeKutta())


def test_weights_multiply_through():
    model = 0.5 * ((lambda t: t) * FLOW + 0.5 * JUMP)
    assert [float(part.weight) for part in model(X, 0.5).parts] == [0.25, 0.25]
    per_row = model(X, torch.tensor([0.5, 1.0])).parts[0].weight
    assert_close(per_row, torch.tensor([[0.25], [0.5]]))


def test_a_weight_per_coordinate():
    weight = torch.tensor([1.0, 0.0])
    path = GaussianPath()
    flow, jump = (FiniteData(path, kind, POINTS.expand(2, 2)) for kind in (Flow, Jump))
    model = weight * flow + (1 - weight) * jump
    rng = torch.Generator().manual_seed(0)
    x = torch.randn(50, 2, generator=rng)
    moved = model(x, 0.5).step(path.space, x, 1e-3, rng) != x
    assert moved[:, 0].all()
    assert moved[:, 1].float().mean() < 0.1


@pytest.mark.parametrize(
    ("model", "total"),
    [
        (1.0 * FLOW + 1.0 * JUMP, "2"),
        (0.5 * FLOW, "0.5"),
        ((lambda t: t) * FLOW + 0.7 * JUMP, "1.2"),
        (1.0 * FLOW + 0.5 * backward(JUMP), "0.5"),
        (stationary(FLOW) + 0.9 * JUMP, "0.9"),
    ],
    ids=["two", "half", "by time", "backward", "stationary"],
)
def test_weights_that_are_none_are_refused(model, total):
    with pytest.raises(ValueError, match=f"sum to 1, these to {total}$"):
        simulate(model, X, [0.5, 0.6], Euler())


def test_a_negative_weight_is_refused():
    with pytest.raises(ValueError, match="is at least 0"):
        simulate(1.5 * FLOW + -0.5 * JUMP, X, [0.5, 0.6], Euler())


def test_models_of_two_paths_have_no_sum():
    other = FiniteData(GaussianPath(schedule=Cosine()), Jump, POINTS)
    with pytest.raises(ValueError, match="models of a superposition share their path"):
        0.5 * FLOW + 0.5 * other


HEAD = JointHead((FlowHead(), JumpHead(8)), (0.5, 0.5))


class Two(torch.nn.Module):
    """A network with the outputs of a flow and of a jump."""

    def forward(self, x, t, condition=None):
        return torch.cat([-x[..., None], x[..., None].expand(*x.shape, 9)], -1)


def test_a_function_may_weigh_each_coordinate():
    path = GaussianPath()
    flow, jump = (FiniteData(path, kind, POINTS.expand(2, 2)) for kind in (Flow, Jump))
    share = torch.tensor([1.0, 0.0])
    model = (lambda t: share) * flow + (lambda t: 1 - share) * jump
    assert model(torch.zeros(3, 2), 0.5).parts[0].weight.tolist() == [[1.0, 0.0]]


def test_only_weighed_models_add():
    with pytest.raises(TypeError, match="weigh each model"):
        0.5 * FLOW + JUMP
    assert len(sum([0.5 * FLOW, 0.5 * JUMP]).parts) == 2


@pytest.mark.parametrize("role", ["stationary", "backward"])
def test_the_public_names_take_models_and_generators(role):
    flow = FiniteData(GaussianPath(), Flow, torch.tensor([[2.0]]))
    mark = getattr(core, role)
    model, generator = (1.0 * flow + 0.5 * mark(flow)), flow(torch.zeros(1, 1), 0.5)
    summed = 1.0 * generator + 0.5 * mark(generator)
    assert [part.role for part in model.parts] == [part.role for part in summed.parts]
    assert model.parts[1].role == role
