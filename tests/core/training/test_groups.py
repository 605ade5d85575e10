import pytest
import torch
from torch import nn

from feller.core.training import Optimizer
from feller.core.training.groups import FACTOR


def net():
    return nn.ModuleDict({"embed": nn.Embedding(3, 4), "body": nn.Linear(4, 4)})


def rates(optimizer, model):
    names = {id(p): name for name, p in model.named_parameters()}
    groups = optimizer.param_groups
    return {names[id(p)]: g.get(FACTOR, 1.0) for g in groups for p in g["params"]}


@pytest.mark.parametrize("name", ["adamw", "muon"])
def test_the_first_pattern_that_fits_counts(name):
    model = net()
    optimizer = Optimizer(name=name, groups=("new=10", "body.*=0.5")).build(model, ["body.bias"])
    found = rates(optimizer, model)
    assert found == {"embed.weight": 1.0, "body.weight": 0.5, "body.bias": 10.0}


def test_without_groups_there_is_one():
    assert len(Optimizer().build(net()).param_groups) == 1


def test_a_pattern_without_weights_is_refused():
    with pytest.raises(
        ValueError, match=r"no weight is called haed; there are embed\.weight, body"
    ):
        Optimizer(groups=("haed=2",)).build(net())
    with pytest.raises(ValueError, match="no weight is new"):
        Optimizer(groups=("new=2",)).build(net())


@pytest.mark.parametrize("group", ["new", "new=fast", "=3", "a=-1", "a=inf", "a=nan"])
def test_a_group_that_is_none_is_refused(group):
    with pytest.raises(ValueError, match="groups are like new=10"):
        Optimizer(groups=(group,))


def test_weights_that_need_no_gradient_are_left_out():
    model = net()
    model["body"].requires_grad_(False)
    (group,) = Optimizer().build(model).param_groups
    assert [p.shape for p in group["params"]] == [torch.Size([3, 4])]
