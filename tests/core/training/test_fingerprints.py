import json

import numpy as np
import pytest
import torch

from feller.core.training.fingerprints import difference, fingerprint


class Items:
    def __init__(self, items, groups=None):
        self.items = items
        if groups is not None:
            self.groups = groups

    def __len__(self):
        return len(self.items)

    def __getitem__(self, indices):
        return {"items": [self.items[i] for i in indices], "name": "all"}


def test_the_same_data_have_the_same_and_json_holds_it():
    first, second = (fingerprint(Items(list(range(1000)))) for _ in range(2))
    assert first == second == json.loads(json.dumps(first))
    assert first["items"] == 1000
    assert difference(first, second) == ""


@pytest.mark.parametrize(
    ("items", "said"),
    [
        (list(range(1000))[::-1], "the items themselves are others"),
        (list(range(50)), "50 items, not 1000"),
        ([0, *range(1, 999), -1], "the items themselves are others"),
        ([float(i) for i in range(1000)], "the items themselves are others"),
    ],
)
def test_other_data_have_another(items, said):
    assert difference(fingerprint(Items(items)), fingerprint(Items(list(range(1000))))) == said


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (torch.zeros(2), torch.zeros(2, dtype=torch.int32)),
        (torch.zeros(2, 3), torch.zeros(3, 2)),
        (torch.zeros(2, dtype=torch.bfloat16), torch.ones(2, dtype=torch.bfloat16)),
        (torch.tensor(True), torch.tensor(False)),
        (np.zeros(2), np.ones(2)),
        ("a", b"a"),
        (["a", "b"], ["ab"]),
        ({"a": 1}, {"b": 1}),
        (None, 0),
    ],
)
def test_kind_shape_and_content_count(one, other):
    found = [fingerprint(Items([value]))["sample"] for value in (one, other, one)]
    assert found[0] == found[2] != found[1]


def test_lengths_count():
    now, before = (fingerprint(Items([1, 2], torch.tensor(g))) for g in ([1, 2], [2, 1]))
    assert difference(now, before) == "the lengths of items are others"


def test_an_object_is_its_kind_and_not_its_address():
    assert fingerprint(Items([object()])) == fingerprint(Items([object()]))


def test_items_that_are_drawn_have_no_sample():
    class Drawn(Items):
        def __getitem__(self, indices):
            return torch.rand(len(indices))

    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    found = fingerprint(Drawn([1, 2, 3]))
    assert found == {"items": 3, "groups": None, "sample": None}
    assert torch.rand(1).equal(expected)  # nor does it draw for others
    assert difference(found, fingerprint(Items([1, 2, 3]))) == ""
