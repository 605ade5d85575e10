"""Which grid suits a model."""

from typing import Any

from feller.core.generators import Diffusion, Flow
from feller.core.generators.base import is_kind
from feller.core.grids import Grid, logarithmic_grid, uniform_grid
from feller.core.paths import GaussianPath

__all__ = ["grid_for"]


def grid_for(model: Any, steps: int) -> Grid:
    """Return a grid of `steps` steps on which a model does the same work in each.

    Flows move at an even pace, up to t = 1. On the Gaussian path jumps and diffusions work at the
    rate 1 / (1 - t): equal steps of log(1 - t), which end before 1, give each the same probability
    of a jump. On a mixture path jumps survive a step exactly, and the last step draws what is left.
    A product gets equal steps too; where a factor wants others, give `simulate` a grid for each.

    Example:
        >>> from feller.core.generators import Flow, Jump
        >>> from feller.core.paths import GaussianPath
        >>> from feller.core.posteriors import FiniteData
        >>> import torch
        >>> points = torch.tensor([[-2.0], [2.0]])
        >>> grid_for(FiniteData(GaussianPath(), Flow, points), 2)
        tensor([0.0000, 0.5000, 1.0000])
        >>> grid_for(FiniteData(GaussianPath(), Jump, points), 2)
        tensor([0.0000, 0.9684, 0.9990])
    """
    calm = all(is_kind(kind, [Flow]) for kind in model.kinds)
    if calm or (not isinstance(model.path, GaussianPath) and Diffusion not in model.kinds):
        return uniform_grid(steps)
    return logarithmic_grid(steps)
