"""How the commands draw: a batch at a time, as flags say."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from jaxtyping import Float32

from feller.proteins.chains import Chain
from feller.proteins.designs import Batch
from feller.proteins.sampling import Drawing, Sampling, draw_rows

__all__ = ["DrawFlags", "chains_of", "drawn", "frames_of"]


@dataclass(frozen=True, kw_only=True)
class DrawFlags:
    """How samples are drawn."""

    steps: int = 100
    """Steps, which are network calls."""
    power: float = 2.0
    """How much they crowd at the data: 1 for even steps."""
    flow: float | None = None
    """The weight of the flow of rotations; the model's own when absent."""
    jump: float | None = None
    """The weight of their jump; the rest when absent."""
    noise: float | None = None
    """How much Langevin noise places get, 0 for none: it mends what went wrong; the model's own if
    None."""
    rotation_noise: float | None = None
    """The same of rotations; the model's own if None."""
    noise_scale: float | None = None
    """By how much noise is scaled down: below 1 samples are more usual and less diverse; the
    model's own if None."""
    temperature: float = 1.0
    """Of residues: 1 for their law, towards 0 for its mode."""
    sequence: bool = True
    """Draw residues along; else they stay unknown."""
    batch_size: int | None = None
    """Samples at once; 32 of up to 128 residues, fewer of longer ones, when absent."""
    device: str = "auto"
    """cpu, cuda, ...; an accelerator if there is one when absent."""

    def sampling(self, *, keep: bool = False) -> Sampling:
        """Return how to draw; `keep` keeps every step."""
        mine = {f.name: getattr(self, f.name) for f in fields(Sampling) if hasattr(self, f.name)}
        return Sampling(**mine | {"batch_size": self.batch_size or 1, "keep": keep})


def drawn(model: Any, batches: Sequence[Batch], how: Sampling) -> Iterator[tuple[Batch, Drawing]]:
    """Draw batches, each when it is asked for.

    Args:
        model: A `ProteinModel`.
        batches: From `feller.proteins.designs.plan`.
        how: Its `batch_size` is not asked.
    """
    if how.flow is not None or how.jump is not None:
        flow, jump = how.weights
        model = model.weighted(flow=flow, jump=jump)
    for batch in batches:
        yield batch, draw_rows(model, batch.rows, batch.given, how, batch.seed)


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
