"""A joint network under other weights than it was built with."""

import pytest
import torch

from feller.core.algebra import SuperposedModel
from feller.core.generators import Flow, Jump, Superposition
from feller.core.guidance import Guided
from feller.core.heads import FlowHead, JointHead, JumpHead
from feller.core.models import GeneratorModel
from feller.core.paths import GaussianPath
from feller.core.posteriors import FiniteData
from feller.core.reweighted import Reweighted
from feller.core.solvers import RungeKutta, simulate

POINTS, X = torch.tensor([[-2.0], [2.0]]), torch.tensor([[0.5], [-1.0]])
FLOW, JUMP = (FiniteData(GaussianPath(), kind, POINTS) for kind in (Flow, Jump))
HEAD = JointHead((FlowHead(), JumpHead(8)), (0.5, 0.5))


class Two(torch.nn.Module):
    """A network with the outputs of a flow and of a jump."""

    def forward(self, x, t, condition=None):
        return torch.cat([-x[..., None], x[..., None].expand(*x.shape, 9)], -1)


def test_a_joint_network_is_mixed_anew():
    joint = GeneratorModel(Two(), GaussianPath(), HEAD)
    found = Reweighted(joint, (lambda t: 1 - t, lambda t: t))(X, 0.25)
    assert isinstance(found, Superposition)
    assert [float(part.weight) for part in found.parts] == [0.75, 0.25]
    assert isinstance(0.5 * joint + 0.5 * joint, SuperposedModel)
    with pytest.raises(ValueError, match="3 weights are for as many parts"):
        Reweighted(joint, (0.2, 0.3, 0.5))(X, 0.25)


def test_weights_left_out_leave_their_kinds_out():
    joint = GeneratorModel(Two(), GaussianPath(), HEAD)
    assert Reweighted(joint, (1.0, 0.0)).kinds == {Flow}
    assert Reweighted(0.5 * FLOW + 0.5 * JUMP, (0.0, 1.0)).kinds == {Jump}
    assert simulate(Reweighted(joint, (1.0, 0.0)), X, [0.0, 0.5], RungeKutta()).nfe == 2


def test_a_reweighted_model_counts_what_its_model_costs():
    guided = Guided(0.5 * FLOW + 0.5 * JUMP, 2.0)
    again = Reweighted(0.5 * FLOW + 0.5 * JUMP, (0.3, 0.7))
    assert again.network_calls(0.5) == 2
    assert Reweighted(guided, (0.3, 0.7)).network_calls(0.5, torch.ones(1)) == 4


def test_a_guided_joint_network_keeps_the_kinds_of_its_parts():
    guided = Guided(GeneratorModel(Two(), GaussianPath(), HEAD))
    assert Reweighted(guided, (1.0, 0.0)).kinds == {Flow}
