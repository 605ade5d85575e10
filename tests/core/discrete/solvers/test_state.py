"""The state of a batch: turns, kappas, and what `token_state` refuses."""

from dataclasses import replace

import pytest
import torch
from chains import exact_model, random_law

from feller.core import random
from feller.core.discrete.models import rows_of
from feller.core.discrete.solvers import token_state

MODEL = exact_model("mask", *random_law(3, 4), v=3)
X = torch.tensor([[0, 1, 2, 1], [2, 2, 0, 0]])
FREE = torch.tensor([[False, True, True, True], [False, False, False, True]])


def test_what_is_free_starts_at_the_source():
    chains = token_state(MODEL, X, free=FREE)
    assert torch.equal(chains.x, torch.where(FREE, 3, X))
    assert torch.equal(chains.open, FREE)
    assert torch.equal(chains.kappa, (~FREE).double())


def test_blocks_open_one_after_the_other():
    chains = token_state(MODEL, X, free=FREE, block=2)
    assert chains.open.tolist() == [[False, True, False, False], [False, False, False, True]]
    assert chains.kappa[0].tolist() == [1, 0, 0, 0]
    part = chains.rows(torch.tensor([0]))
    over = type(part)(**{**vars(part), "reached": torch.ones(1).double()}).next_turn()
    assert over.open[0].tolist() == [False, False, True, True]
    assert over.reached[0] == over.due[0] == 0
    both = chains.put(torch.tensor([0]), over)
    assert both.open[1].tolist() == [False, False, False, True]
    assert both.kappa[0].tolist() == [1, 1, 0, 0]


def test_a_row_with_nothing_free_is_done():
    chains = token_state(MODEL, X, free=FREE & torch.tensor([[True], [False]]))
    assert chains.reached.tolist() == [0, 1]


def test_arrivals_are_recorded():
    chains = token_state(MODEL, X, free=FREE)
    where = torch.zeros_like(FREE)
    where[0, 2] = where[1, 3] = True
    after = chains.arrive(where, torch.tensor([1, 0]), torch.tensor([-1.0, -2.0]).double())
    assert after.x.tolist() == [[0, 3, 1, 3], [2, 2, 0, 0]]
    assert after.log_prob[where].tolist() == [-1, -2]
    assert not after.log_prob[~where].any()


def test_a_token_that_is_drawn_again_has_not_changed():
    chains = replace(token_state(MODEL, X, free=FREE), nfe=torch.tensor([3, 3]))
    late, none = torch.tensor([0.5, 0.5]).double(), torch.zeros(5).double()
    first = chains.arrive(FREE, torch.tensor([0, 1, 2, 0])[: FREE.sum()], none[: FREE.sum()])
    assert first.call.tolist() == [[0, 3, 3, 3], [0, 0, 0, 3]]
    again = replace(first, nfe=torch.tensor([4, 4]), reached=late)
    where = torch.zeros_like(FREE)
    where[0, 1] = where[0, 2] = True
    after = again.arrive(where, torch.tensor([0, 2]), none[:2])
    assert after.call.tolist() == [[0, 3, 4, 3], [0, 0, 0, 3]]
    assert after.level.tolist() == [[0, 0, 0.5, 0], [0, 0, 0, 0]]


@pytest.mark.parametrize(
    ("token", "message"), [(4, r"0 \.\.\. 2, these 0 \.\.\. 4"), (3, "these 0"), (-1, "-1")]
)
def test_a_given_token_of_another_vocabulary_is_refused(token, message):
    x = X.clone()
    x[0, 0] = token
    with pytest.raises(ValueError, match=message):
        token_state(MODEL, x, free=FREE)
    token_state(MODEL, x)  # nothing is given: only the shape counts


def test_a_block_without_tokens_is_refused():
    with pytest.raises(ValueError, match="at least one token, not 0"):
        token_state(MODEL, X, block=0)


def test_rows_take_their_rng_and_condition_along():
    index = torch.tensor([2, 0])
    rng = random.rows(0, 0, 3)
    assert rows_of(rng, index) == [rng[2], rng[0]]
    assert rows_of(rng[0], index) is rng[0]
    assert rows_of(None, index) is None
    assert rows_of(torch.arange(3), index).tolist() == [2, 0]
    assert rows_of(["a", "b", "c"], index) == ["c", "a"]
    assert rows_of("abc", index) == "abc"
    named = rows_of({"kind": torch.arange(3), "size": None}, index)
    assert named["kind"].tolist() == [2, 0] and named["size"] is None
    assert rows_of(torch.tensor(1), index) == 1
    assert rows_of(None, index) is None
