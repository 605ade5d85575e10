"""Draws of the data themselves: what the measure says of samples that are right."""

from collections.abc import Iterator

from problems import Points, Sequences
from sampler import Sampler

from adapters.feller_core import manifolds

__all__ = ["samplers"]


def samplers() -> Iterator[Sampler]:
    """Yield draws of each problem; the number of steps is no matter."""
    for problem in (Points(), Sequences(), *(problem for problem, _ in manifolds())):
        where = {False: ", sphere", True: ", torus"}.get(getattr(problem, "torus", None), "")
        yield Sampler("feller-core", f"data points drawn{where}", problem, problem.exact)
