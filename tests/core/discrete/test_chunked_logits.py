"""Readings: chunks change nothing but the memory."""

import torch
from torch.testing import assert_close

from feller.core.discrete import chunked_logits as reading
from feller.core.discrete.chunked_logits import Reading, read_chunks


def test_chunks_are_laid_end_to_end(monkeypatch):
    weights = torch.randn(10, requires_grad=True)

    def function(part):
        return weights[part] ** 2

    whole = read_chunks(function, 10, 7)
    (expected,) = torch.autograd.grad(whole.sum(), weights)
    monkeypatch.setattr(reading, "CHUNK", 21)  # three elements at a time
    seen = []
    parts = read_chunks(lambda part: seen.append(part) or function(part), 10, 7)
    assert seen == [slice(0, 3), slice(3, 6), slice(6, 9), slice(9, 10)]
    assert_close(parts, whole)
    assert_close(torch.autograd.grad(parts.sum(), weights)[0], expected)
    assert len(seen) == 8  # each again, backwards


def test_nothing_may_be_read():
    assert read_chunks(lambda part: torch.zeros(3)[part], 0, 5).shape == (0,)


def test_everything_is_read_unless_told():
    assert Reading(lambda logits, part: logits[:, 0]).where is None
