"""Guided transitions: the published law itself, by enumeration, and its limit of short steps."""

import itertools
from dataclasses import replace

import pytest
import texts
import torch
from chains import (
    SOURCES,
    distance,
    drawn,
    every_state,
    exact_model,
    joint,
    leap_moves,
    likelihood,
    posterior,
    random_law,
)
from torch.testing import assert_close

from feller.core.discrete.categorical import Shaping
from feller.core.discrete.kernel import Kernel, log_source, reverse_rates
from feller.core.discrete.models import TokenModel
from feller.core.discrete.solvers import Ancestral, GuidedAncestral, Prediction, token_state
from feller.core.discrete.solvers.guided import _transition
from feller.core.random import rows
from feller.core.schedules import Cosine

V, N = 3, 2
every_source = pytest.mark.parametrize("noise", SOURCES)
every_form = pytest.mark.parametrize("form", ["posterior", "leave_one_out"])


class Conditional(TokenModel):
    """One law without a condition, another with it."""

    def __init__(self, noise, form="posterior", schedule=None):
        points, plain = random_law(V, N, seed=0, power=1.0)
        _, labelled = random_law(V, N, seed=1, power=1.0)
        self.without, self.with_ = (
            exact_model(noise, points, law, v=V, schedule=schedule) for law in (plain, labelled)
        )
        self.forms = [
            exact_model(noise, points, law, v=V, parametrization=form, schedule=schedule)
            for law in (plain, labelled)
        ]
        self.path, self.vocabulary = self.without.path, self.without.vocabulary
        self.parametrization = form

    def logits(self, x, kappa, condition=None, *, where=None):
        return self.forms[condition is not None].logits(x, kappa, where=where)


class Dropped(Conditional):
    """Its condition is -1 where it says nothing, as for models of one's own."""

    def unconditional(self, condition):
        return torch.full_like(condition, -1)

    def logits(self, x, kappa, condition=None, *, where=None):
        known = None if condition.eq(-1).all() else condition
        return super().logits(x, kappa, known, where=where)


def mixed(model, states, kappa, later, scale):
    """p_c(x_s | x_t)^w p_0(x_s | x_t)^(1-w), normalised: each an average over the posterior."""
    laws = [
        leap_moves(part, Ancestral())(states, kappa, later, posterior(part, states, kappa))
        for part in (model.without, model.with_)
    ]
    law = laws[1] ** scale * laws[0] ** (1 - scale)
    law = torch.where(laws[1] > 0, law, 0.0)
    return (law / law.sum(-1, keepdim=True)).nan_to_num(0.0)  # of states that cannot be


def chain_law(model, steps, scale):
    """The law of samples, by multiplying transition matrices: no Monte Carlo."""
    states = every_state(model, N)
    law = log_source(model.path.source, model.vocabulary.size).exp()[states].prod(1)
    grid = model.path.schedule.alpha(torch.linspace(0, 1, steps + 1).double())
    for kappa, later in itertools.pairwise(grid):
        law = law @ joint(mixed(model, states, kappa, later, scale))
    return law[(states < V).all(1)]


@every_source
@every_form
@pytest.mark.parametrize("scale", [0.0, 1.0, 2.5])
def test_samples_follow_the_published_law(noise, form, scale, rng):
    model = Conditional(noise, form, Cosine())
    x = torch.zeros(8000, N, dtype=torch.int64)
    solver, labels = GuidedAncestral(scale), torch.ones(8000)
    chains = drawn(model, solver, x, rng, steps=3, condition=labels)
    assert likelihood(chains.x, chain_law(model, 3, scale), V) > 0.001
    assert chains.nfe.max() == 3 * (1 if scale in (0, 1) else 2)


@every_source
def test_without_a_condition_it_is_ancestral(noise, rng):
    model = Conditional(noise)
    chains = drawn(model, GuidedAncestral(), torch.zeros(8000, N).long(), rng, steps=3)
    assert likelihood(chains.x, chain_law(model, 3, 0.0), V) > 0.001
    assert (chains.nfe <= 3).all()


