"""Drawing proteins: the source, a grid of times, and the states that a solver follows.

If all frames are given, only the `sequence_solver` runs: it samples the residues of a backbone.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from feller.core import random
from feller.core.checks import check_seed
from feller.core.discrete.factors import Beside, Factor
from feller.core.discrete.solvers import token_state
from feller.core.grids import power_grid
from feller.core.nn.modes import evaluating
from feller.core.solvers import Evaluation, follow
from feller.core.times import expand_time
from feller.proteins.design.conditioning import Given, check_positive
from feller.proteins.sampling import Sampling

__all__ = ["Drawing", "draw", "draw_rows", "follow_rows"]


@dataclass(frozen=True)
class Drawing:
    """The result of sampling.

    Attributes:
        state: The states, a dict of factors.
        nfe: Network calls of a sample; beside frames with a `sequence_solver` those of the batch,
            of which a sample has some.
        steps: The states on the way, where they are kept.
    """

    state: dict[str, Tensor]
    nfe: int
    steps: tuple[dict[str, Tensor], ...] = field(default=())


def draw(model: Any, n: int, given: Given, sampling: Sampling, *, seed: int = 0) -> Drawing:
    """Sample `n` proteins given the known elements.

    Raises:
        ValueError: When there is no sample, no seed, nothing that can be given, or the weights are
            of another precision.
    """
    check_positive("n", n)
    check_seed(seed)
    if not isinstance(given, Given):
        raise ValueError(f"given is a Given, as sequence_of makes of a chain, not {given!r:.40}")
    if (dtype := next(model.parameters()).dtype) != torch.float32:
        raise ValueError(f"rotations take float32, the weights are {dtype}: draw of model.float()")
    n, seed = int(n), int(seed)  # of numpy's, too
    starts = range(0, n, sampling.batch_size)
    with evaluating(model):
        parts = [
            draw_rows(model, (s, min(s + sampling.batch_size, n)), given, sampling, seed)
            for s in starts
        ]
    kept = zip(*(part.steps for part in parts), strict=True)
    return Drawing(
        _join([part.state for part in parts]), parts[0].nfe, tuple(_join(list(p)) for p in kept)
    )


def draw_rows(
    model: Any, rows: tuple[int, int], given: Given, sampling: Sampling, seed: int
) -> Drawing:
    """Draw the rows `rows[0]` to `rows[1]` of an endless batch."""
    steps = [*follow_rows(model, rows, given, sampling, seed)]
    state, nfe = steps[-1]
    return Drawing(state, nfe, tuple(state for state, _ in steps) if sampling.keep else ())


def follow_rows(
    model: Any, rows: tuple[int, int], given: Given, sampling: Sampling, seed: int
) -> Iterator[tuple[dict[str, Tensor], int]]:
    """Yield the states before the first step and after each, with the network calls so far.

    The last ones are those of `draw_rows`.
    """
    rng = random.rows(seed, *rows)
    sampling = sampling.of(model)
    state, known = _begin(model, rows[1] - rows[0], given, rng)
    grid = power_grid(sampling.steps, sampling.power)
    evaluation = sampling.reading(model, len(rng))
    if sampling.sequence_solver and known["translation"].all() and known["rotation"].all():
        yield from _sequences(evaluation, state, known["residue"], sampling, rng)
        return
    times = {name: _clock(grid, known[name]) for name in state}
    if not sampling.sequence:
        times["residue"] = _clock(0 * grid, known["residue"])
    solver = sampling.solver(_count(known["residue"]))
    yield state, 0
    for following in follow(evaluation, state, times, solver, rng):
        yield following, evaluation.nfe


def _sequences(
    reading: Evaluation, state: dict[str, Tensor], known: Tensor, sampling: Sampling, rng: Any
) -> Iterator[tuple[dict[str, Tensor], int]]:
    """Yield the steps of residues alone, beside frames that are given."""
    frames = {name: value for name, value in state.items() if name != "residue"}
    beside = Beside(frames, dict.fromkeys(frames, 1.0), reading.condition)
    factor, solver = Factor(reading.model, "residue"), sampling.residue_solver(_count(known))
    times = None if solver.own_times else power_grid(sampling.steps, sampling.power)
    begun, view = (
        token_state(factor, state["residue"], rng, free=~known),
        Evaluation(factor, beside),
    )
    yield {**frames, "residue": begun.tokens}, 0
    for step in follow(view, begun, times, solver, rng):
        yield {**frames, "residue": step.tokens}, view.nfe


def _count(known: Tensor) -> int:
    """Return how many residues of a chain there are to draw."""
    return int((~known[0]).sum())


def _begin(
    model: Any, b: int, given: Given, rng: Any
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return states at the source, but for what is given, and where that is."""
    device = next(model.parameters()).device
    fixed = {name: value.to(device).expand(b, *value.shape) for name, value in given.state.items()}
    shapes = {name: value.shape for name, value in fixed.items()}
    source = model.path.sample_source(shapes, rng, like=fixed)
    known = {name: where.to(device).expand(b, -1) for name, where in given.known.items()}
    state = {
        name: torch.where(expand_time(known[name], value), value, source[name])
        for name, value in fixed.items()
    }
    return state, known


def _clock(grid: Tensor, known: Tensor) -> Tensor:
    """Return a clock for each element that runs by the grid, and stands at 1 where it is known."""
    if known.all():
        return torch.ones(len(grid), *known.shape, device=known.device)
    if not known.any():
        return grid.to(known.device)
    return torch.where(known, 1.0, grid.to(known.device)[:, None, None])


def _join(states: list[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    return {name: torch.cat([state[name] for state in states]) for name in states[0]}
