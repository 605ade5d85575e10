"""Solvers by name: each draws the joint distribution beside numbers, and what is given stays."""

import pytest
import torch
from scipy import stats

from feller.core.discrete.categorical import Shaping
from feller.core.discrete.solvers import TOKEN_SOLVERS, ByFactor, named_token_solver
from feller.core.heads import FlowHead, PosteriorHead, ProductHead
from feller.core.models import GeneratorModel
from feller.core.paths import GaussianPath, MixturePath, ProductPath
from feller.core.solvers import EndWithEstimate, Euler, simulate
from feller.core.sources import Masked
from feller.core.spaces import Tokens

MASK, STEPS = 3, 40
PATH = ProductPath({"position": GaussianPath(), "residue": MixturePath(Tokens(4), Masked(MASK))})
RESIDUES = torch.tensor([[0, 0, 1], [1, 1, 1], [2, 0, 1], [1, 2, 0]])
WEIGHTS = torch.tensor([0.4, 0.3, 0.2, 0.1], dtype=torch.float64)
HEAD = ProductHead({"position": FlowHead("x_1"), "residue": PosteriorHead(MASK)})
ONE_BY_ONE = ("events", "confidence", "margin", "entropy")


def exact(x, t, condition):
    """Residues by their posterior; positions are all at 2."""
    fits = ((x["residue"][:, None] == RESIDUES) | (x["residue"][:, None] == MASK)).all(-1)
    fits = fits | ~fits.any(1, keepdim=True)  # two revealed at once may fit no data
    posterior = fits * WEIGHTS
    posterior = posterior / posterior.sum(1, keepdim=True)
    probabilities = torch.einsum("bk,knv->bnv", posterior, torch.eye(3).double()[RESIDUES])
    return {
        "position": torch.full_like(x["position"], 2.0),
        "residue": probabilities.float().log(),
    }


def drawn(name, rng, n=2000, given=None):
    """Residues, of which the last may be given, beside positions that end with the estimate."""
    like = {"position": torch.zeros(1), "residue": torch.zeros(1, dtype=torch.int64)}
    x_0 = PATH.sample_source({"position": (n, 3), "residue": (n, 3)}, rng, like=like)
    grid = torch.linspace(0, 1, STEPS + 1)
    clock = grid[:, None, None].expand(-1, n, 3).clone()
    if given is not None:
        x_0["residue"][:, 2], clock[..., 2] = given, 1.0
    solver = named_token_solver(name, 3, STEPS, Shaping())
    by_factor = ByFactor({"position": EndWithEstimate(Euler()), "residue": solver})
    model = GeneratorModel(exact, PATH, HEAD)
    return simulate(model, x_0, {"position": grid, "residue": clock}, by_factor, rng)


def counts_of(name, residues):
    """How often each sequence of the data came out: one by one always, by leaps nearly."""
    same = (residues[:, None] == RESIDUES).all(-1)
    assert same.any(1).double().mean() >= (1 if name in ONE_BY_ONE else 0.95)
    return same.sum(0)


@pytest.mark.parametrize("name", TOKEN_SOLVERS)
def test_the_distribution_comes_out(name, rng):
    found = drawn(name, rng).state
    counts = counts_of(name, found["residue"])
    assert stats.chisquare(counts, WEIGHTS * counts.sum()).pvalue > 0.001
    assert (found["position"] == 2).all()


@pytest.mark.parametrize("name", TOKEN_SOLVERS)
def test_what_has_a_clock_of_1_is_given(name, rng):
    """Of those that end in 1: 4 to 3 to 2."""
    found = drawn(name, rng, given=1).state["residue"]
    assert (found[:, 2] == 1).all()
    counts = counts_of(name, found)
    expected = torch.tensor([4.0, 3.0, 2.0]).double() / 9 * counts.sum()
    assert stats.chisquare(counts[:3], expected).pvalue > 0.001


def test_frames_end_at_the_cost_of_one_call(rng):
    assert drawn("leap", rng, 4).nfe == STEPS + 1


def test_what_is_given_whole_costs_nothing(rng):
    """A clock of 1 for every residue, at every step."""
    model = GeneratorModel(exact, PATH, HEAD)
    x = {"position": torch.zeros(2, 3), "residue": RESIDUES[:2]}
    ones, grid = torch.ones(3, 2, 3), torch.tensor([0.0, 0.5, 1.0])
    solver = ByFactor(
        {"position": Euler(), "residue": named_token_solver("events", 3, 2, Shaping())}
    )
    found = simulate(model, x, {"position": grid, "residue": ones}, solver, rng)
    assert found.state["residue"].equal(RESIDUES[:2])
    assert found.nfe == 2


def test_other_clocks_of_elements_are_refused(rng):
    model = GeneratorModel(exact, PATH, HEAD)
    x = {"position": torch.zeros(1, 3), "residue": RESIDUES[:1]}
    grid = torch.tensor([0.0, 0.5, 1.0])
    clock = grid[:, None, None] * torch.tensor([1.0, 0.5, 1.0])
    solver = ByFactor({"position": Euler(), "residue": named_token_solver("leap", 3, 2, Shaping())})
    with pytest.raises(ValueError, match="keep one time a row, and 1 for what is given"):
        simulate(model, x, {"position": grid, "residue": clock}, solver, rng)


def test_steps_are_shared_out():
    assert named_token_solver("events", 8, 3, Shaping()).per_call == 3
    assert named_token_solver("margin", 8, 100, Shaping()).per_call == 1


def test_an_unknown_name_is_refused():
    with pytest.raises(ValueError, match="unknown solver 'gibbs'; there are leap, ancestral, ev"):
        named_token_solver("gibbs", 8, 3, Shaping())
