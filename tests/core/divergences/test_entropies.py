"""Entropies: rates and probabilities, at their edges and in their logarithms."""

import torch
import torch.nn.functional as F
from torch.testing import assert_close

from feller.core.divergences import GeneralizedKL, ItakuraSaito, Logistic


def test_the_relative_entropy_of_logarithms(rng):
    target = 3 * torch.rand(50, generator=rng, dtype=torch.float64)
    target[:10] = 0
    log_predicted = 2 * torch.randn(50, generator=rng, dtype=torch.float64)
    expected = GeneralizedKL()(target, log_predicted.exp())
    assert_close(GeneralizedKL().from_log(target, log_predicted), expected)


def test_targets_of_zero_need_the_sum_of_predictions_only(rng):
    predicted = torch.rand(6, generator=rng, dtype=torch.float64)
    target = torch.zeros(6, dtype=torch.float64)
    target[2] = 0.7
    found = GeneralizedKL().from_log(target[2], predicted[2].log(), predicted.sum())
    assert_close(found, GeneralizedKL()(target, predicted).sum())


def test_logarithms_do_not_underflow():
    target = torch.tensor([1.0, 0.0, 0.0])
    log_predicted = torch.tensor([-2000.0, -2000.0, -torch.inf], requires_grad=True)
    loss = GeneralizedKL().from_log(target, log_predicted)
    assert_close(loss, torch.tensor([1999.0, 0.0, 0.0]))
    (slope,) = torch.autograd.grad(loss.sum(), log_predicted)
    assert_close(slope, torch.tensor([-1.0, 0.0, 0.0]))


def test_the_divergence_of_jumps_is_a_sum_over_where_they_lead(rng):
    """lambda' - lambda E_J log(lambda' J'), up to what the prediction does not touch."""
    target, law = torch.rand(2, 6, generator=rng, dtype=torch.float64).softmax(-1)
    rates = 1.3 * law
    constant = (2 * target * (2 * target).log() - 2 * target).sum()
    expected = 1.3 - 2 * (target * rates.log()).sum() + constant
    assert_close(GeneralizedKL()(2 * target, rates).sum(), expected)


def test_the_logistic_divergence_is_the_logistic_loss(rng):
    f = torch.randn(50, generator=rng, dtype=torch.float64)
    for y in (0.0, 1.0):
        loss = F.softplus(-(2 * y - 1) * f)
        assert_close(Logistic()(torch.full_like(f, y), f.sigmoid()), loss)


def test_only_the_ratio_counts_for_itakura_saito(rng):
    a, b = 0.1 + torch.rand(2, 50, generator=rng, dtype=torch.float64)
    assert_close(ItakuraSaito()(a, b), GeneralizedKL()(torch.ones_like(a), a / b))


def test_probabilities_near_one_keep_the_digits_of_what_is_left():
    predicted = torch.tensor([1 - 2.0**-20, 1 - 2.0**-18])
    target = predicted.nextafter(torch.tensor(1.0))
    exact = Logistic()(target.double(), predicted.double())
    mirrored = Logistic()((1 - target).double(), (1 - predicted).double())
    assert_close(exact, mirrored)
    assert_close(Logistic()(target, predicted).double(), exact, rtol=1e-5, atol=0)
