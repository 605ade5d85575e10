"""Drawing proteins: the source, a grid of times, and the last step.

Euler's method follows the three factors to one step before the end; the last step goes where the
network says the data are: to the mean position, the predicted rotation, and a draw of each residue
that is still masked. So `steps` is the number of network calls.
"""

import math
import operator
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from numbers import Real
from typing import Any

import torch
from torch import Tensor

from feller.core import random
from feller.core.checks import check_seed, check_weights
from feller.core.models import GeneratorModel
from feller.core.nn.modes import evaluating
from feller.core.nn.self_conditioning import SelfConditioned
from feller.core.solvers import EndWithEstimate, Euler, Evaluation, follow
from feller.core.times import expand_time, power_grid
from feller.proteins.design.conditioning import Given, check_positive
from feller.proteins.networks.heads import check_noise

__all__ = ["Drawing", "Sampling", "draw", "draw_rows"]

_NOISE = ("noise", "rotation_noise", "noise_scale")


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How to draw.

    Attributes:
        steps: Network calls of a sample.
        power: Times are 1 - (1 - u)^power of equidistant u: above 1, more steps near the data,
            where bonds are made.
        flow: The weight of the flow of rotations; the model's own if None.
        jump: The weight of their jump; by default the rest.
        noise: How much Langevin noise positions get, 0 for none: it leaves their distribution
            alone, and lets them mend what went wrong. Its variance is noise (1 - t) / (t + 0.05)
            nm^2 a unit time. The model's if None.
        rotation_noise: The same of rotations, in units of their path's own variance. The model's if
            None.
        noise_scale: By how much noise is scaled down: below 1 samples are more typical, and less
            diverse, than the distribution. The model's if None.
        temperature: Divides the logits of residues; towards 0 they are the most likely ones.
        sequence: Whether residues are drawn along, by a model that was trained on them; else they
            stay unknown.
        batch_size: Samples in memory at once.
        keep: Whether to keep the states of every step.
    """

    steps: int = 100
    power: float = 2.0
    flow: float | None = None
    jump: float | None = None
    noise: float | None = None
    rotation_noise: float | None = None
    noise_scale: float | None = None
    temperature: float = 1.0
    sequence: bool = True
    batch_size: int = 32
    keep: bool = False

    def __post_init__(self) -> None:
        """Refuse senseless values."""
        for name in ("steps", "batch_size"):
            check_positive(name, getattr(self, name))
        if not (isinstance(self.power, Real) and 0 < float(self.power) < math.inf):
            raise ValueError(f"power is positive and finite, not {self.power!r}")
        for name in (*_NOISE, "temperature"):
            value = getattr(self, name)
            there = name == "temperature" or value is not None
            if there and not (isinstance(value, Real) and 0 <= float(value) < math.inf):
                raise ValueError(f"{name} is at least 0 and finite, not {value!r}")
        if self.flow is not None or self.jump is not None:
            check_weights("flow and jump", self.weights)

    @property
    def weights(self) -> tuple[float, float]:
        """The weights of flow and jump, where one is given the other is the rest."""
        flow = 1 - self.jump if self.flow is None else self.flow  # pyright: ignore
        return flow, 1 - flow if self.jump is None else self.jump

    def of(self, model: Any) -> "Sampling":
        """Return it with what it leaves to a model filled in.

        Raises:
            ValueError: When the rotations of the model cannot have noise.
        """
        own = {name: getattr(model.config, name) for name in _NOISE}
        asked = {name: getattr(self, name) for name in _NOISE}
        noise = {name: own[name] if asked[name] is None else asked[name] for name in _NOISE}
        if noise["rotation_noise"]:
            check_noise(model.path.factors["rotation"])
        return replace(self, **noise, sequence=self.sequence and model.config.sequence)

    def reading(self, model: Any) -> GeneratorModel:
        """Return a model as a simulation of `of(model)` asks it, shown its own predictions."""
        noise = {name: getattr(self, name) for name in _NOISE}
        network = model.by_factor
        if model.config.network.self_conditioning:
            network = SelfConditioned(network, operator.itemgetter("translation"))
        return GeneratorModel(
            network, model.path, model.config.head(temperature=self.temperature, **noise)
        )


@dataclass(frozen=True)
class Drawing:
    """What was drawn.

    Attributes:
        state: The states, a dict of factors.
        nfe: Network calls of a sample.
        steps: The states on the way, where they are kept.
    """

    state: dict[str, Tensor]
    nfe: int
    steps: tuple[dict[str, Tensor], ...] = field(default=())


def draw(model: Any, n: int, given: Given, sampling: Sampling, *, seed: int = 0) -> Drawing:
    """Draw `n` proteins around what is given.

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
    if sampling.flow is not None or sampling.jump is not None:
        flow, jump = sampling.weights
        model = model.weighted(flow=flow, jump=jump)
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
    """Draw the rows `rows[0]` to `rows[1]` of an endless batch, with the model's own weights."""
    rng = random.rows(seed, *rows)
    sampling = sampling.of(model)
    state, known = _begin(model, rows[1] - rows[0], given, rng)
    grid = power_grid(sampling.steps, sampling.power)
    times = {name: _clock(grid, known[name]) for name in state}
    if not sampling.sequence:
        times["residue"] = _clock(0 * grid, known["residue"])
    evaluation = Evaluation(sampling.reading(model))
    steps = [state, *follow(evaluation, state, times, EndWithEstimate(Euler()), rng)]
    return Drawing(steps[-1], evaluation.nfe, tuple(steps) if sampling.keep else ())


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
