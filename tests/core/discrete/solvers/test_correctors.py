"""Correctors: Gibbs draws keep p_kappa and lead back to it; remasking is its enumerated chain."""

from dataclasses import replace

import pytest
import texts
import torch
from chains import (
    SOURCES,
    distance,
    drawn,
    enumerated,
    every_state,
    exact_model,
    law_at,
    leap_moves,
    likelihood,
    random_law,
)

from feller.core.discrete.categorical import Shaping
from feller.core.discrete.kernel import log_source
from feller.core.discrete.solvers import (
    Ancestral,
    Leap,
    Prediction,
    PredictorCorrector,
    Remasking,
    token_state,
)
from feller.core.discrete.solvers.correctors import gibbs

every_source = pytest.mark.parametrize("noise", SOURCES)
V, N = 3, 2
POINTS, WEIGHTS = random_law(V, N)


def prediction(model):
    pi = log_source(model.path.source, model.vocabulary.size)
    return Prediction(model, pi, None, Shaping(), bool((pi[:V] == -torch.inf).all()))


def at(model, x, kappa):
    return replace(token_state(model, x), x=x, reached=torch.full((len(x),), kappa).double())


@every_source
@pytest.mark.parametrize("form", ["posterior", "leave_one_out"])
def test_gibbs_draws_keep_the_law(noise, form, rng):
    model = exact_model(noise, POINTS, WEIGHTS, v=V, parametrization=form)
    law = law_at(model, 0.6)
    states = every_state(model, N)
    x = states[torch.multinomial(law, 6000, True, generator=rng)]
    after = gibbs(prediction(model), at(model, x, 0.6), 1, rng)
    assert (after.x != x).any(1).double().mean() > 0.2
    assert ((after.x != x).sum(1) <= 1).all()
    assert likelihood(after.x, law, model.vocabulary.size) > 0.001


@every_source
def test_gibbs_draws_lead_back_to_the_law(noise, rng):
    model = exact_model(noise, POINTS, WEIGHTS, v=V)
    start = torch.zeros(6000, N, dtype=torch.int64)
    chains = at(model, start, 0.5)
    for _ in range(12):
        chains = gibbs(prediction(model), chains, 1, rng)
    assert likelihood(chains.x, law_at(model, 0.5), model.vocabulary.size) > 0.001


def gibbs_matrix(model, kappa):
    """Draw one of the elements, each as likely, from p_kappa given the others: by Bayes."""
    states, law = every_state(model, N), law_at(model, float(kappa))
    apart = states[:, None] != states[None]
    total = torch.zeros(len(states), len(states)).double()
    for i in range(N):
        others = apart[:, :, [j for j in range(N) if j != i]].any(-1)
        row = torch.where(others, 0.0, law)
        total += row / row.sum(1, keepdim=True) / N
    return total


@every_source
@pytest.mark.parametrize("predictor", [Leap(), Ancestral()], ids=str)
def test_corrected_samples_follow_the_enumerated_chain(noise, predictor, rng):
    model = exact_model(noise, POINTS, WEIGHTS, v=V)
    grid, moves = torch.linspace(0, 1, 4).double(), leap_moves(model, predictor)
    law = enumerated(
        model, grid, moves, lambda kappa: torch.matrix_power(gibbs_matrix(model, kappa), 2)
    )
    solver = PredictorCorrector(predictor, rounds=2)
    x = drawn(model, solver, torch.zeros(6000, N, dtype=torch.int64), rng, steps=3).x
    assert likelihood(x, law, V) > 0.001
    assert distance(law, WEIGHTS) < distance(enumerated(model, grid, moves), WEIGHTS)


def test_what_is_done_is_not_corrected(rng):
    model = exact_model("uniform", POINTS, WEIGHTS, v=V)
    chains = at(model, torch.zeros(20, N, dtype=torch.int64), 1.0)
    assert torch.equal(gibbs(prediction(model), chains, 2, rng).x, chains.x)


def remasking_law(model, grid, sigma):
    """Sigma(kappa, later, share) of the most there can be."""
    eye = torch.eye(V + 1).double()

    def moves(states, kappa, later, p):
        s = sigma(kappa, later, min(1.0, float((1 - later) / kappa)) if kappa else 1.0)
        reveal = (later - (1 - s) * kappa) / (1 - kappa)
        stay = eye[states]
        from_mask = (1 - reveal) * eye[V] + reveal * p
        masked = (states == V)[..., None]
        return torch.where(masked, from_mask, (1 - s) * stay + s * eye[V])

    return enumerated(model, grid, moves)


