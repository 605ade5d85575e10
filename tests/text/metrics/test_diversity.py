"""Diversity: closed forms, and what the compiler says."""

import math

import pytest
import torch

from feller.text.metrics.diversity import (
    compile_fraction,
    compiles,
    compression_ratio,
    distinct,
    entropy,
    repetition,
    whole_lines,
)

CODE = "half a line\n    if x:\n        y = 1\n    z = 2\n    retu"


def test_entropies_are_those_of_the_frequencies():
    rows = torch.tensor([[0, 1, 2, 3], [0, 0, 0, 0], [0, 0, 1, 1]])
    assert entropy(rows).value == pytest.approx((2 + 0 + 1) / 3)
    uniform = torch.arange(64)[None].expand(2, -1)
    assert entropy(uniform).value == pytest.approx(6)


def test_runs_are_counted():
    rows = torch.tensor([[0, 1, 0, 1, 0], [0, 1, 2, 3, 4]])
    assert distinct(rows, 2) == pytest.approx(5 / 8)
    assert repetition(rows, 2).value == pytest.approx((0.5 + 0) / 2)
    for measure in (distinct, repetition):
        with pytest.raises(ValueError, match="texts of 5 tokens have no runs of 6"):
            measure(rows, 6)


def test_texts_that_repeat_compress():
    rng = torch.Generator().manual_seed(0)
    noise = "".join(chr(97 + i) for i in torch.randint(26, (2000,), generator=rng).tolist())
    assert compression_ratio([noise]) < 8 / math.log2(26) * 1.01
    assert compression_ratio(["the same text. "] * 100) > 10


@pytest.mark.parametrize(
    ("text", "fine"),
    [
        ("def f():\n    return 1\n", True),
        ("print 1", False),
        ("", False),
        (" \n", False),
        ("x = '\x00'", False),
        ("(" * 1000, False),
        ("'\\d'", True),  # a warning is no error
    ],
)
def test_what_compiles(text, fine):
    assert compiles(text) is fine


def test_lines_that_are_whole():
    assert whole_lines(CODE, 2) == "if x:\n    y = 1\n"
    assert whole_lines(CODE, 3) == "if x:\n    y = 1\nz = 2\n"
    assert whole_lines(CODE, 4) is None
    assert whole_lines("no line", 1) is None


def test_fractions_are_of_those_that_have_the_lines():
    share = compile_fraction([CODE, "a\nb c\nd", "short"], 1)
    assert share.value == 0  # `if x:` alone is no Python, nor is `b c`
    assert compile_fraction([CODE, "short"], 2).value == 1
    with pytest.raises(ValueError, match="at least one trial"):
        compile_fraction(["short"], 1)
