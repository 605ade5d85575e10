"""Explicit Runge-Kutta methods for flows on Euclidean space, spheres and tori.

On a curved space a stage is moved in the space around it and projected back: the method for the
velocity at the nearest point, whose solution never leaves the space, so that the order stays.

A step into t = 1 is an Euler step where the method would ask for a velocity at t = 1 that is not
finite: there an x_1- or noise-predicting model divides by sigma = 0, and on the CondOT path the
Euler step into t = 1 returns the model's own x_1. A model that predicts velocities says that they
are finite there, and takes the whole step.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from feller.core.generators import Flow, Generator
from feller.core.heads import Kinds
from feller.core.solvers.base import Evaluation, Solver
from feller.core.spaces import Euclidean, Sphere, Torus
from feller.core.times import expand_time, has_ended, is_shared, where_moving
from feller.core.typing import Rng, Time

__all__ = ["HEUN", "MIDPOINT", "RK4", "RungeKutta", "Tableau", "move", "velocity_of"]


@dataclass(frozen=True)
class Tableau:
    """A Butcher tableau.

    Attributes:
        nodes: When each stage after the first is evaluated, as a fraction of the step.
        matrix: The weights of earlier stages in each stage after the first.
        weights: The weights of the stages in the step.
    """

    nodes: tuple[float, ...]
    matrix: tuple[tuple[float, ...], ...]
    weights: tuple[float, ...]


MIDPOINT = Tableau((1 / 2,), ((1 / 2,),), (0.0, 1.0))
HEUN = Tableau((1.0,), ((1.0,),), (1 / 2, 1 / 2))
RK4 = Tableau(
    (1 / 2, 1 / 2, 1.0), ((1 / 2,), (0.0, 1 / 2), (0.0, 0.0, 1.0)), (1 / 6, 1 / 3, 1 / 3, 1 / 6)
)


@dataclass
class RungeKutta(Solver):
    """A Runge-Kutta method: `RungeKutta(HEUN)`, `RungeKutta(MIDPOINT)`, `RungeKutta(RK4)`.

    NFE is the number of stages per step; 1 for the step into t = 1 if a stage would fall on it and
    the model is not finite there.
    """

    tableau: Tableau = HEUN
    takes: ClassVar[Kinds] = frozenset({Flow})
    reverses: ClassVar[bool] = True
    spaces: ClassVar[tuple[type, ...]] = (Euclidean, Sphere, Torus)

    def step(self, model: Evaluation, x: Tensor, t: Time, s: Time, rng: Rng) -> Tensor:
        """Combine the stages."""
        h, project = s - t, model.space.project
        stages = [velocity_of(model(x, t))]
        ends_singular = 1.0 in self.tableau.nodes and not model.finite_at_end
        if ends_singular and has_ended(s):
            return project(move(x, stages, (1.0,), h))
        for node, row in zip(self.tableau.nodes, self.tableau.matrix, strict=True):
            stages.append(velocity_of(model(project(move(x, stages, row, h)), t + node * h)))
        x_s = move(x, stages, self.tableau.weights, h)
        if ends_singular and not is_shared(s):
            euler = move(x, stages[:1], (1.0,), h)
            x_s = torch.where(expand_time(s, x) >= 1, euler, x_s)
        return project(x_s)


def velocity_of(generator: Generator) -> Tensor:
    """Return the velocity of a flow, or of a superposition of flows."""
    velocity = generator.split().drift
    assert velocity is not None
    return velocity


def move(x: Tensor, velocities: list[Tensor], weights: tuple[float, ...], h: Any) -> Tensor:
    """Return x + h * (the weighted sum of the velocities), in one pass a velocity.

    Elements whose clock stands still (h = 0) stay, whatever their velocity, which may be infinite
    at t = 1.
    """
    terms = [(v, w) for v, w in zip(velocities, weights, strict=False) if w]
    if not terms:
        return x
    if is_shared(h):
        moved = torch.add(x, terms[0][0], alpha=h * terms[0][1])
        for velocity, weight in terms[1:]:
            moved = moved.add_(velocity, alpha=h * weight)
        return moved
    h = expand_time(h, x)
    velocity = sum(weight * velocity for velocity, weight in terms)
    return where_moving(h, x, x + h * velocity)
