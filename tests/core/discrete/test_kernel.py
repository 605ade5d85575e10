"""Kernels: laws that sum to one, reversed chains that solve the forward equation."""

import pytest
import torch
from chains import SOURCES, every_sequence, exact_model, random_law
from torch.testing import assert_close

from feller.core.discrete.kernel import (
    Kernel,
    jump_probability,
    log_left,
    log_source,
    reverse_rates,
)
from feller.core.discrete.parametrizations import convert_logits
from feller.core.schedules import CondOT, Cosine, Polynomial
from feller.core.sources import UniformTokens

every_source = pytest.mark.parametrize("noise", SOURCES)
V = 4


def kernel_of(noise, kappa):
    size = V + noise.startswith("mask")
    return Kernel(torch.as_tensor(kappa).double(), log_source(SOURCES[noise](V), size))


@every_source
@pytest.mark.parametrize("kappa", [0.0, 0.3, 1.0])
def test_the_law_of_a_token_sums_to_one(noise, kappa):
    kernel = kernel_of(noise, kappa)
    size = len(kernel.log_source)
    y, x = torch.arange(size)[:, None].expand(size, V), torch.arange(V).expand(size, V)
    law = kernel.log_prob(y, x).exp()
    assert_close(law.sum(0), torch.ones(V).double())
    if kappa == 1:
        assert_close(law[:V], torch.eye(V).double())


def test_source_probabilities_are_exact():
    law = log_source(UniformTokens(50_257), 50_258).exp()
    assert (law[:-1] * 50_257 - 1).abs().max() < 1e-13
    assert law[-1] == 0


@every_source
def test_rates_given_x_move_the_law_along_the_path(noise):
    """d/dkappa q(y|x) = sum_z q(z|x) R(z, y) - q(y|x) sum_z R(y, z): the forward equation."""
    kernel = kernel_of(noise, 0.4)
    size, x = len(kernel.log_source), 1
    z = torch.arange(size)
    at_x = torch.eye(size).double()[x]
    law = 0.4 * at_x + 0.6 * kernel.log_source.exp()
    visited = law > 0  # from nowhere there is no rate
    rates = torch.zeros(size, size).double()
    rates[visited] = reverse_rates(at_x.expand(size, size), z, kernel_of(noise, [0.4] * size))[
        visited
    ]
    change = law @ rates - law * rates.sum(1)
    assert_close(change, at_x - kernel.log_source.exp())


@every_source
def test_the_posterior_mean_of_rates_is_the_leave_one_out_rate(noise):
    """P13: rates are linear in q(.|x) / q(z|x), and so their mean over the posterior is a ratio."""
    points, weights = random_law(V, 2)
    model = exact_model(noise, points, weights, v=V)
    x = torch.cartesian_prod(*[torch.arange(model.vocabulary.size)] * 2)
    kappa = torch.full((len(x),), 0.35).double()
    kernel = Kernel(kappa, log_source(model.path.source, model.vocabulary.size))
    posterior = model.logits(x, kappa)[:, 0].softmax(-1)
    model.parametrization = "leave_one_out"
    data = torch.zeros(len(x), model.vocabulary.size).double()
    data[:, :V] = model.logits(x, kappa)[:, 0].softmax(-1)
    free = ~kernel.decided(x[:, 0])
    given = torch.stack(
        [
            reverse_rates(
                torch.eye(model.vocabulary.size).double()[y].expand_as(data), x[:, 0], kernel
            )
            for y in range(V)
        ],
        1,
    )
    mean = torch.einsum("mx,mxy->my", posterior, given)
    assert_close(mean[free], reverse_rates(data, x[:, 0], kernel)[free])


@every_source
def test_evidence_turns_leave_one_out_into_posterior(noise):
    points, weights = random_law(V, 3)
    model = exact_model(noise, points, weights, v=V)
    z = torch.cartesian_prod(*[torch.arange(model.vocabulary.size)] * 3)
    kappa = torch.rand(len(z), 3, generator=torch.Generator().manual_seed(1)).double()
    kernel = Kernel(kappa, log_source(model.path.source, model.vocabulary.size))
    posterior = model.logits(z, kappa).log_softmax(-1)
    model.parametrization = "leave_one_out"
    pair = ("leave_one_out", "posterior")
    ours = convert_logits(model.logits(z, kappa), pair, kernel.evidence(z), z).log_softmax(-1)
    assert_close(ours, posterior)


@pytest.mark.parametrize("schedule", [CondOT(), Cosine(), Polynomial(3.0)], ids=str)
def test_chances_of_steps_multiply_to_the_chance_of_all(schedule):
    t = torch.linspace(0.1, 0.9, 9).double()
    kappa = schedule.alpha(t)
    stays = (1 - jump_probability(kappa[:-1], kappa[1:])).prod()
    assert_close(stays.log(), log_left(schedule, t[-1]) - log_left(schedule, t[0]))
    assert_close(stays, 1 - jump_probability(kappa[0], kappa[-1]))


def test_the_last_step_always_jumps_and_a_clock_at_one_never():
    ends = jump_probability(torch.tensor([0.0, 0.7, 1.0]).double(), torch.ones(3).double())
    assert ends.tolist() == [1, 1, 0]
    assert log_left(CondOT(), torch.tensor(1.0)) == -torch.inf


def test_sequences_are_enumerated():
    assert every_sequence(3, 2).tolist()[3] == [1, 0]
