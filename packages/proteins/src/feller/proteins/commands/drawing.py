"""How the commands draw: a batch at a time, as flags say."""

import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32

from feller.core.processes import shared
from feller.core.registry import data_of
from feller.proteins.design.conditioning import nothing
from feller.proteins.design.tasks import Batch
from feller.proteins.drawing import Drawing, draw_rows
from feller.proteins.sampling import Sampling
from feller.proteins.structure.chain import Chain

__all__ = ["DrawFlags", "cautions", "chains_of", "drawn", "frames_of", "trained_length"]

LONG = 1000
"""Residues from which on the cost of drawing is reported."""
PROBE = 128
"""Residues of the network call that is timed for it."""
BYTES = 20
"""Of memory for each pair of residues and channel of pairs; 17 to 21 were measured."""


@dataclass(frozen=True, kw_only=True)
class DrawFlags:
    """How structures are sampled."""

    steps: int = 100
    """Number of steps, one network call each."""
    power: float = 2.0
    """Spacing of the time steps, t = 1 - (1 - u)^power: 1 for equal steps, above 1 for shorter
    steps near the data."""
    flow: float | None = None
    """Weight of the flow of rotations, 0 to 1; the model's default if None."""
    jump: float | None = None
    """Weight of the jump of rotations, 0 to 1; 1 - flow if None."""
    noise: float | None = None
    """Langevin noise of positions in nm^2 per unit time, 0 for none; the model's default if
    None."""
    rotation_noise: float | None = None
    """Langevin noise of rotations, in units of their path's variance, 0 for none; the model's
    default if None."""
    noise_scale: float | None = None
    """Factor on all noise up to t = 1/2: below 1 samples are more typical and less diverse; the
    model's default if None."""
    final_noise_scale: float | None = None
    """Factor on all noise at t = 1, reached linearly from t = 1/2: with 1 folds are typical, and
    bonds and angles as varied as natural ones. If None, noise-scale if given, else the model's
    default."""
    repulsion: float | None = None
    """Weight of the repulsion of residues that overlap, CA predicted nearer than 4 Angstrom: 1
    parts a pair in a step, 0 for none; the model's default if None."""
    temperature: float = 1.0
    """Sequence sampling temperature; 0 takes the most likely residues."""
    sequence_solver: str | None = None
    """Solver of the sequence: events (first hitting; exact at as many steps as residues), leap,
    ancestral, confidence, margin, entropy, or remask and corrected, which may change earlier
    residues; if None, Euler's method, whose last step draws all remaining residues."""
    sequence: bool = True
    """Also sample the sequence; otherwise residues are unknown."""
    batch_size: int | None = None
    """Samples simulated at once; if None 32 for up to 128 residues, fewer for longer chains."""
    device: str = "auto"
    """cpu, cuda, ...; auto uses an accelerator if there is one (not mps, which has no float64)."""

    def sampling(self, *, keep: bool = False) -> Sampling:
        """Return how to draw; `keep` keeps every step.

        Raises:
            ValueError: On senseless values, and flags that exclude each other.
        """
        if self.sequence_solver is not None and not self.sequence:
            raise ValueError("--sequence-solver draws sequences: it excludes --no-sequence")
        mine = {f.name: getattr(self, f.name) for f in fields(Sampling) if hasattr(self, f.name)}
        return Sampling(**mine | {"batch_size": self.batch_size or 1, "keep": keep})


def drawn(model: Any, batches: Sequence[Batch], how: Sampling) -> Iterator[tuple[Batch, Drawing]]:
    """Draw batches, each when it is asked for.

    Args:
        model: A `ProteinModel`.
        batches: From `feller.proteins.design.tasks.plan`.
        how: Its `batch_size` is not asked.
    """
    found = shared(
        batches, lambda batch: draw_rows(model, batch.rows, batch.given, how, batch.seed)
    )
    yield from zip(batches, found, strict=True)


def trained_length(name: str) -> int | None:
    """Return the most residues that a model was trained on, where its run or its recipe says so."""
    try:
        return getattr(data_of(name), "crop", None)
    except (
        ValueError
    ):  # a recipe of another version or domain; the model says what is wrong with it
        return None


def cautions(
    model: Any, batches: Sequence[Batch], how: Sampling, trained: int | None = None
) -> list[str]:
    """Return what to know before long chains are drawn: lengths beyond training, memory and time.

    Args:
        model: A `ProteinModel`.
        batches: What is to be drawn.
        how: Its steps.
        trained: The most residues that the model was trained on, where it is known.

    Raises:
        ValueError: When a batch does not fit into the memory of the model's device.
    """
    longest = max(len(batch.given) for batch in batches)
    said = []
    if trained is not None and longest > trained:
        counts = f"{longest:,} residues, and the model was trained on at most {trained:,}"
        said.append(f"{counts}: expect broken bonds and clashes")
    if longest < LONG:
        return said
    pairs = [len(batch.names) * len(batch.given) ** 2 for batch in batches]
    each, room = BYTES * model.config.network.pair, _memory(next(model.parameters()).device)
    if room is not None and max(pairs) * each > room:
        needs = f"{max(pairs) * each / 1e9:.1f} GB, and there are {room / 1e9:.1f}"
        most = f"one chain of at most about {int((room / each) ** 0.5):,} residues fits"
        raise ValueError(f"{longest:,} residues: a batch takes about {needs}: {most}")
    hours = _seconds(model) * sum(pairs) * how.steps / 3600
    cost = f"about {max(pairs) * each / 1e9:.1f} GB and {hours:.1f} hours"
    return [*said, f"{longest:,} residues in {how.steps} network calls: {cost}"]


def _seconds(model: Any) -> float:
    """Return the time that a network call takes for each pair of residues."""
    once = Sampling(steps=1)
    draw_rows(model, (0, 1), nothing(PROBE), once, 0)  # the first call makes tables
    start = time.perf_counter()
    draw_rows(model, (0, 1), nothing(PROBE), once, 0)
    return (time.perf_counter() - start) / PROBE**2


def _memory(device: torch.device) -> int | None:
    """Return the bytes that a device has; None where nothing says so."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[1]
    known = device.type == "cpu" and hasattr(os, "sysconf")
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if known else None


def chains_of(model: Any, batch: Batch, drawing: Drawing) -> list[Chain]:
    """Return the samples of a batch, by their names."""
    chains = zip(model.codec.decode(drawing.state), batch.names, strict=True)
    return [replace(batch.given.restored(chain), name=name) for chain, name in chains]


def frames_of(
    model: Any, batch: Batch, drawing: Drawing
) -> list[list[Float32[np.ndarray, "n 4 3"]]]:
    """Return the atoms of each sample, in Angstrom, at each step that was kept."""
    steps = [model.codec.decode(state) for state in drawing.steps]
    restored = batch.given.restored
    return [[restored(chain).atoms for chain in chains] for chains in zip(*steps, strict=True)]
