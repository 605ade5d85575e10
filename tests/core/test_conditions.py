import torch

from feller.core.conditions import NOTHING, dropped, rows_of


def test_rows_of_whatever_a_condition_is():
    both = {"class": torch.arange(4), "size": torch.arange(8.0).reshape(4, 2), "text": None}
    part = rows_of(both, slice(1, 3))
    assert part["class"].tolist() == [1, 2]
    assert part["size"].shape == (2, 2) and part["text"] is None
    assert rows_of(None, slice(1)) is None


def test_dropped_rows_say_nothing():
    where = torch.tensor([True, False])
    both = {"class": torch.tensor([3, 4]), "size": torch.ones(2, 3, 1)}
    found = dropped(both, where)
    assert found["class"].tolist() == [NOTHING, 4]
    assert found["size"][0].isnan().all() and found["size"][1].eq(1).all()
    assert dropped(None, where) is None
