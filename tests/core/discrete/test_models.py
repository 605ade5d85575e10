"""Any model on a mixture path of tokens is a token model: its posterior is that of Bayes' rule."""

import pytest
import torch
from chains import SOURCES, drawn, every_state, exact_model, likelihood, posterior, random_law
from torch.testing import assert_close

from feller.core.discrete.models import PosteriorTokens, rows_of, time_of, token_model
from feller.core.discrete.solvers import (
    Adaptive,
    Ancestral,
    FirstHitting,
    Leap,
    PredictorCorrector,
    Remasking,
    token_state,
)
from feller.core.generators import Jump
from feller.core.guidance import Guided
from feller.core.heads import PosteriorHead
from feller.core.models import GeneratorModel
from feller.core.paths import MixturePath
from feller.core.posteriors import FiniteData
from feller.core.schedules import CondOT, Cosine, Polynomial
from feller.core.solvers import simulate
from feller.core.sources import Masked
from feller.core.spaces import Tokens

V, N = 3, 2
POINTS, WEIGHTS = random_law(V, N)
SOLVERS = [
    (FirstHitting(), None),
    (FirstHitting(), 5),
    (Adaptive(), None),
    (Leap(), 150),
    (Ancestral(), 150),
    (PredictorCorrector(Leap()), 40),
    (Remasking("cap", 0.2), 150),
]


def grid(steps):
    return None if steps is None else [i / steps for i in range(steps + 1)]


@pytest.mark.parametrize("schedule", [CondOT(), Cosine(), Polynomial(3.0)], ids=str)
def test_the_time_of_a_mixing_weight(schedule):
    t = torch.tensor([0.0, 1e-3, 0.3, 0.9, 1.0]).double()
    assert_close(time_of(schedule, schedule.alpha(t)), t, atol=2e-8, rtol=0)


@pytest.mark.parametrize("noise", SOURCES)
@pytest.mark.parametrize("schedule", [CondOT(), Cosine()], ids=str)
def test_a_jump_tells_the_posterior(noise, schedule):
    """Of exact data, whose jumps leave out those to where a state is; beside the enumerated one."""
    exact = exact_model(noise, POINTS, WEIGHTS, v=V, schedule=schedule)
    model = FiniteData(exact.path, Jump, POINTS, WEIGHTS)
    tokens = token_model(model, (N,))
    states = every_state(exact, N)
    known = posterior(exact, states, 0.4)
    possible = known.sum(-1) > 0
    found = tokens.logits(states, torch.full((len(states),), 0.4)).exp().double()
    assert_close(found[possible], known[..., :V][possible], atol=1e-5, rtol=1e-4)
    where = torch.zeros_like(states, dtype=torch.bool)
    where[1, 0] = True
    rows = tokens.logits(states, torch.full((len(states),), 0.4), where=where)
    assert_close(rows.exp()[0], found[1, 0].to(rows))


@pytest.mark.parametrize(("solver", "steps"), SOLVERS, ids=str)
def test_exact_data_come_out(solver, steps, rng):
    path = MixturePath(Tokens(V + 1), Masked(V))
    model = FiniteData(path, Jump, POINTS, WEIGHTS)
    simulation = simulate(model, path.sample_source((2000, N), rng), grid(steps), solver, rng)
    assert likelihood(simulation.state, WEIGHTS, V) > 0.001
    assert simulation.nfe >= N


def test_a_head_on_pixels_is_simulated_as_the_core_does(rng):
    """An image of two by two pixels of three levels, each with its own distribution."""
    law = torch.rand(2, 2, 3, generator=rng) + 0.1
    law = law / law.sum(-1, keepdim=True)

    def network(x, t, condition):
        return law.log().expand(*x.shape, 3)

    path = MixturePath(Tokens(4, event_dim=2), Masked(3))
    model = GeneratorModel(network, path, PosteriorHead(3))
    for solver, steps in SOLVERS:
        x_0 = path.sample_source((1000, 2, 2), rng)
        state = simulate(model, x_0, grid(steps and 10), solver, rng).state
        assert state.shape == (1000, 2, 2)
        found = torch.nn.functional.one_hot(state, 3).float().mean(0)
        assert (found - law).abs().max() < 0.08


def test_part_of_an_image_is_given(rng):
    path = MixturePath(Tokens(4, event_dim=2), Masked(3))
    model = GeneratorModel(lambda x, t, c: torch.zeros(*x.shape, 3), path, PosteriorHead(3))
    x, free = torch.full((5, 2, 2), 2), torch.ones(5, 2, 2, dtype=torch.bool)
    free[:, 0] = False
    begun = token_state(model, x, rng, free=free)
    last = simulate(model, begun, [0.0, 0.5, 1.0], Leap(), rng).state
    assert (last.tokens[:, 0] == 2).all() and (last.tokens < 3).all()


def test_a_guided_head_bends_the_draws(rng):
    plain, labelled = torch.tensor([0.5, 0.3, 0.2]), torch.tensor([0.1, 0.2, 0.7])

    def network(x, t, condition):
        return (plain if condition is None else labelled).log().expand(*x.shape, 3)

    path = MixturePath(Tokens(4), Masked(3))
    guided = Guided(GeneratorModel(network, path, PosteriorHead(3)), 2.0)
    found = drawn(guided, Leap(), torch.zeros(6000, 1).long(), rng, steps=1, condition=1)
    bent = (labelled**2 / plain).double()
    assert likelihood(found.x, bent / bent.sum(), 3) > 0.001
    assert (found.nfe == 2).all()


def test_what_is_no_posterior_is_refused():
    path = MixturePath(Tokens(4), Masked(3))
    model = GeneratorModel(lambda x, t, c: torch.zeros(*x.shape, 3), path, PosteriorHead(3))
    both = 0.5 * model + 0.5 * model
    with pytest.raises(ValueError, match="one jump along the path"):
        token_model(both, (2,)).logits(torch.full((1, 2), 3), torch.zeros(1))
    with pytest.raises(ValueError, match="the mask is the last of 4 ids, not 0"):
        PosteriorTokens(FiniteData(MixturePath(Tokens(4), Masked(0)), Jump, POINTS + 1), (2,))


def test_rows_of_what_has_rows():
    index = torch.tensor([1])
    assert rows_of("ab", index) == "ab"
    assert rows_of(torch.tensor(3), index) == 3
    assert rows_of([1, 2], index) == [2]
