"""How text is sampled: solver, number of steps, and given text."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from numbers import Integral, Real
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor

from feller.core import random
from feller.core.checks import check_count
from feller.core.config import tagged
from feller.core.discrete.categorical import Shaping
from feller.core.discrete.models import rows_of
from feller.core.discrete.solvers import (
    TokenSolver,
    TokenState,
    check_token_solver,
    follow_turns,
    named_token_solver,
    token_state,
)
from feller.core.processes import shared
from feller.core.solvers import Evaluation
from feller.text.codec import TextCodec

__all__ = [
    "Context",
    "Sampling",
    "context",
    "draw_batches",
    "draw_texts",
    "follow_texts",
    "sampling_of",
    "shaping_for",
]

LONGEST = 2**20
"""Tokens of a text."""


@tagged("text/sampling")
@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How text is sampled.

    Attributes:
        solver: `leap` (tau-leaping) or `ancestral` for any source; for masks also `events` (first
            hitting; exact at as many steps as tokens), `confidence`, `margin` or `entropy`
            (confidence-based decoding) and `remask`; `corrected` for leaps, each followed by a
            Gibbs draw.
        steps: Steps of each block; solvers that reveal tokens one by one use about that many calls.
        temperature: Divides the logits; 0 takes the most likely token.
        top_k: Sample from this many of the most likely tokens; from all if None.
        top_p: Sample from the fewest most likely tokens whose probabilities sum to this; from all
            if None.
        block: Tokens per block, sampled from left to right; all at once if None.
        special: Also sample the tokenizer's special tokens, such as [PAD], [CLS] and [UNK]; ends of
            texts such as <|endoftext|> are always sampled.
        batch_size: Texts simulated at once.
    """

    solver: str = "leap"
    steps: int = 128
    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None
    block: int | None = None
    special: bool = False
    batch_size: int = 64

    def __post_init__(self) -> None:
        """Check the values."""
        check_token_solver(self.solver)
        for name in ("steps", "batch_size", "top_k", "block"):
            if (value := getattr(self, name)) is not None:
                _check_whole(name, value)
        if self.steps < 1 or self.batch_size < 1:
            raise ValueError(
                f"steps and batch_size are at least 1, not {self.steps, self.batch_size}"
            )
        Shaping(self.temperature, self.top_k, self.top_p)

    def solver_for(self, length: int, shaping: Shaping | None = None) -> TokenSolver:
        """Return the solver for a number of tokens to draw, in each block."""
        tokens = min(length, self.block or length)
        return named_token_solver(self.solver, tokens, self.steps, shaping or self.shaping)

    def times(self, solver: TokenSolver) -> list[float] | None:
        """Return the grid of each block; None for a solver with times of its own."""
        return None if solver.own_times else [i / self.steps for i in range(self.steps + 1)]

    @property
    def shaping(self) -> Shaping:
        """How a distribution is changed before a draw."""
        return Shaping(self.temperature, self.top_k, self.top_p)


class Context(NamedTuple):
    """The given and the free tokens of a text.

    Attributes:
        x: Tokens; only given ones are used.
        free: Which are drawn.
    """

    x: Int[Tensor, " n"]
    free: Bool[Tensor, " n"]


def context(
    codec: TextCodec, prompt: str = "", suffix: str = "", *, length: int | None = None
) -> Context:
    """Return a context that begins with a prompt and ends with a suffix.

    Args:
        codec: The model's codec.
        prompt: Its beginning.
        suffix: Its end.
        length: Tokens in total; the context length of the model if None.

    Raises:
        TokenizerError: When the tokenizer does not know a given text, or does not reproduce it.
        ValueError: When no token is left free, or `length` is not 1 to `LONGEST`.

    Example:
        >>> context(TextCodec(length=4), "a", "b").free
        tensor([False,  True,  True, False])
    """
    for name, text in (("prompt", prompt), ("suffix", suffix)):
        if not isinstance(text, str):
            raise ValueError(f"{name} is a text, the same for all, not {text!r}")
    n = codec.length if length is None else length
    _check_whole("length", n)
    first, last = (
        torch.tensor(codec.tokenizer.encode_exactly(text), dtype=torch.int64)
        for text in (prompt, suffix)
    )
    given = len(first) + len(last)
    if not 1 <= n <= LONGEST:
        bound = "at least 1" if n < 1 else f"at most {LONGEST:,}"
        raise ValueError(f"length is {bound}, not {n}")
    if given >= n:
        raise ValueError(
            f"the prompt and suffix have {given} tokens, and the context {n}: shorten them"
        )
    x, free = torch.zeros(n, dtype=torch.int64), torch.ones(n, dtype=torch.bool)
    x[: len(first)], free[: len(first)] = first, False
    x[n - len(last) :], free[n - len(last) :] = last, False
    return Context(x, free)


