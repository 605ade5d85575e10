"""Conditional solutions as models: for one data point, or averaged over the posterior of many."""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from feller.core.algebra import Model
from feller.core.generators import Flow, Generator
from feller.core.heads import Kinds
from feller.core.pairs import Pair
from feller.core.posteriors import FiniteData
from feller.core.solutions import Solution
from feller.core.times import is_shared
from feller.core.typing import Time

__all__ = ["Entry"]


@dataclass(frozen=True)
class Entry(Model):
    """The generator of a conditional solution for data that are one of `points`.

    With one point it is the conditional generator itself; with several, its mean over the exact
    posterior.

    Attributes:
        path: The path; with several points, one that `FiniteData` knows a posterior of.
        solve: The solution, from (path, x, t, z) to a generator: `solution(path, kind)`, or any
            function that is to be verified.
        points: The data, `(k, *event)`, or a `Pair`.
        weights: Their probabilities; uniform if None.

    Example:
        >>> import torch
        >>> from feller.core.paths import GaussianPath
        >>> from feller.core.solutions import solution
        >>> path, points = GaussianPath(), torch.tensor([[-2.0], [2.0]])
        >>> Entry(path, solution(path, Flow), points)(torch.zeros(1, 1), 0.5).velocity
        tensor([[0.]])
    """

    path: Any
    solve: Solution
    points: Tensor | Pair
    weights: Float[Tensor, " k"] | None = None
    kinds: ClassVar[Kinds] = frozenset({Generator})

    def __call__(self, x: Tensor, t: Time, condition: None = None) -> Generator:
        """Return the generator at (x, t)."""
        if len(self.points) == 1:
            return self.solve(self.path, x, t, self.points.expand_as(x))
        clock = t if is_shared(t) else torch.as_tensor(t)[:, None]
        each = self.solve(self.path, x[:, None], clock, self.points[None])
        # The kind does not count. Cells so small hold what is at an atom, and nothing else.
        data = FiniteData(self.path, Flow, self.points, self.weights, width=1e-9)
        return each.average(data.posterior(x, t))
