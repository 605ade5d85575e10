"""One ELBO: of tokens, of pixels, of numbers; exact where the model is."""

import pytest
import torch
from chains import SOURCES, exact_model, index_of, random_law
from torch.testing import assert_close

from feller.core.generators import Jump
from feller.core.heads import PosteriorHead
from feller.core.likelihood import elbo
from feller.core.models import GeneratorModel
from feller.core.paths import GaussianPath, MixturePath
from feller.core.posteriors import FiniteData, NormalMixture
from feller.core.sources import Masked
from feller.core.spaces import Tokens

POINTS, WEIGHTS = random_law(3, 2)


@pytest.mark.parametrize("noise", SOURCES)
def test_the_elbo_of_exact_data_is_their_log_probability_on_average(noise, rng):
    """A model of generators, whose jumps alone are known: E nats is minus the entropy."""
    path = exact_model(noise, POINTS, WEIGHTS, v=3).path
    model = FiniteData(path, Jump, POINTS, WEIGHTS)
    z = POINTS[torch.multinomial(WEIGHTS, 3000, True, generator=rng)]
    bound = elbo(model, z, rng, draws=8)
    gap = bound.nats - WEIGHTS.log()[index_of(z, 3)]
    assert abs(gap.mean()) < 4 * gap.std() / len(gap) ** 0.5
    inside = (gap.std() / bound.error.square().mean().sqrt()).item()
    assert (
        0.3 < inside < 2
    )  # draws of one state are spread evenly, so the error is on the safe side


def test_pixels_have_one(rng):
    law = torch.tensor([0.5, 0.3, 0.2])
    path = MixturePath(Tokens(4, event_dim=3), Masked(3))
    network = lambda x, t, c: law.log().expand(*x.shape, 3)  # noqa: E731
    model = GeneratorModel(network, path, PosteriorHead(3))
    z = torch.randint(3, (3, 2, 2, 1), generator=rng)
    bound = elbo(model, z, rng, draws=100)
    assert ((bound.nats - law.double().log()[z].flatten(1).sum(1)).abs() < 4 * bound.error).all()
    counted = torch.zeros_like(z, dtype=torch.bool)
    counted[:, 0, 0] = True
    one = elbo(model, z, rng, counted=counted)
    assert_close(one.nats, law.double().log()[z[:, 0, 0, 0]], atol=1e-6, rtol=1e-6)


def test_numbers_have_that_of_their_paths(rng):
    one = torch.ones(1)
    model = NormalMixture(GaussianPath(), one[:, None], one, one)
    bound = elbo(model, one[:, None], rng, draws=16)
    assert bound.nfe == 16 and bound.nats.shape == (1,)


def test_what_has_no_bound_is_refused():
    one = torch.ones(1)
    model = NormalMixture(GaussianPath(), one[:, None], one, one)
    with pytest.raises(ValueError, match="counted is for tokens"):
        elbo(model, one[:, None], counted=torch.ones(1, 1, dtype=torch.bool))
    with pytest.raises(ValueError, match="at least one draw, not 0"):
        elbo(model, one[:, None], draws=0)
    path = MixturePath(Tokens(4), Masked(3))
    with pytest.raises(ValueError, match="tokens are 0"):
        elbo(FiniteData(path, Jump, POINTS), torch.full((1, 2), 4))
    assert elbo(FiniteData(path, Jump, POINTS), POINTS, draws=1).error.isinf().all()
