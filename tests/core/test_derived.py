"""A derived model has from the other what it does not change."""

import torch

from feller.core.couplings import GivenPairs
from feller.core.derived import DerivedModel
from feller.core.generators import Flow
from feller.core.models import Model
from feller.core.paths import GaussianPath


class Told(Model):
    path, kinds, coupling = GaussianPath(), frozenset({Flow}), GivenPairs()

    def __call__(self, x, t, condition=None):
        return Flow(x + condition)

    def network_calls(self, t, condition=None):
        return 3

    def part_kinds(self):
        return (self.kinds, self.kinds)

    def unconditional(self, condition):
        return 0 * condition


class Same(DerivedModel):
    def __init__(self, model):
        self.model = model

    def __call__(self, x, t, condition=None):
        return self.model(x, t, condition)


def test_all_is_that_of_the_other():
    told, one = Told(), torch.ones(1)
    for model in (Same(told), 0.5 * told + 0.5 * Same(told)):
        assert (model.path, model.space) == (told.path, told.space)
        assert (model.kinds, model.coupling) == (told.kinds, told.coupling)
        assert model.unconditional(one).equal(torch.zeros(1))
    assert Same(told).network_calls(0.5) == 3
    assert Same(told).part_kinds() == told.part_kinds()