CASES = {
    "cap": (Remasking("cap", 0.3), lambda k, s, most: min(0.3, most)),
    "rescale": (Remasking("rescale", 0.8), lambda k, s, most: 0.8 * most),
    "none": (Remasking("cap", 0.0), lambda k, s, most: 0.0),
}


@pytest.mark.parametrize("case", CASES)
def test_remasking_is_its_enumerated_chain(case, rng):
    solver, sigma = CASES[case]
    model = exact_model("mask", POINTS, WEIGHTS, v=V)
    law = remasking_law(model, torch.linspace(0, 1, 5).double(), sigma)
    x = drawn(model, solver, torch.zeros(8000, N, dtype=torch.int64), rng, steps=4).x
    assert likelihood(x, law, V) > 0.001


def test_a_loop_stands_still_and_leads_nearer_to_the_data(rng):
    model = exact_model("mask", POINTS, WEIGHTS, v=V)
    solver = Remasking("cap", 0.5, pause=0.6, rounds=8)
    grid = torch.tensor([0, 0.25, 0.5, *[0.5] * 8, 0.75, 1]).double()
    law = remasking_law(model, grid, lambda k, s, most: min(0.5, most) if k == s else 0.0)
    x = drawn(model, solver, torch.zeros(8000, N, dtype=torch.int64), rng, steps=4).x
    assert likelihood(x, law, V) > 0.001
    plain = remasking_law(model, torch.linspace(0, 1, 5).double(), lambda k, s, most: 0.0)
    assert distance(law, WEIGHTS) < distance(plain, WEIGHTS)


def test_the_least_confident_are_masked_again(rng):
    model = exact_model("mask", POINTS, WEIGHTS, v=V)
    x = torch.zeros(4000, N, dtype=torch.int64)
    chains = at(model, x, 0.5)
    sure = torch.tensor([[1.0, 0.1]]).double().expand(4000, N)
    chains = replace(chains, log_prob=sure.log())
    kappa = torch.full((4000,), 0.5).double()
    masking = Remasking("confidence", 1.0)
    after = masking.move(prediction(model), chains, torch.ones(4000).double(), rng)
    assert not (after.x == V).any()  # kappa is 1 then: nothing may be
    after = masking.move(prediction(model), chains, kappa, rng)
    shares = (after.x == V).double().mean(0)
    sigma = 0.5 / 0.5 * torch.softmax(-sure[0], 0)
    assert shares[0] == pytest.approx(float(sigma[0]), abs=0.04)
    assert shares[1] == pytest.approx(float(sigma[1]), abs=0.04)


@pytest.mark.parametrize(
    ("solver", "message"),
    [
        (lambda: Remasking(eta=2.0), "eta is in"),
        (lambda: Remasking(pause=0.5), "a loop has pause"),
        (lambda: Remasking(rounds=2), "a loop has pause"),
        (lambda: PredictorCorrector(Leap(), rounds=0), "at least 1, not"),
        (lambda: PredictorCorrector(Leap(), elements=0), "at least 1, not"),
    ],
)
def test_what_corrects_nothing_is_refused(solver, message):
    with pytest.raises(ValueError, match=message):
        solver()


def test_remasking_a_source_of_tokens_is_refused(rng):
    model = exact_model("uniform", POINTS, WEIGHTS, v=V)
    with pytest.raises(ValueError, match="Remasking reveals masks, but the source is Uniform"):
        drawn(model, Remasking(), torch.zeros(1, N, dtype=torch.int64), rng, steps=2)


@pytest.mark.parametrize("strength", ["cap", "rescale", "confidence"])
def test_one_step_of_remasking_draws_all(strength, rng):
    model = exact_model("mask", torch.arange(3)[:, None], torch.tensor([0.5, 0.3, 0.2]))
    x = torch.zeros(6000, 1, dtype=torch.int64)
    chains = drawn(model, Remasking(strength), x, rng, steps=1)
    assert (chains.nfe == 1).all()
    assert likelihood(chains.x, torch.tensor([0.5, 0.3, 0.2]).double(), 3) > 0.001


def test_a_strength_that_is_none():
    with pytest.raises(ValueError, match="strength is cap, rescale or confidence, not 'capped'"):
        texts.misspelt(Remasking(), strength="capped")