def draw_texts(
    model: Any, given: Context, n: int, sampling: Sampling, *, seed: int = 0, condition: Any = None
) -> TokenState:
    """Sample `n` texts; text i depends only on the seed and i.

    Args:
        model: The model.
        given: What is given of each.
        n: How many.
        sampling: How they are drawn.
        seed: Chooses them.
        condition: A label for each, or None.

    Returns:
        The state at its end: tokens, network calls, and when each token came.

    Raises:
        ValueError: When `n` is below 0, or there are not as many labels as texts.
    """
    check_count("n", n)
    parts = list(draw_batches(model, given, n, sampling, seed=seed, condition=condition))
    return TokenState.joined(parts)


def draw_batches(
    model: Any, given: Context, n: int, sampling: Sampling, *, seed: int = 0, condition: Any = None
) -> Iterator[TokenState]:
    """Yield what `draw_texts` returns a batch at a time, each as soon as it is done.

    Example:
        >>> from feller.text.recipes import shakespeare_mask
        >>> model = shakespeare_mask().model.build().eval()
        >>> given, how = context(model.codec, length=8), Sampling(steps=2, batch_size=2)
        >>> [len(batch.x) for batch in draw_batches(model, given, 3, how)]
        [2, 1]
    """
    _check_whole("n", n)
    _check_whole("seed", seed)
    if n < 0:
        raise ValueError(f"n is at least 0, not {n}")
    condition = _labels(condition, n, next(model.parameters()).device)
    size = sampling.batch_size

    def drawn(start: int) -> TokenState:
        rows = range(start, min(start + size, n))
        *_, last = follow_texts(model, given, rows, sampling, seed=seed, condition=condition)
        return last

    yield from shared(range(0, max(n, 1), size), drawn)


def follow_texts(
    model: Any,
    given: Context,
    rows: range,
    sampling: Sampling,
    *,
    seed: int = 0,
    condition: Any = None,
) -> Iterator[TokenState]:
    """Yield some of the texts at their start and after each step.

    Args:
        model: The model.
        given: What is given of each.
        rows: Which texts.
        sampling: How they are drawn.
        seed: Chooses them.
        condition: A label for each of all texts, or None.
    """
    device = next(model.parameters()).device
    x, free = (part.to(device).expand(len(rows), -1) for part in given)
    rng = random.rows(seed, rows.start, rows.stop, stream="sample")
    labels = rows_of(condition, torch.arange(rows.start, rows.stop))
    solver = sampling.solver_for(int(given.free.sum()), shaping_for(model, sampling))
    begun = token_state(model, x, rng, free=free, block=sampling.block)
    yield from follow_turns(Evaluation(model, labels), begun, sampling.times(solver), solver, rng)


def sampling_of(options: Mapping[str, Any]) -> Sampling:
    """Return how text is sampled, from options by name.

    Raises:
        ValueError: When one is unknown, of the wrong type or out of range.
    """
    known = [field.name for field in fields(Sampling)]
    for name in options.keys() - set(known):
        raise ValueError(f"unknown option {name!r} of sampling; there are {', '.join(known)}")
    for name, value in options.items():
        _check_kind(name, value)
    return Sampling(**options)


def _labels(condition: Any, n: int, device: torch.device) -> Any:
    """Return numbers of classes as a tensor with one for each text; other conditions as given."""
    if isinstance(condition, Sequence) and all(isinstance(c, Integral) for c in condition):
        condition = np.array(condition, dtype=np.int64)
    if isinstance(condition, np.ndarray):
        condition = torch.from_numpy(condition)
    if isinstance(condition, Integral):
        condition = torch.full((n,), int(condition))
    elif isinstance(condition, Real):
        raise ValueError(f"a label is a whole number, not {condition}")
    if isinstance(condition, Tensor) and condition.ndim and len(condition) != n:
        raise ValueError(f"there are {len(condition)} labels for {n} texts: give one for each")
    return condition.to(device) if isinstance(condition, Tensor) else condition


def shaping_for(model: Any, sampling: Sampling) -> Shaping:
    """Return how the draws of a model, which may be guided, are shaped: without special ids."""
    while not hasattr(model, "codec") and hasattr(model, "model"):
        model = model.model
    codec = getattr(model, "codec", None)
    if codec is None or sampling.special:
        return sampling.shaping
    without = tuple(sorted(codec.tokenizer.undrawn))
    if len(without) >= codec.vocabulary(has_mask=False).sampleable:
        raise ValueError("all tokens of the tokenizer are special: give --special, to draw them")
    return replace(sampling.shaping, without=without)


def _check_kind(name: str, value: object) -> None:
    """Raise an error if an option has the wrong type; None leaves some options out."""
    if value is None and name in ("top_k", "top_p", "block"):
        return
    if name == "special":
        if not isinstance(value, bool):
            raise ValueError(f"special is True or False, not {value!r}")
        return
    if name not in ("solver", "temperature", "top_p"):
        _check_whole(name, value)
        return
    kind, what = (str, "name") if name == "solver" else (Real, "number")
    if not isinstance(value, kind):
        raise ValueError(f"{name} is a {what}, not {value!r}")


def _check_whole(name: str, value: object) -> None:
    if not isinstance(value, Integral):
        raise ValueError(f"{name} is a whole number, not {value!r}")
