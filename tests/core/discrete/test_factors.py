"""A factor beside the others is a model of its own: its generator, its ELBO given them."""

import pytest
import torch
from torch.testing import assert_close

from feller.core.discrete.factors import Beside, Factor
from feller.core.generators import Flow, Jump
from feller.core.likelihood import elbo
from feller.core.paths import GaussianPath, MixturePath, ProductPath
from feller.core.posteriors import FiniteProductData
from feller.core.sources import Masked
from feller.core.spaces import Tokens

PATH = ProductPath({"position": GaussianPath(), "residue": MixturePath(Tokens(4), Masked(3))})
POSITIONS = torch.tensor([[-2.0, 0.0, 1.0], [2.0, 0.0, 0.0], [-2.0, 0.0, 1.0]])
RESIDUES = torch.tensor([[0, 0], [1, 1], [2, 0]])
WEIGHTS = torch.tensor([0.5, 0.3, 0.2])
MODEL = FiniteProductData(
    PATH,
    {"position": Flow, "residue": Jump},
    {"position": POSITIONS, "residue": RESIDUES},
    WEIGHTS,
)


def test_a_factor_is_that_of_the_product(rng):
    x = {"position": torch.randn(5, 3, generator=rng), "residue": torch.full((5, 2), 3)}
    t = {"position": 0.4, "residue": torch.linspace(0.1, 0.5, 5)}
    whole = MODEL(x, t).factors
    for name, other in (("position", "residue"), ("residue", "position")):
        beside = Beside({other: x[other]}, {other: t[other]})
        found = Factor(MODEL, name)(x[name], t[name], beside)
        if name == "position":
            assert_close(found.velocity, whole[name].velocity)
        else:
            assert_close(found.intensity, whole[name].intensity)


def test_the_sequence_has_its_elbo_given_the_rest(rng):
    """The first and the third share their position: 5 to 2 are their sequences' probabilities."""
    beside = Beside({"position": POSITIONS}, {"position": 1.0 - 1e-3})
    bound = elbo(Factor(MODEL, "residue"), RESIDUES, rng, draws=100, condition=beside)
    expected = torch.tensor([5 / 7, 1.0, 2 / 7]).double().log()
    assert ((bound.nats - expected).abs() < 4 * bound.error + 1e-3).all()
    assert bound.nfe == 100
    assert bound.error[0] < 0.2


def test_rows_go_together():
    beside = Beside({"a": torch.arange(3)}, {"a": 0.5}, ["x", "y", "z"], seen=torch.zeros(3, 1))
    part = beside.rows(torch.tensor([2]))
    assert part.states["a"].tolist() == [2] and part.times == {"a": 0.5}
    assert part.condition == ["z"] and part.seen.shape == (1, 1) and part.logits is None


def test_another_name_is_refused():
    with pytest.raises(
        LookupError, match="no factor 'residues' of the state; there are position, "
    ):
        Factor(MODEL, "residues")
