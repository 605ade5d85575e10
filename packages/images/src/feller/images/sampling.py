"""How images are sampled: a solver and a grid of times, by default suited to the schedule.

Near the data, noise falls linearly on CondOT, but infinitely fast on a variance-preserving
schedule: there a Runge-Kutta method with even steps ends with noise of two grey levels. To leave
none, solve everything but the model's x_1 exactly (DPM-Solver++), or take shorter steps towards the
data.

Jumps end when sigma is .001, because their rates are infinite at t = 1. Equal steps of log sigma
give each step equally many jumps, but few steps to the middle of the path: a trained flow with
jumps of Fashion-MNIST has a KID of .0329 with 20 of them, and of .0233 with steps that shrink as a
cube.
"""

import math
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

import numpy as np
import torch

from feller.core.checks import check_choices, check_sizes, check_weights
from feller.core.config import tagged
from feller.core.discrete.solvers import FirstHitting
from feller.core.generators import Flow, Jump
from feller.core.grids import Grid, logarithmic_grid, power_grid, shifted_grid, uniform_grid
from feller.core.reweighted import Reweighted
from feller.core.schedules import Schedule
from feller.core.solvers import SOLVERS, Solver, named_solver
from feller.core.weights import WeightLike

__all__ = ["SOLVER_HELP", "GridName", "Sampling", "mixed", "plan_of", "suited"]

GridName = Literal["auto", "uniform", "power", "shifted", "logarithmic"]

SOLVER_HELP = f"{', '.join(SOLVERS)}; first_hitting of masked pixels; auto chooses by the schedule."
"""What command lines say of their flag."""

_POWER = 3.0  # at 20 steps it leaves .1 grey levels with Heun's method on `VariancePreserving`
_SHIFT = 3.0
_STEPS, _FEW = 20, 2  # usually, and of a velocity that is averaged over each step
_LEAST = 0.999  # what of the way a process goes whose rates are infinite at its end
_BY_PIXELS = "first_hitting"
_CLASSICAL = frozenset({"euler", "midpoint", "heun", "rk4"})


class Suited(NamedTuple):
    """What suits a schedule."""

    solver: str
    grid: GridName


