"""The posterior and the leave-one-out law: Bayes' rule between them."""

import pytest
import torch
from chains import SOURCES, exact_model, random_law
from torch.testing import assert_close

from feller.core.discrete.kernel import Kernel, log_source
from feller.core.discrete.parametrizations import convert_logits, own_evidence

V, N = 3, 2
every_source = pytest.mark.parametrize("noise", SOURCES)


def models(noise):
    points, weights = random_law(V, N)
    return [
        exact_model(noise, points, weights, v=V, parametrization=law)
        for law in ("posterior", "leave_one_out")
    ]


def states(noise, rng):
    size = V + noise.startswith("mask")
    return torch.randint(size, (40, N), generator=rng)


@every_source
def test_the_posterior_is_the_other_law_with_its_own_evidence(noise, rng):
    posterior, leave_one_out = models(noise)
    x = states(noise, rng)
    kappa = torch.rand(40, 1, generator=rng, dtype=torch.float64).expand(x.shape)
    evidence = own_evidence(posterior.path.source, x, kappa)
    theirs = leave_one_out.logits(x, kappa)
    ours = convert_logits(theirs, ("leave_one_out", "posterior"), evidence, x)
    truth = posterior.logits(x, kappa).softmax(-1)
    # A state that the law cannot be in has no posterior.
    assert_close(ours.softmax(-1), truth, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("noise", [n for n in SOURCES if n != "mask"])
def test_the_evidence_can_be_taken_off_again(noise, rng):
    posterior, leave_one_out = models(noise)
    x = states(noise, rng)
    kappa = torch.full(x.shape, 0.4, dtype=torch.float64)
    evidence = own_evidence(posterior.path.source, x, kappa)
    mine = posterior.logits(x, kappa)
    back = convert_logits(mine, ("posterior", "leave_one_out"), evidence, x)
    assert_close(back.softmax(-1), leave_one_out.logits(x, kappa).softmax(-1), rtol=1e-6, atol=1e-7)


@every_source
def test_the_evidence_is_that_of_the_kernel(noise, rng):
    source, size = SOURCES[noise](V), V + noise.startswith("mask")
    x = states(noise, rng)
    kappa = torch.rand(x.shape, generator=rng, dtype=torch.float64)
    kernel = Kernel(kappa, log_source(source, size))
    assert_close(own_evidence(source, x, kappa), kernel.evidence(x), rtol=1e-6, atol=1e-6)


def test_a_certain_token_is_certain():
    x = torch.tensor([1, V])  # a token and a mask, of a mask source
    evidence = torch.tensor([torch.inf, 0.3])
    law = convert_logits(torch.zeros(2, V), ("leave_one_out", "posterior"), evidence, x)
    assert law.softmax(-1)[0].tolist() == [0, 1, 0]
    assert_close(law.softmax(-1)[1], torch.full((V,), 1 / V))


def test_the_same_law_is_left_alone():
    logits = torch.zeros(1, V)
    same = convert_logits(logits, ("posterior", "posterior"), torch.ones(1), torch.tensor([0]))
    assert same is logits