def test_with_uniform_tokens_it_is_not_the_guidance_of_the_posterior():
    """Which bends where a jump goes alone: its law is another one."""
    model = Conditional("uniform")
    states, scale = every_state(model, N), 2.5
    law = log_source(model.path.source, V).exp()[states].prod(1)
    for kappa, later in itertools.pairwise(torch.linspace(0, 1, 4).double()):
        p = posterior(model.with_, states, kappa) ** scale
        p = p * posterior(model.without, states, kappa) ** (1 - scale)
        bent = p / p.sum(-1, keepdim=True)
        moves = leap_moves(model.without, Ancestral())
        law = law @ joint(moves(states, kappa, later, bent))
    assert distance(law, chain_law(model, 3, scale)) > 0.02


@every_source
@every_form
def test_rates_are_bent_in_short_steps(noise, form):
    """Nisonoff et al.: R_c^w R_0^(1-w), from the rates of the reversed chain; error of the step."""
    model, scale, kappa = Conditional(noise, form), 1.7, 0.4
    states = every_state(model, N)
    size, pi = model.vocabulary.size, log_source(model.path.source, model.vocabulary.size)
    each = Kernel(torch.full((), kappa).double(), pi)
    rates = []
    for part in (model.without, model.with_):
        law = exact_model(noise, part.points, part.weights, v=V, parametrization="leave_one_out")
        data = torch.zeros(*states.shape, size).double()
        data[..., :V] = law.logits(states, kappa * torch.ones(len(states))).softmax(-1)
        rates.append(reverse_rates(data, states, each))
    bent = (rates[1] ** scale * rates[0] ** (1 - scale)).nan_to_num(0.0)
    errors = []
    for h in (1e-3, 1e-4):
        reached = torch.full((len(states),), kappa).double()
        states_at = replace(token_state(model, states), x=states, reached=reached)
        asked = Prediction(model, pi, torch.ones(len(states)), Shaping(), noise == "mask")
        where = asked.undecided(states_at)
        later = torch.full((len(states),), kappa + h).double()
        law, _ = GuidedAncestral(scale)._guided(asked, states_at, where, later)
        stays = torch.nn.functional.one_hot(states[where], size) > 0
        found = (law.exp() / h).masked_fill(stays, 0.0)
        errors.append(float((found - bent[where]).abs().max()))
    assert errors[0] < 0.1 and errors[1] < errors[0] / 5


def test_transitions_of_one_model_are_a_law():
    model = Conditional("uniform")
    chains = token_state(
        model, torch.zeros(5, N, dtype=torch.int64), torch.Generator().manual_seed(0)
    )
    asked = Prediction(model, log_source(model.path.source, V), None, Shaping(), hides=False)
    law, _ = _transition(asked, chains, chains.open, torch.full((5,), 0.3).double())
    assert_close(law.exp().sum(-1), torch.ones(10).double())


def test_what_cannot_be_guided_is_refused():
    with pytest.raises(ValueError, match="guided transitions take no temperature"):
        cold = GuidedAncestral(shaping=Shaping(temperature=0.5))
        drawn(Conditional("uniform"), cold, torch.zeros(1, N, dtype=torch.int64), steps=2)
    model = texts.model("uniform", num_classes=2)
    model.network.trained[2] = False
    x = torch.zeros(2, 8, dtype=torch.int64)
    with pytest.raises(ValueError, match="never trained on no label"):
        drawn(model, GuidedAncestral(), x, steps=2, condition=torch.tensor([0, 1]))
    labels = torch.tensor([0, 1])
    found = drawn(model, GuidedAncestral(1.0), x, steps=2, condition=labels)
    assert found.x.shape == (2, 8)


def test_the_model_says_what_stands_for_no_condition():
    x, label = torch.zeros(50, N, dtype=torch.int64), torch.ones(50)
    found, due = (
        drawn(model("uniform"), GuidedAncestral(3.0), x, rows(0, 0, 50), steps=4, condition=label)
        for model in (Dropped, Conditional)
    )
    assert found.x.equal(due.x)
