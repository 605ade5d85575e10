"""What texts are like, whatever wrote them: how varied, how repetitive, whether they are Python.

Figures of samples mean something beside those of held-out text of the same length, tokenizer and
number.
"""

import bz2
import math
import textwrap
import warnings
from collections import Counter
from collections.abc import Sequence

import torch
from jaxtyping import Int
from torch import Tensor

from feller.core.intervals import Estimate, mean_estimate, wilson_interval

__all__ = [
    "compile_fraction",
    "compiles",
    "compression_ratio",
    "distinct",
    "entropy",
    "repetition",
    "whole_lines",
]


def entropy(ids: Int[Tensor, "b n"]) -> Estimate:
    """Return the entropy of the tokens within a text, in bits, averaged over texts.

    Each text's own frequencies count. It is low where texts repeat themselves; it grows with their
    length.

    Example:
        >>> entropy(torch.tensor([[0, 1], [2, 2]])).value
        0.5
    """
    return mean_estimate([_entropy(row) for row in ids.tolist()])


def distinct(ids: Int[Tensor, "b n"], n: int) -> float:
    """Return the fraction of different ones among the runs of `n` tokens of all texts.

    Source: Li et al., arXiv 1510.03055.

    Raises:
        ValueError: When the texts are shorter than a run.
    """
    runs = [run for row in ids.tolist() for run in _runs(row, n)]
    return len(set(runs)) / len(runs)


def repetition(ids: Int[Tensor, "b n"], n: int = 4) -> Estimate:
    """Return the fraction of a text's runs of `n` tokens seen before in it, averaged over texts.

    Source: Welleck et al., arXiv 1908.04319.

    Raises:
        ValueError: When the texts are shorter than a run.
    """
    each = [_runs(row, n) for row in ids.tolist()]
    return mean_estimate([1 - len(set(runs)) / len(runs) for runs in each])


def compression_ratio(texts: Sequence[str]) -> float:
    """Return the bytes of all texts over those of bz2: high where they repeat each other."""
    whole = "\f".join(texts).encode()
    return len(whole) / len(bz2.compress(whole))


def compiles(text: str) -> bool:
    """Return whether a text is Python, as far as the compiler knows; it is not run.

    Example:
        >>> compiles("x = 1"), compiles("x ="), compiles("")
        (True, False, False)
    """
    if not text.strip():
        return False
    try:
        with warnings.catch_warnings(action="ignore"):
            compile(text, "text", "exec")
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return False
    return True


def whole_lines(text: str, count: int) -> str | None:
    r"""Return the first `count` whole lines of a window of a file, shifted to the left margin.

    The line a window begins in is left out, and so is the one it ends in. None where too few
    remain.

    Example:
        >>> whole_lines("f x = 1\n    y\n    z\n en", 2)
        'y\nz\n'
    """
    lines = text.split("\n")[1:-1]
    if len(lines) < count:
        return None
    return textwrap.dedent("".join(f"{line}\n" for line in lines[:count]))


def compile_fraction(texts: Sequence[str], lines: int) -> Estimate:
    """Return the fraction of windows whose first whole lines compile, of those that have them.

    Raises:
        ValueError: When none has.
    """
    found = [part for text in texts if (part := whole_lines(text, lines)) is not None]
    return wilson_interval(sum(map(compiles, found)), len(found))


def _entropy(row: list[int]) -> float:
    counts = torch.tensor(list(Counter(row).values()), dtype=torch.float64)
    return float(torch.special.entr(counts / counts.sum()).sum()) / math.log(2)


def _runs(row: list[int], n: int) -> list[tuple[int, ...]]:
    if len(row) < n:
        raise ValueError(f"texts of {len(row)} tokens have no runs of {n}")
    return [tuple(row[i : i + n]) for i in range(len(row) - n + 1)]
