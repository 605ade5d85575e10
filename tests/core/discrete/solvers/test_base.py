"""What holds of every solver: given tokens stay, rows are alone, only tokens come out."""

import pytest
import torch
from chains import SOURCES, drawn, every_sequence, exact_model, grid, random_law
from scipy import stats

from feller.core import random
from feller.core.discrete.categorical import Shaping
from feller.core.discrete.solvers import (
    Adaptive,
    Ancestral,
    FirstHitting,
    GuidedAncestral,
    Leap,
    PredictorCorrector,
    Remasking,
    TokenSolver,
    follow_turns,
    token_state,
)
from feller.core.solvers import Evaluation

ANY = [
    (Leap(), 5),
    (Ancestral(), 5),
    (GuidedAncestral(), 5),
    (PredictorCorrector(Leap()), 4),
    (PredictorCorrector(Ancestral(), 2, 2), 3),
]
MASKS = [
    (FirstHitting(), None),
    (FirstHitting(2), 3),
    (Adaptive("confidence"), None),
    (Adaptive("margin", 2), 4),
    (Adaptive("entropy", bound=0.1), None),
    (Remasking("cap", 0.2), 6),
    (Remasking("rescale", 0.9), 6),
    (Remasking("confidence", 0.9), 6),
    (Remasking("cap", 0.3, pause=0.6, rounds=4), 4),
]
PAIRS = [(noise, *how) for noise in SOURCES for how in ANY] + [("mask", *how) for how in MASKS]
every_pair = pytest.mark.parametrize(("noise", "solver", "steps"), PAIRS, ids=str)
TWO = ("mask", "mask+uniform")
V, N = 3, 5
POINTS, WEIGHTS = random_law(V, N, seed=5)


def model_of(noise):
    return exact_model(noise, POINTS, WEIGHTS, v=V, parametrization="leave_one_out")


def test_every_solver_is_tested():
    ours = {c for c in TokenSolver.__subclasses__() if c.__module__.startswith("feller.")}
    assert ours == {type(solver) for _, solver, _ in PAIRS}


@every_pair
def test_what_is_given_stays_and_only_tokens_come_out(noise, solver, steps, rng):
    """P14, P15: a prompt, a suffix, both, in one batch; a row with nothing free costs nothing."""
    x = torch.randint(V, (40, N), generator=rng)
    free = torch.rand(40, N, generator=rng) < 0.6
    free[0], free[1] = False, True
    free[2], free[3] = torch.arange(N) > 1, torch.arange(N) < 3
    model = model_of(noise)
    chains = drawn(model, solver, x, rng, steps=steps, free=free)
    assert torch.equal(chains.x[~free], x[~free])
    assert ((chains.x >= 0) & (chains.x < V)).all()
    assert chains.nfe[0] == 0
    assert not chains.call[~free].any()
    assert chains.reached.eq(1).all()


@pytest.mark.parametrize("block", [None, 2])
@pytest.mark.parametrize(("noise", "solver", "steps"), [p for p in PAIRS if p[0] in TWO], ids=str)
def test_a_row_is_the_same_alone(noise, solver, steps, block):
    """P14: token for token, whatever else is in the batch; its calls and its history too."""
    model, x = model_of(noise), torch.zeros(6, N, dtype=torch.int64)
    free = torch.ones(6, N, dtype=torch.bool)
    free[2:4, :2] = False

    def run(start, stop):
        rng = random.rows(7, start, stop)
        how = {"steps": steps, "free": free[start:stop], "block": block}
        return drawn(model, solver, x[start:stop], rng, **how)

    together = run(0, 6)
    for start, stop in ((0, 1), (3, 4), (2, 5)):
        alone = run(start, stop)
        for name in ("x", "nfe", "call"):
            assert torch.equal(getattr(alone, name), getattr(together, name)[start:stop]), name
        for name in ("level", "log_prob"):
            torch.testing.assert_close(getattr(alone, name), getattr(together, name)[start:stop])


@pytest.mark.parametrize("noise", SOURCES)
def test_given_tokens_condition_the_rest(noise, rng):
    """Infilling: the middle of three, given both ends, has its conditional law."""
    points, weights = random_law(V, 3, seed=2)
    model = exact_model(noise, points, weights, v=V, parametrization="leave_one_out")
    x = torch.tensor([[2, 0, 1]]).expand(6000, 3)
    free = torch.tensor([False, True, False]).expand(6000, 3)
    chains = drawn(model, Leap(), x, rng, steps=3, free=free)
    joint = weights.view(V, V, V)[2, :, 1]
    counts = chains.x[:, 1].bincount(minlength=V)
    assert stats.chisquare(counts, 6000 * joint / joint.sum()).pvalue > 0.001


@pytest.mark.parametrize("noise", SOURCES)
def test_blocks_of_one_are_exact_after_any_steps(noise, rng):
    """Left to right, one token a block: the chain rule, each factor a lone token."""
    points, weights = random_law(V, 2)
    model = exact_model(noise, points, weights, v=V)
    x = torch.zeros(6000, 2, dtype=torch.int64)
    chains = drawn(model, Leap(), x, rng, steps=2, block=1)
    counts = (chains.x @ torch.tensor([V, 1])).bincount(minlength=V * V)
    assert stats.chisquare(counts, 6000 * weights).pvalue > 0.001


def test_blocks_come_from_left_to_right(rng):
    model, x = model_of("mask"), torch.zeros(20, N, dtype=torch.int64)
    free = torch.arange(N).expand(20, N) != 2
    begun = token_state(model, x, rng, free=free, block=2)
    for chains in follow_turns(Evaluation(model), begun, grid(3), Leap(), rng):
        masked = chains.x == V
        started = ~masked & free
        for block in ([0, 1], [3]):
            later = [i for i in range(N) if i // 2 > block[0] // 2 and i != 2]
            waits = masked[:, block].any(1)
            assert not started[waits][:, later].any()
    assert not (chains.x == V).any()


def test_temperature_zero_is_certain(rng):
    model, x = model_of("mask"), torch.zeros(50, N, dtype=torch.int64)
    cold = drawn(model, Adaptive(shaping=Shaping(temperature=0.0)), x, rng).x
    assert (cold == cold[0]).all()


def test_conditions_follow_their_rows(rng):
    """Rows leave the batch, and the label of a row goes with it."""
    sequences = every_sequence(2, 3)

    class Labelled(type(model_of("mask"))):
        def logits(self, x, kappa, condition=None, *, where=None):
            wanted = torch.nn.functional.one_hot(sequences[condition], 2).double().log()
            return wanted[where]

    plain = exact_model("mask", sequences, torch.ones(8))
    model = Labelled(plain.path, plain.vocabulary, plain.points, plain.weights)
    labels = torch.arange(8)
    for condition in (labels, labels.tolist()):
        for solver, steps in ((Leap(), 4), (FirstHitting(), None)):
            x = torch.zeros(8, 3, dtype=torch.int64)
            found = drawn(model, solver, x, rng, steps=steps, condition=condition)
            assert torch.equal(found.x, sequences)


def test_an_empty_batch_and_empty_texts(rng):
    for shape in ((0, 4), (3, 0)):
        x = torch.zeros(shape, dtype=torch.int64)
        assert drawn(model_of("mask"), Leap(), x, rng, steps=2).x.shape == shape
