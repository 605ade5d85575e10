"""Pairs: they look like batches of states, and both ends move together."""

import pytest
import torch
from torch.testing import assert_close

from feller.core.pairs import Pair, PairBatch, is_pair, states_of

PAIR = Pair(torch.arange(6.0).view(3, 2), torch.arange(6.0, 12.0).view(3, 2))


def test_a_pair_has_the_shape_of_its_states():
    assert PAIR.shape == (3, 2)
    assert (len(PAIR), PAIR.ndim, PAIR.numel()) == (3, 2, 6)
    assert PAIR.dtype == torch.float32
    assert PAIR.device == torch.device("cpu")


@pytest.mark.parametrize("index", [slice(1, 3), [0, 2], torch.tensor([2, 2, 0]), None, 1], ids=str)
def test_both_ends_are_indexed_alike(index):
    assert_close(PAIR[index].x_0, PAIR.x_0[index])
    assert_close(PAIR[index].x_1, PAIR.x_1[index])


def test_both_ends_move_and_expand():
    assert PAIR.to(torch.float64).x_0.dtype == torch.float64
    assert PAIR[:1].expand_as(torch.zeros(5, 2)).shape == (5, 2)
    assert_close(PAIR.map(lambda x: 2 * x).x_0, 2 * PAIR.x_0)


def test_ends_of_two_shapes_are_refused():
    with pytest.raises(ValueError, match=r"one shape, not \(3, 1\) and \(2, 1\)"):
        Pair(torch.zeros(3, 1), torch.zeros(2, 1))


def test_a_batch_of_pairs_moves_with_its_conditions():
    moved = PairBatch(PAIR, torch.tensor([1, 2, 3])).to("meta")
    assert moved.pair.device.type == moved.condition.device.type == "meta"
    assert PairBatch(PAIR).to("meta").condition is None


def test_a_batch_of_pairs_is_not_encoded():
    batch = PairBatch(PAIR, "told")
    assert states_of(batch, lambda raw: pytest.fail("no codec")) == (PAIR, "told")
    assert states_of(3, lambda raw: (raw + 1, None)) == (4, None)
    assert is_pair(PAIR)
    assert not is_pair(PAIR.x_0)
