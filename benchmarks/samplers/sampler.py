"""What an adapter offers: samplers by name, each a function of how many samples and steps."""

from collections.abc import Callable
from dataclasses import dataclass

from problems import Problem
from torch import Tensor

__all__ = ["Sampler"]


@dataclass(frozen=True)
class Sampler:
    """A published way to draw samples, bound to the exact posterior of a problem.

    Attributes:
        package: The package as it is installed, whose version is printed.
        name: What the package calls it, and what is not its default.
        problem: What it is asked to draw.
        draw: Returns samples from their number and the number of steps.
        like: The sampler of feller of the same kind, by its name; of feller's own, itself.
        most: Most samples, where the package is slow.
    """

    package: str
    name: str
    problem: Problem
    draw: Callable[[int, int], Tensor]
    like: str = ""
    most: int = 1_000_000
