"""Sizes: a billion blocks are refused in seconds, and nothing else changes."""

import threading

import pytest
import torch
from torch import nn

from feller.core.sizes import MODULES, SizeError, build_within, memory_limit


def blocks(count, width=4):
    return lambda: nn.Sequential(*(nn.Linear(width, width) for _ in range(count)))


def test_what_fits_is_built_with_the_same_weights():
    torch.manual_seed(3)
    plain = blocks(5)()
    torch.manual_seed(3)
    built = build_within(blocks(5), 100)
    assert all(a.equal(b) for a, b in zip(plain.parameters(), built.parameters(), strict=True))
    assert next(built.parameters()).device.type == "cpu"


@pytest.mark.parametrize(
    "build",
    [
        blocks(6),
        lambda: nn.Sequential(*(nn.Linear(10, 10) for _ in iter(int, 1))),
        lambda: nn.Linear(10**8, 10**8),
    ],
    ids=["six", "endless", "wide"],
)
def test_more_is_refused_before_it_is_built(build):
    with pytest.raises(SizeError, match=r"^it has more than 100 numbers$"):
        build_within(build, 100)
    nn.Linear(100, 100)  # and nothing is counted any longer


def test_parts_without_numbers_are_counted(monkeypatch):
    assert MODULES > 10**5
    monkeypatch.setattr("feller.core.sizes.MODULES", 50)

    def build():
        chain = nn.Sequential()
        for _ in range(60):
            chain.append(nn.Identity())
        return chain

    with pytest.raises(SizeError, match="more than 50 parts"):
        build_within(build, 100)


def test_tables_are_counted_by_themselves():
    assert build_within(lambda: nn.BatchNorm1d(30, affine=False), 10).num_features == 30
    with pytest.raises(SizeError, match="its tables have more than 100,000,000 numbers"):
        build_within(lambda: nn.BatchNorm1d(10**8, affine=False), 10)


def test_models_of_other_threads_are_not_counted():
    def build():
        other = threading.Thread(target=lambda: nn.Linear(100, 100))
        other.start()
        other.join()
        return nn.Linear(2, 2)

    build_within(build, 6)


def test_what_is_not_made_for_the_meta_device_is_built():
    built = build_within(lambda: nn.Linear(int(torch.full((), 3.0).item()), 2), 100)
    assert built.in_features == 3


def test_what_is_wrong_is_told_as_it_is():
    with pytest.raises(RuntimeError, match="overflow"):
        build_within(lambda: nn.Linear(10**12, 10**12), 10**9)


def test_memory_holds_a_model():
    assert memory_limit() > 10**8
