r"""Event-driven simulation of a mixture path: exact, with a network call for each event.

On a mixture path an element waits for its event at the hazard :math:`\dot\kappa / (1 - \kappa)`,
whatever the state, so the time of its next event has a closed form: :math:`1 - \kappa_u = (1 -
\kappa_t) U` with U uniform. The model is asked at that time and state where the element goes; there
is no error of discretisation, and nothing is asked between events. A marginal intensity below the
hazard (an element that may be at its data value already) thins the events by the ratio of the two.

From a mask every element has one event: the first hitting of Zheng et al., arXiv 2409.02908, at as
many network calls as there are masks.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from feller.core.generators import Jump
from feller.core.heads import Kinds
from feller.core.paths import MixturePath
from feller.core.solvers.base import Evaluation, Solver
from feller.core.solvers.thinning import Candidates, Step, follow_candidates, step_of
from feller.core.times import expand_time
from feller.core.typing import Rng, Time

__all__ = ["EventDriven"]


@dataclass
class EventDriven(Solver):
    """Every event of a mixture path at its exact time, in order.

    NFE is the number of events of the row that has most. From a mask that is at most the number of
    masks, however many steps the grid has, and a grid may be `[0, 1]`; other sources have no last
    event, and need a grid that ends before 1. From a mask only masked elements have events, so the
    half of a corrector that sends tokens back to the mask is lost: use another solver. Has
    data-dependent control flow, so it does not compile as one graph.

    Attributes:
        most: Maximum number of events of a row in a step.
    """

    most: int = 100_000
    takes: ClassVar[Kinds] = frozenset({Jump})
    paths: ClassVar[tuple[type, ...]] = (MixturePath,)

    def step(self, model: Evaluation, x: Tensor, t: Time, s: Time, rng: Rng) -> Tensor:
        """Follow the events from `t` to `s`."""
        path, step = model.path, step_of(model, x, t, s)
        end = path.schedule.alpha(step.t + step.h)
        if path.arrived(x) is None and bool(((end >= 1) & (step.h > 0)).any()):
            raise ValueError(f"{path.source} has no last event: end the grid before t = 1")

        def propose(x: Tensor, fraction: Tensor, changed: Tensor) -> Candidates:
            return _Hazard(path, step, x)

        return follow_candidates(model, x, step, propose, self.most, rng)


@dataclass(frozen=True)
class _Hazard(Candidates):
    """Candidates at the hazard of the path, to elements that may have an event."""

    path: MixturePath
    step: Step
    x: Tensor

    def next(self, fraction: Tensor, u: Tensor) -> Tensor:
        schedule, step = self.path.schedule, self.step
        kappa = schedule.alpha(step.t + expand_time(fraction, step.t) * step.h)
        kappa_s = schedule.alpha(step.t + step.h)
        target = 1 - (1 - kappa) * (1 - u)
        alive = (step.h > 0) & (u < 1) & (target < kappa_s)
        arrived = self.path.arrived(self.x)
        alive = alive if arrived is None else alive & ~arrived
        return torch.where(alive, self._fraction(target), torch.inf)

    def rate(self, clock: Tensor) -> Tensor:
        hazard = self.path.schedule.hazard(clock)
        return expand_time(hazard, self.x.new_empty(self.step.elements)).expand(self.step.elements)

    def _fraction(self, kappa: Tensor) -> Tensor:
        """Return the fraction of the step at which the mixing weight is `kappa`, by bisection."""
        low, high = torch.zeros_like(kappa), torch.ones_like(kappa)
        for _ in range(52):
            middle = (low + high) / 2
            below = self.path.schedule.alpha(self.step.t + middle * self.step.h) < kappa
            low, high = torch.where(below, middle, low), torch.where(below, high, middle)
        return low
