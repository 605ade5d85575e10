"""Bregman divergences: from their potential, and with the marginal gradient (proposition 2)."""

import pytest
import torch
from torch.testing import assert_close

from feller.core.divergences import BregmanDivergence, SquaredNorm, bregman

DIVERGENCES = [SquaredNorm()]
every_divergence = pytest.mark.parametrize("divergence", DIVERGENCES, ids=str)


def positive(rng, *shape):
    """Values that every potential takes, those for jump rates too."""
    return 0.2 + 2 * torch.rand(shape, generator=rng, dtype=torch.float64)


def gradients(divergence, rng, states=5, data=4):
    """The gradient of the conditional and of the marginal loss, by enumerating a finite problem.

    The joint law of data and states, the conditional targets and the predictions are arbitrary.
    """
    joint = positive(rng, data, states)
    joint = joint / joint.sum()
    targets, predicted = positive(rng, data, states), positive(rng, states).requires_grad_()
    conditional = (joint * divergence(targets, predicted.expand(data, states))).sum()
    means = (joint * targets).sum(0) / joint.sum(0)
    marginal = (joint.sum(0) * divergence(means, predicted)).sum()
    return [torch.autograd.grad(loss, predicted)[0] for loss in (conditional, marginal)]


def test_every_divergence_is_tested():
    ours = {c for c in BregmanDivergence.__subclasses__() if c.__module__.startswith("feller.")}
    assert ours == {type(divergence) for divergence in DIVERGENCES}


@every_divergence
def test_a_divergence_is_that_of_its_potential(divergence, rng):
    target, predicted = positive(rng, 50), positive(rng, 50)
    expected = bregman(divergence.potential, target, predicted)
    assert_close(divergence(target, predicted), expected)


@every_divergence
def test_a_divergence_vanishes_at_the_target_only(divergence, rng):
    target = positive(rng, 50)
    assert not divergence(target, target).any()
    assert (divergence(target, positive(rng, 50)) > 0).all()


@every_divergence
def test_the_conditional_loss_has_the_marginal_gradient(divergence, rng):
    conditional, marginal = gradients(divergence, rng)
    assert_close(conditional, marginal, rtol=1e-12, atol=1e-12)


def test_the_absolute_difference_has_not(rng):
    conditional, marginal = gradients(lambda target, predicted: (target - predicted).abs(), rng)
    assert (conditional - marginal).abs().max() > 0.01


def test_the_definition_knows_the_relative_entropy(rng):
    target, predicted = positive(rng, 50), positive(rng, 50)
    expected = target * (target / predicted).log() - target + predicted
    assert_close(bregman(lambda a: a * a.log(), target, predicted), expected)
