"""Figures of a text model: its likelihood on a text, and the quality of its samples.

Likelihoods are in bits per byte of the text, independent of the tokenizer. A text is cut into
windows of the model's context, each of which the model sees alone; what a window adds is an upper
bound for a chain and exact for the autoregressive baseline.
"""

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from feller.core import random
from feller.core.cards import Metric
from feller.core.discrete.likelihood import bits_per_byte
from feller.core.intervals import Estimate
from feller.core.processes import shared
from feller.text.corpora import DataError
from feller.text.data import TextData
from feller.text.metrics.diversity import (
    compile_fraction,
    compression_ratio,
    distinct,
    entropy,
    repetition,
)
from feller.text.metrics.mauve import frontier_score
from feller.text.sampling import Sampling, context
from feller.text.tokenizers import Tokenizer

__all__ = ["features", "likelihood", "variety", "windows_of"]

Split = Literal["train", "test"]
LINES = (1, 2, 4, 8)
BATCH = 32
ENOUGH = 20  # documents, for an interval over them


@dataclass(frozen=True)
class Window:
    """A part of a document, as a model's context holds it.

    Attributes:
        ids: Its tokens.
        bytes: Bytes of text it stands for; that of all windows of a document is its size.
        document: The number of its document.
        exact: Whether the tokenizer reproduces the document exactly.
    """

    ids: Int[Tensor, " n"]
    bytes: float
    document: int
    exact: bool = True


def windows_of(model: Any, data: TextData, split: Split = "train") -> list[Window]:
    """Cut the documents of a split into windows; the last of a document may be short.

    An end of document, where the model has one, is a token of the last window: it has no bytes of
    its own, and what it costs is counted. Of a document that its ids do not give back, no more
    bytes count than they do, and none of what is unknown: bits per byte would be too few.

    Raises:
        DataError: When the split is empty.
        TokenizerError: When it holds something the model's tokenizer does not know.
    """
    codec, windows = model.codec, []
    ours = replace(data, tokenizer=codec.tokenizer, has_end=codec.has_end)
    texts = (document for document in ours.texts(split) if document.text)
    for number, document in enumerate(texts):
        ids = ours.encode(document)
        exact, size = _kept(codec.tokenizer, ids[: len(ids) - ours.has_end], document.text)
        part_size = size / max(1, len(ids))
        parts = torch.tensor(ids, dtype=torch.int64).split(codec.length)
        windows += [
            Window(part, part_size * len(part), number, exact) for part in parts if len(part)
        ]
    if not windows:
        raise DataError(f"the {split} split of {data.path or data.source} is empty")
    return windows


def _kept(tokenizer: Tokenizer, ids: list[int], text: str) -> tuple[bool, int]:
    """Return whether ids give a text back, and how many bytes of it they do."""
    size = len(text.encode("utf-8", "surrogateescape"))
    if tokenizer.decode(ids) == text:
        return True, size
    known = tokenizer.decode([i for i in ids if i != tokenizer.unknown])
    return False, min(size, len(known.encode()))


def likelihood(
    model: Any, data: TextData, split: Split = "train", *, draws: int = 8, seed: int = 0
) -> list[Metric]:
    """Measure the bits per byte of a text, and per token.

    The interval is over documents where there are at least twenty, else over windows.

    Args:
        model: A chain or the baseline.
        data: The text; its tokenizer, length and cache are ignored.
        split: Which part of it.
        draws: Noisy states of each window, for a chain.
        seed: Chooses them.

    Raises:
        DataError: When the text is missing or empty.
        TokenizerError: When it holds something the model's tokenizer does not know.
    """
    windows = windows_of(model, data, split)
    nats = _nats(model, windows, draws, seed)
    documents = windows[-1].document + 1
    over = "documents" if documents >= ENOUGH else "windows"
    groups = [w.document if over == "documents" else i for i, w in enumerate(windows)]
    tokens = [float(len(w.ids)) for w in windows]
    how = (
        f"{_name(data, split)}: {documents} documents, {len(windows)} windows of at most "
        f"{model.codec.length} tokens, {sum(tokens):.0f} tokens; interval over {over}"
    )
    if not all(w.exact for w in windows):
        how += "; of the text as a lossy tokenizer gives it back"
    if model.is_chain:
        how += f"; upper bound, {draws} draws a window, seed {seed}"
    per_byte = bits_per_byte(nats, [w.bytes for w in windows], groups)
    per_token = bits_per_byte(nats, tokens, groups)
    return [_metric("bits per byte", per_byte, how), _metric("bits per token", per_token, how)]


