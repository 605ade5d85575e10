"""What a predicted generator is compared with: the conditional one, at x_t made from z.

A generator knows how it is compared (`Generator.compare`); the comparison knows with what: it looks
the target up in the table of solutions, and has the terms that kinds are made of. A superposition
hands each part, a product each factor, a comparison of its own.
"""

from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from feller.core.divergences import BregmanDivergence
from feller.core.generators import Destination, Generator, Jump, Part
from feller.core.generators.parts import by_name
from feller.core.losses.terms import At, compare_jumps, compare_posteriors
from feller.core.parametrizations import Parametrization
from feller.core.solutions import solution
from feller.core.times import expand_time, factor_times, moving_time

__all__ = ["Comparison", "Measures"]


@dataclass(frozen=True)
class Measures:
    """How generators are compared.

    Attributes:
        divergence: The Bregman divergence of flows, diffusions and other vectors.
        jump_divergence: The Bregman divergence of jumps and posteriors.
        loss_space: The parametrization in which flows are compared.
    """

    divergence: BregmanDivergence
    jump_divergence: BregmanDivergence
    loss_space: Parametrization = "velocity"


@dataclass(frozen=True)
class Comparison:
    """The comparison of a prediction at x_t with the conditional generator given z.

    Attributes:
        measures: The divergences.
        path: The conditional path.
        z: The data that x_t comes from; of a product, a dict.
        t: The time: one, one a sample, or one an element; of a product also a dict.
        x: The states x_t.
        backward: Whether the target solves the KFE of reversed time.
        stationary: Whether it leaves p_t unchanged: only a score is then a target.
    """

    measures: Measures
    path: Any
    z: Any
    t: Any
    x: Any
    backward: bool = False
    stationary: bool = False

    def of_factor(self, name: str) -> "Comparison":
        """Return the comparison of a factor of a product."""
        t = factor_times(self.t, self.path.factors)[name]
        return replace(self, path=self.path.factors[name], z=self.z[name], t=t, x=self.x[name])

    def of_part(self, part: Part) -> Float[Tensor, " b"]:
        """Return the loss of a part, whose target solves the KFE in its direction of time."""
        backward = self.backward != (part.role == "backward")
        still = self.stationary or part.role == "stationary"
        found = part.generator.compare(replace(self, backward=backward, stationary=still))
        return torch.stack([*by_name(found).values()]).sum(0)

    def target(self, kind: type[Generator]) -> Any:
        """Return the conditional generator of a kind.

        Raises:
            LookupError: When the path has no solution of the kind.
            ValueError: When z has another shape than x_t, and for a stationary part.
        """
        self._check_shapes()
        if self.stationary:
            raise ValueError("a stationary part has no target: train it on its own")
        find = solution(self.path, kind, backward=self.backward)
        return find(self.path, self.x, moving_time(self.t), self.z)

    def score(self) -> Tensor:
        """Return the score of the conditional path, the target of Langevin motion."""
        self._check_shapes()
        return self.path.score(self.x, moving_time(self.t), self.z)

    def converted(self, velocity: Tensor) -> Tensor:
        """Return a velocity in the parametrization of the loss.

        Raises:
            ValueError: When that is another than the velocity and the path has no score.
        """
        space = self.measures.loss_space
        return self.path.convert(velocity, "velocity", space, self.x, moving_time(self.t))

    def vectors(self, target: Tensor, predicted: Tensor) -> Float[Tensor, " b"]:
        """Return the divergence of two tensors, averaged over the elements of each sample.

        Raises:
            ValueError: When they have other shapes.
        """
        if predicted.shape != target.shape:
            raise ValueError(
                f"the model returns {tuple(predicted.shape)}, the target is {tuple(target.shape)}"
            )
        return self._mean(self.measures.divergence(target, predicted))

    def jumps(self, target: Jump, predicted: Jump) -> Float[Tensor, " b"]:
        """Return the divergence of two jumps, averaged over the elements of each sample."""
        at = At(self.path, self.x, moving_time(self.t))
        return self._mean(compare_jumps(self.measures.jump_divergence, target, predicted, at))

    def posterior(self, predicted: Destination) -> Float[Tensor, " b"]:
        """Return the divergence of a predicted posterior from z, averaged over the elements.

        Elements that are certainly data already count nothing: from a mask, those not masked.
        """
        self._check_shapes()
        each = compare_posteriors(self.measures.jump_divergence, self.z, predicted)
        arrived = self.path.arrived(self.x)
        return self._mean(each if arrived is None else torch.where(arrived, 0, each))

    def _check_shapes(self) -> None:
        x, z = self.x.shape, self.z.shape
        if z != x:
            raise ValueError(f"z has the shape of x_t, {tuple(x)}, not {tuple(z)}")

    def _mean(self, each: Tensor) -> Tensor:
        """Return the mean over the elements of each sample, known ones at nothing."""
        if torch.as_tensor(self.t).ndim > 1:
            each = torch.where(expand_time(self.t < 1, each), each, 0)
        return each[:, None].flatten(1).mean(1)