@tagged("images/sampling")
@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How images are sampled.

    Attributes:
        steps: Steps of the solver; None for 20, or 2 for a model of average velocities (MeanFlow).
        solver: Its name; `auto` chooses by the schedule. For masked pixels also `first_hitting`:
            event by event (arXiv 2409.02908), exact with as many steps as pixels.
        guidance: Guidance scale, for all images or for each; 1 is none.
        interval: Interval of times in which guidance acts.
        rescale: How far guided velocities are rescaled to the spread of unguided ones, from 0 to 1.
        autoguidance: A worse model, by name or folder, to guide away from; empty for the model
            itself without its label.
        mix: Weights of the parts of a joint model, such as its flow and its jump; empty for those
            it was built with.
        mix_end: Their weights at t = 1, reached linearly in time; empty for `mix`.
        batch_size: Images simulated at once.
        grid: The times of the steps: `uniform`; `power`, shorter towards the data; `shifted`,
            shorter towards the source; `logarithmic`, by equal steps of log sigma; `auto`
            chooses by the schedule and the solver.
        end: The last time, in (0, 1]; If None 1; but on the logarithmic grid, or for jumps and
            diffusions with `grid` `auto`, when sigma is .001 (on CondOT t = .999).
    """

    steps: int | None = None
    solver: str = "auto"
    guidance: float | tuple[float, ...] = 1.0
    interval: tuple[float, float] = (0.0, 1.0)
    rescale: float = 0.0
    autoguidance: str = ""
    mix: tuple[float, ...] = ()
    mix_end: tuple[float, ...] = ()
    batch_size: int = 256
    grid: GridName = "auto"
    end: float | None = None

    def __post_init__(self) -> None:
        """Check the values."""
        check_choices(self)
        if self.steps is not None:
            check_sizes(self, "steps")
        if self.batch_size < 1:
            raise ValueError(f"batch_size is at least 1, not {self.batch_size}")
        scales = np.asarray(self.guidance, dtype=float)
        if scales.ndim > 1 or not np.isfinite(scales).all():
            raise ValueError(f"guidance is a finite number, not {self.guidance}")
        if scales.ndim:  # a list would not be checked against the number of images
            object.__setattr__(self, "guidance", tuple(scales.tolist()))
        for name in ("mix", "mix_end"):
            if getattr(self, name):
                check_weights(name, getattr(self, name))
        if self.mix_end and len(self.mix_end) != len(self.mix):
            raise ValueError(f"mix and mix_end are as many weights, not {self.mix}, {self.mix_end}")
        if self.end is not None and not 0 < self.end <= 1:
            raise ValueError(f"end is in (0, 1], not {self.end}")

    def times(self, schedule: Schedule) -> Grid:
        """Return the grid, `steps + 1` times from the source to `end`; `auto` is resolved before.

        Raises:
            ValueError: Without a step, or with an end that the grid cannot have.
        """
        end = 1.0 if self.end is None else self.end
        steps = self.steps or _STEPS
        if self.grid == "logarithmic":
            return _logarithmic(schedule, steps, self.end)
        if self.grid == "power":
            return end * power_grid(steps, _POWER)
        if self.grid == "shifted":
            return end * shifted_grid(steps, _shift(schedule))
        return uniform_grid(steps, start=_start(schedule), end=end)

    def words(self) -> str:
        """Return how images are drawn in words, without what is as usual."""
        found = [f"{self.solver}, {self.steps} steps"]
        if self.grid != "auto" and self.solver != _BY_PIXELS:
            found.append(f"{self.grid} grid" + (f" to {self.end:g}" if self.end else ""))
        if self.mix:
            found.append(
                f"mix {_joined(self.mix)}" + f" to {_joined(self.mix_end)}" * bool(self.mix_end)
            )
        if (np.asarray(self.guidance) != 1).any():
            found.append(f"guidance {self.guidance}")
            if self.interval != (0.0, 1.0):
                found.append("in [{:g}, {:g}]".format(*self.interval))
            if self.rescale:
                found.append(f"rescaled {self.rescale:g}")
            if self.autoguidance:
                found.append(f"away from {self.autoguidance}")
        return ", ".join(found)


def _joined(weights: tuple[float, ...]) -> str:
    return " ".join(f"{weight:g}" for weight in weights)


def mixed(model: Any, sampling: Sampling) -> Any:
    """Return a joint model with the weights that a sampling asks for, or the model as it is.

    Raises:
        ValueError: When the model has not as many parts.
    """
    if not sampling.mix:
        return model
    parts = len(model.part_kinds())
    if len(sampling.mix) != parts:
        raise ValueError(f"mix is a weight for each part of the model, of which there are {parts}")
    last = sampling.mix_end or sampling.mix
    pairs = zip(sampling.mix, last, strict=True)
    return Reweighted(model, tuple(a if a == b else _line(a, b) for a, b in pairs))


def _line(start: float, end: float) -> WeightLike:
    """Return a weight that goes from one number to another with time."""
    return lambda t: start + (end - start) * t


def suited(sampling: Sampling, model: Any) -> Sampling:
    """Return the sampling with the default solver and grid of a model, if it names none.

    Args:
        sampling: How images are sampled.
        model: A model on the Gaussian path, or on a mixture path.

    Raises:
        ValueError: On an unknown solver.

    Example:
        >>> from feller.core.paths import GaussianPath
        >>> from feller.core.posteriors import FiniteData
        >>> from feller.core.schedules import VariancePreserving
        >>> model = FiniteData(GaussianPath(schedule=VariancePreserving()), Flow, torch.ones(1, 1))
        >>> found = suited(Sampling(), model)
        >>> found.solver, found.grid
        ('dpm++', 'uniform')
    """
    model = mixed(model, sampling)
    if sampling.steps is None:
        sampling = replace(sampling, steps=_FEW if model.takes_next else _STEPS)
    if model.path.has_atoms:  # what has not jumped at the end is noise
        masked = getattr(model.path.source, "mask", None) is not None
        solver, grid = Suited(_BY_PIXELS if masked else "euler", "uniform")
    elif Jump in model.kinds and _is_straight(model.path.schedule):
        solver, grid = Suited("mixed", "power")
        if sampling.grid == "auto" and sampling.end is None:
            sampling = replace(sampling, end=_LEAST)
    elif not all(issubclass(kind, Flow) for kind in model.kinds):
        solver, grid = Suited("mixed", "logarithmic")
    elif model.takes_next:  # in one piece from time to time, however long the step
        solver, grid = Suited("euler", "uniform")
    else:
        solver, grid = _by_schedule(model.path.schedule)
    if sampling.solver not in ("auto", _BY_PIXELS):
        named_solver(sampling.solver)
    if sampling.solver != "auto":
        solver = sampling.solver
        if grid == "uniform" and solver in _CLASSICAL and not _is_straight(model.path.schedule):
            grid = "power"
    return replace(sampling, solver=solver, grid=grid if sampling.grid == "auto" else sampling.grid)


def plan_of(sampling: Sampling, model: Any) -> tuple[Solver, Grid | None]:
    """Return the solver and its times; `first_hitting` has its own and divides pixels among steps.

    Args:
        sampling: How images are drawn, without `auto`.
        model: An `ImageModel`.

    Raises:
        ValueError: When there are times for a solver that has its own.
    """
    if sampling.solver == _BY_PIXELS:
        if sampling.grid not in ("auto", "uniform") or sampling.end is not None:
            raise ValueError(f"{_BY_PIXELS} has times of its own: it takes no grid and no end")
        return FirstHitting(-(-math.prod(model.codec.shape) // (sampling.steps or _STEPS))), None
    return named_solver(sampling.solver), sampling.times(model.path.schedule)


def _by_schedule(schedule: Schedule) -> Suited:
    """Return a solver and a grid for a flow."""
    if _is_straight(schedule):
        return Suited("heun", "uniform")
    if _shift(schedule) != _SHIFT:  # all of it happens near the source
        return Suited("dpm++", "shifted")
    # Where the velocity at the source does not determine x_1, only it can be followed.
    return Suited("heun", "power") if _wronskian(schedule) == 0 else Suited("dpm++", "uniform")


def _is_straight(schedule: Schedule) -> bool:
    """Return whether alpha is t and sigma 1 - t."""
    t = torch.linspace(0, 1, 5, dtype=torch.float64, device="cpu")
    return bool(schedule.alpha(t).equal(t) and schedule.sigma(t).equal(1 - t))


def _wronskian(schedule: Schedule) -> float:
    """Return alpha' sigma - alpha sigma' at t = 0."""
    t = torch.zeros((), dtype=torch.float64, device="cpu")
    there = schedule.alpha_dot(t) * schedule.sigma(t) - schedule.alpha(t) * schedule.sigma_dot(t)
    return float(there)


def _shift(schedule: Schedule) -> float:
    """Return the shift by which alpha rises evenly where it begins fast, as on `Geometric`."""
    speed = float(schedule.alpha_dot(torch.zeros((), dtype=torch.float64, device="cpu")))
    return speed if 2 < speed < math.inf else _SHIFT


def _logarithmic(schedule: Schedule, steps: int, end: float | None) -> Grid:
    """Return times between which sigma falls by the same factor, to .001 or to that at `end`."""
    if _is_straight(schedule):
        return logarithmic_grid(steps, end=_LEAST if end is None else end)
    ends = torch.tensor([0.0, 1.0 if end is None else end], dtype=torch.float64, device="cpu")
    first, last = schedule.sigma(ends).tolist()
    last = max(last, 1 - _LEAST) if end is None else last
    falls = torch.linspace(
        math.log(first), math.log(last), steps + 1, dtype=torch.float64, device="cpu"
    )
    low, high = torch.zeros_like(falls), ends[1].expand_as(falls)
    for _ in range(52):
        middle = (low + high) / 2
        above = schedule.sigma(middle).log() > falls
        low, high = torch.where(above, middle, low), torch.where(above, high, middle)
    high[0] = 0.0
    return high.float()


def _start(schedule: Schedule) -> float:
    """Return 0; a little more where alpha leaves the source at infinite speed."""
    return 0.0 if math.isfinite(_wronskian(schedule)) else 1e-6