def variety(
    model: Any,
    data: TextData,
    split: Split = "train",
    sampling: Sampling | None = None,
    *,
    n: int = 64,
    seed: int = 0,
) -> list[Metric]:
    """Measure samples beside windows of a text: entropy, repetition, and so on.

    For Python source, the fraction of runs of whole lines that compile is measured too.

    Args:
        model: A chain.
        data: The text to compare with.
        split: Which part of it.
        sampling: How samples are drawn.
        n: How many of each, at least two.
        seed: Chooses them.

    Raises:
        DataError: When the text has fewer than two whole windows.
        ValueError: When `n` is below two.
    """
    if n < 2:
        raise ValueError(f"n is at least 2, not {n}: samples are compared with each other")
    how = sampling or Sampling()
    whole = [w.ids for w in windows_of(model, data, split) if len(w.ids) == model.codec.length]
    if len(whole) < 2:
        raise DataError(f"{_name(data, split)} has {len(whole)} whole windows: two are needed")
    order = torch.randperm(len(whole), generator=torch.Generator().manual_seed(seed % 2**63))[:n]
    real = torch.stack([whole[i] for i in order.tolist()])
    drawn = model.draw(n, context(model.codec), how, seed=seed)
    ours = drawn.x.cpu()
    protocol = (
        f"{n} samples, seed {seed}, {how.solver}, {how.steps} steps, NFE {int(drawn.nfe.max())}, "
        f"temperature {how.temperature:g}"
    )
    beside = f"{protocol}; beside {len(real)} windows of {_name(data, split)}"
    figures = [
        *_varieties(ours, real, beside),
        *_codes(model, ours, real, data, beside),
    ]
    score = frontier_score(features(model, ours), features(model, real))
    eye = f"{beside}, in the eyes of the model's own network, five clusterings"
    return [*figures, _metric("MAUVE by its own features", score, eye)]


@torch.no_grad()
def features(model: Any, ids: Int[Tensor, "b n"]) -> Float[Tensor, "b d"]:
    """Return the mean hidden state of each text under a model that sees all of it."""
    device = next(model.parameters()).device
    parts = []
    for some in ids.split(BATCH):
        hidden = model.network(some.to(device), torch.ones(len(some), device=device))
        parts.append(hidden.mean(1).cpu().float())
    return torch.cat(parts)


def _varieties(ours: Tensor, real: Tensor, beside: str) -> list[Metric]:
    """Measure how varied tokens are."""
    pairs: list[tuple[str, Estimate, Estimate]] = [
        ("entropy of tokens", entropy(ours), entropy(real)),
        ("repeated 4-grams", repetition(ours), repetition(real)),
    ]
    for k in (1, 2, 3):
        a, b = (Estimate(d, d, d) for d in (distinct(ours, k), distinct(real, k)))
        pairs.append((f"distinct {k}-grams", a, b))
    return [_metric(name, a, f"{beside}, where it is {b.value:.4g}") for name, a, b in pairs]


def _codes(model: Any, ours: Tensor, real: Tensor, data: TextData, beside: str) -> list[Metric]:
    """Measure how texts compress, and for Python what compiles, by number of lines."""
    texts, theirs = (model.codec.decode(ids) for ids in (ours, real))
    a, b = compression_ratio(texts), compression_ratio(theirs)
    ratio = _metric("compression ratio", Estimate(a, a, a), f"{beside}, where it is {b:.4g}")
    if data.source != "stdlib" and not any(
        name.endswith(".py") for name in (data.pattern, data.path)
    ):
        return [ratio]
    fractions = []
    for lines in LINES:
        try:
            fraction, usual = (compile_fraction(some, lines) for some in (texts, theirs))
        except ValueError:  # no window has so many lines
            break
        name = f"compiles, {lines} lines"
        fractions.append(_metric(name, fraction, f"{beside}, where it is {usual.value:.4g}"))
    return [ratio, *fractions]


def _name(data: TextData, split: Split) -> str:
    name = Path(data.path).name or data.source
    return name if data.test_fraction == 0 and not data.test_path else f"{name} ({split})"


def _metric(name: str, estimate: Estimate, protocol: str) -> Metric:
    value, low, high = estimate
    if low == high or not math.isfinite(low):
        return Metric(name=name, value=value, protocol=protocol)
    return Metric(name=name, value=value, low=low, high=high, protocol=protocol)


@torch.no_grad()
def _nats(model: Any, windows: list[Window], draws: int, seed: int) -> Float[Tensor, " w"]:
    """Return what each window costs; windows of one length are measured together."""
    device, nats = next(model.parameters()).device, torch.zeros(len(windows), dtype=torch.float64)
    by_length: dict[int, list[int]] = {}
    for i, window in enumerate(windows):
        by_length.setdefault(len(window.ids), []).append(i)
    parts = [
        order[start : start + BATCH]
        for order in by_length.values()
        for start in range(0, len(order), BATCH)
    ]

    def cost(some: list[int]) -> Tensor:
        x = torch.stack([windows[i].ids for i in some]).to(device)
        rng = [random.rows(seed, i, i + 1, stream="likelihood")[0] for i in some]
        return model.nats(x, rng, draws=draws).double().cpu()

    for some, found in zip(parts, shared(parts, cost), strict=True):
        nats[some] = found
    return nats
