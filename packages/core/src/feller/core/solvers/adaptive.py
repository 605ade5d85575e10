"""Dormand and Prince's method of order 5 with an embedded error estimate, for flows.

The step size follows the error, not the grid: grid points inside a step are interpolated to fourth
order, so a fine grid costs no network calls. Source: Hairer, Norsett, Wanner, Solving Ordinary
Differential Equations I, II.4 to II.6.
"""

import math
from dataclasses import dataclass, field, replace
from typing import ClassVar

import torch
from torch import Tensor

from feller.core.generators import Flow
from feller.core.heads import Kinds
from feller.core.solvers.base import Evaluation, Solver
from feller.core.solvers.runge_kutta import move, velocity_of
from feller.core.spaces import Euclidean
from feller.core.typing import Rng

__all__ = ["Dopri5"]

_NODES = (1 / 5, 3 / 10, 4 / 5, 8 / 9, 1.0, 1.0)
_MATRIX = (
    (1 / 5,),
    (3 / 40, 9 / 40),
    (44 / 45, -56 / 15, 32 / 9),
    (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
    (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
    (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84),
)
_ERROR = (71 / 57600, 0.0, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525, -1 / 40)
_DENSE = (
    -12715105075 / 11282082432,
    0.0,
    87487479700 / 32700410799,
    -10690763975 / 1880347072,
    701980252875 / 199316789632,
    -1453857185 / 822651844,
    69997945 / 29380423,
)


@dataclass(frozen=True)
class _Step:
    """An accepted step from (t, x) to (s, x_s), with its seven stages."""

    t: float
    s: float
    x: Tensor
    x_s: Tensor
    stages: list[Tensor]

    def at(self, time: float) -> Tensor:
        """Interpolate inside the step."""
        if time >= self.s:
            return self.x_s
        h = self.s - self.t
        fraction = (time - self.t) / h
        rise = self.x_s - self.x
        start = torch.add(-rise, self.stages[0], alpha=h)
        end = torch.add(rise - start, self.stages[-1], alpha=-h)
        bend = move(torch.zeros_like(rise), self.stages, _DENSE, h)
        inner = end + (1 - fraction) * bend
        return self.x + fraction * (rise + (1 - fraction) * (start + fraction * inner))


@dataclass
class Dopri5(Solver):
    """Adaptive steps within a tolerance.

    The error is the root mean square over the whole batch of |error| / (atol + rtol |x|), as in
    torchdiffeq and scipy, so rows of a batch share their steps. A model that is singular at t = 1
    needs a grid that ends before it.

    Attributes:
        rtol: Relative tolerance.
        atol: Absolute tolerance.
        max_steps: Maximum number of steps, accepted or not, between two times of the grid.
        end: The model is not called after this time; the grid ends there or before.
    """

    rtol: float = 1e-5
    atol: float = 1e-5
    max_steps: int = 10_000
    end: float = 1.0
    takes: ClassVar[Kinds] = frozenset({Flow})
    reverses: ClassVar[bool] = True
    spaces: ClassVar[tuple[type, ...]] = (Euclidean,)
    shares_clock: ClassVar[bool] = True
    _last: _Step | None = field(default=None, init=False, repr=False)
    _given: Tensor | None = field(default=None, init=False, repr=False)
    _h: float = field(default=0.0, init=False, repr=False)
    _back: bool = field(default=False, init=False, repr=False)
    _wall: float = field(default=math.inf, init=False, repr=False)

    def until(self, end: float) -> "Dopri5":
        """Return the method that asks no model after `end`."""
        return replace(self, end=end)

    def step(self, model: Evaluation, x: Tensor, t: float, s: float, rng: Rng) -> Tensor:
        """Step past `s` and interpolate back to it."""
        if max(t, s) > self.end:
            raise ValueError(f"the grid continues to {s:g}, after the end of Dopri5, {self.end:g}")
        # Back in time, the clock inside is -t.
        self._back = s < t
        t, s = (-t, -s) if self._back else (t, s)
        last = self._last
        if last is None or x is not self._given:  # the start, or a state changed from outside
            velocity = self._ask(model, x, t)
            self._h = self._first_step(model, x, velocity, t)
            last = _Step(t, t, x, x, [velocity])
        for _ in range(self.max_steps):
            if last.s >= s:
                break
            last = self._attempt(model, last)
        else:
            raise ValueError(
                f"no end after {self.max_steps} steps at t = {abs(last.s):.6f}: increase rtol"
            )
        self._last, self._given = last, last.at(s)
        return self._given

    def _ask(self, model: Evaluation, x: Tensor, t: float) -> Tensor:
        """Return the velocity by the clock inside."""
        return velocity_of(model(x, -t)).neg() if self._back else velocity_of(model(x, t))

    @property
    def _last_time(self) -> float:
        return 0.0 if self._back else self.end

    def _attempt(self, model: Evaluation, last: _Step) -> _Step:
        """Return the next accepted step, or the last one after making the step size smaller."""
        x, t = last.x_s, last.s
        s = min(t + self._h, t + 0.8 * (self._wall - t), self._last_time)
        # A sliver before the end would round to nothing: swallow it.
        s = self._last_time if self._last_time - s < 1e-7 else s
        h, stages = s - t, [last.stages[-1]]
        for node, row in zip(_NODES, _MATRIX, strict=True):
            stage = move(x, stages, row, h)
            stages.append(self._ask(model, stage, t + node * h))
        error = self._norm(move(torch.zeros_like(x), stages, _ERROR, h), x, stage)  # pyright: ignore[reportPossiblyUnboundVariable]
        if math.isnan(error):
            # The step reached where the velocity is infinite: come closer, but not for ever.
            if h < 1e-6:
                raise ValueError(
                    f"the velocity is not finite at t = {abs(s):.6g}: end the grid before"
                )
            self._wall, error = s, math.inf
        self._h = h * min(10.0, max(0.2, 0.9 * (error + 1e-10) ** -0.2))
        return _Step(t, s, x, stage, stages) if error <= 1 else last  # pyright: ignore[reportPossiblyUnboundVariable]

    def _norm(self, value: Tensor, x: Tensor, y: Tensor) -> float:
        scale = torch.maximum(x.abs(), y.abs()).detach().mul_(self.rtol).add_(self.atol)
        if not value.numel():  # no samples, no error
            return 0.0
        return float(value.detach().div(scale).square_().mean().sqrt_())

    def _first_step(self, model: Evaluation, x: Tensor, velocity: Tensor, t: float) -> float:
        """Choose a step over which the velocity changes little (Hairer et al., II.4)."""
        size, speed = self._norm(x, x, x), self._norm(velocity, x, x)
        guess = 0.01 * size / speed if size > 1e-5 and speed > 1e-5 else 1e-6
        guess = min(guess, self._last_time - t)
        ahead = self._ask(model, move(x, [velocity], (1.0,), guess), t + guess)
        bend = max(speed, self._norm(ahead - velocity, x, x) / guess)
        fine = (0.01 / bend) ** 0.2 if bend > 1e-15 else max(1e-6, guess * 1e-3)
        return min(100 * guess, fine, self._last_time - t)
