"""Draws where events fired: the law, rows on their own, and how little memory they take."""

import pytest
import torch
from scipy import stats
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from feller.core import random
from feller.core.generators import Atoms, Binned, Categorical, Jump, Mixture, draws
from feller.core.generators.draws import draw_where
from feller.core.spaces import Euclidean, Tokens

EDGES = torch.linspace(-1, 1, 9)


class Largest(TorchDispatchMode):
    """Records the largest tensor that is made, in numbers and in bytes."""

    numbers = size = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        known = {
            t.untyped_storage().data_ptr()
            for t in tree_leaves((args, kwargs or {}))
            if isinstance(t, torch.Tensor)
        }
        made = function(*args, **(kwargs or {}))
        for tensor in tree_leaves(made):
            if (
                isinstance(tensor, torch.Tensor)
                and tensor.untyped_storage().data_ptr() not in known
            ):
                self.numbers = max(
                    self.numbers, tensor.untyped_storage().nbytes() // tensor.itemsize
                )
                self.size = max(self.size, tensor.untyped_storage().nbytes())
        return made


@pytest.mark.parametrize("intensity", [0.02, 1.0, 1e9], ids=["few", "many", "all"])
@pytest.mark.parametrize("k", [8, 64])
@pytest.mark.parametrize("law", ["tokens", "bins"])
def test_no_tensor_is_made_beside_the_network_s_output(intensity, k, law, rng, monkeypatch):
    """Not of its size; the limit is lowered so that the test is quick."""
    monkeypatch.setattr(draws, "MOST", 2**14)
    b, n = 4, 20_000
    logits = torch.randn(b, n, k, generator=rng)
    if law == "tokens":
        x, destination = torch.zeros(b, n, dtype=torch.int64), Categorical(logits)
    else:
        x, destination = torch.zeros(b, n), Binned(logits, torch.linspace(-1, 1, k + 1))
    jump = Jump(torch.full((b, n), intensity), destination)
    for generators in (rng, random.rows(0, 0, b)):
        with Largest() as made:
            jump.step(Tokens(k), x, 1.0, generators)
        assert made.numbers <= max(2 * b * n, 2**14)  # an index of two axes
        assert made.size < logits.numel() * 4 / (1 if k == 8 else 3)


@pytest.mark.parametrize("per_row", [True, False])
@pytest.mark.parametrize("most", [1, 7, 64, 2**20])
def test_rows_do_not_depend_on_how_draws_are_cut(most, per_row, monkeypatch, rng):
    monkeypatch.setattr(draws, "MOST", most * 8)
    laws = Binned(torch.randn(6, 30, 8, generator=rng), EDGES)  # two draws from each generator
    chosen = torch.rand(6, 30, generator=rng) < torch.linspace(0, 1, 6)[:, None]
    generators = random.rows(0, 0, 6) if per_row else rng
    index, landed = draw_where(laws, chosen, generators)
    assert len(landed) == int(chosen.sum())
    assert torch.equal(
        torch.zeros(6, 30, dtype=torch.bool).index_put(index, torch.tensor(True)), chosen
    )
    if per_row:
        for row in range(6):
            alone = draw_where(
                laws.at(slice(row, row + 1)), chosen[row : row + 1], random.rows(0, row, row + 1)
            )
            assert torch.equal(alone[1], landed[index[0] == row])


@pytest.mark.parametrize("most", [64, 2**20])
def test_cut_draws_follow_the_law(most, monkeypatch, rng):
    monkeypatch.setattr(draws, "MOST", most)
    weights = torch.tensor([0.1, 0.2, 0.05, 0.65])
    laws = {
        "tokens": Categorical(weights.log().expand(1, 5000, 4)),
        "atoms": Atoms(weights.log().expand(1, 5000, 4), torch.arange(4.0)),
        "mixture": Mixture(
            weights.expand(1, 5000, 4), Categorical(torch.eye(4).log().expand(1, 5000, 4, 4))
        ),
    }
    chosen = torch.ones(1, 5000, dtype=torch.bool)
    for law in laws.values():
        counts = draw_where(law, chosen, rng)[1].long().bincount(minlength=4)
        assert (
            stats.chisquare(
                counts.numpy(), weights.double().numpy() / float(weights.double().sum()) * 5000
            ).pvalue
            > 1e-3
        )


def test_nothing_chosen_draws_nothing(rng):
    state = rng.get_state()
    for generators in (rng, random.rows(0, 0, 2), None):
        index, landed = draw_where(
            Binned(torch.zeros(2, 3, 8), EDGES), torch.zeros(2, 3, dtype=torch.bool), generators
        )
        assert len(landed) == len(index[0]) == 0
    assert torch.equal(rng.get_state(), state)
    x = torch.ones(2, 3)
    still = Jump(torch.zeros(2, 3), Binned(torch.zeros(2, 3, 8), EDGES))
    assert torch.equal(still.step(Euclidean(), x, 1.0, rng), x)
