"""Examples of every path, on which each entry of the table of solutions is verified.

A new entry is verified as soon as its path has an example here; a test holds that it has.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from feller.core.algebra import backward, stationary
from feller.core.generators import Generator
from feller.core.generators.combine import Role
from feller.core.paths import GaussianPath, GeodesicPath, GeometricPath, MixturePath
from feller.core.schedules import CondOT, Cosine, Geometric, Polynomial, VariancePreserving
from feller.core.solutions import Solution, langevin, mixture_corrector, solution, solved
from feller.core.solutions.diffusion import gaussian_score
from feller.core.sources import Gaussian, Masked, UniformBox, UniformSphere, UniformTokens
from feller.core.spaces import Euclidean, Interval, Sphere, Tokens, Torus
from feller.core.times import expand_time
from feller.core.typing import Time
from feller.core.verify.check import Plan, Reference, Verification, verify
from feller.core.verify.entry import Entry

__all__ = ["CORRECTORS", "EXAMPLES", "Case", "Example", "Term", "cases", "combined", "verify_case"]


@dataclass(frozen=True)
class Example:
    """A path with data on it.

    Attributes:
        path: The path.
        points: Data points; the first alone for conditional solutions, all for marginal ones.
        kinds: The names of the kinds of generator, and correctors, it is an example of.
        marginal: Whether it has a posterior in closed form.
    """

    path: Any
    points: Tensor
    kinds: tuple[str, ...]
    marginal: bool = False

    def data(self) -> list[Tensor]:
        """Return the first point, and all of them where there is a posterior."""
        return [self.points[:1], *([self.points] if self.marginal else [])]


@dataclass(frozen=True)
class Term:
    """A weighted solution.

    Attributes:
        name: A kind of generator, `flow`, or a corrector of `CORRECTORS`.
        weight: Its weight.
        backward: Whether it is the solution of reversed time.
    """

    name: str
    weight: float = 1.0
    backward: bool = False

    def __str__(self) -> str:
        """Return it as in a formula."""
        weight = "" if self.weight == 1 else f"{self.weight:g} "
        return f"{weight}{'backward ' if self.backward else ''}{self.name}"

    def role(self) -> Role:
        """Return what it does to the path."""
        if self.name in CORRECTORS:
            return "stationary"
        return "backward" if self.backward else "forward"

    def solve(self, path: Any) -> Solution:
        """Return the solution for a path.

        Raises:
            LookupError: When there is none.
        """
        if self.name in CORRECTORS:
            return CORRECTORS[self.name][1]
        kinds = {kind.__name__.lower(): kind for _, kind in solved(backward=self.backward)}
        return solution(path, kinds[self.name], backward=self.backward)


@dataclass(frozen=True)
class Case:
    """What makes one row of a report.

    Attributes:
        path: The path.
        points: The data: one point for a conditional generator, more for a marginal one.
        terms: The solutions, and their weights.
        role: What their sum should do.
    """

    path: Any
    points: Tensor
    terms: tuple[Term, ...]
    role: Role = "forward"

    def labels(self) -> dict[str, str]:
        """Return what it is, in words."""
        data = "one point" if len(self.points) == 1 else f"{len(self.points)} points"
        return {
            "path": type(self.path).__name__.removesuffix("Path").lower(),
            "space": _space(self.path.space, self.points),
            "schedule": type(self.path.schedule).__name__,
            "generator": " + ".join(map(str, self.terms)),
            "data": data,
        }


def verify_case(case: Case, plan: Plan | None = None) -> Verification:
    """Verify the solutions of a case, in a superposition if there are several.

    Example:
        >>> path = GaussianPath(schedule=Cosine())
        >>> point = torch.tensor([[0.7]], dtype=torch.float64)
        >>> verify_case(Case(path, point, (Term("flow", 0.5), Term("jump", 0.5)))).passed
        True
        >>> both = verify_case(Case(path, point, (Term("flow"), Term("jump"))))
        >>> both.passed, both.note
        (False, 'forward weights less backward weights sum to 1, these to 2')
    """
    mark = {"forward": lambda m: 1.0 * m, "backward": backward, "stationary": stationary}
    models = [Entry(case.path, term.solve(case.path), case.points) for term in case.terms]
    parts = [t.weight * mark[t.role()](m) for t, m in zip(case.terms, models, strict=True)]
    alone = len(models) == 1 and case.terms[0].weight == 1
    model = models[0] if alone else sum(parts[1:], start=parts[0])
    found = verify(model, Reference(case.points), plan=plan, role=case.role)
    return replace(found, labels=case.labels())


def cases() -> Iterator[Case]:
    """Yield the whole table: each solution alone, given one point and, where it can, several.

    Sums of solutions need no rows: both sides of the equation are linear in the generator.
    """
    for way in (False, True):
        for path_class, kind in solved(backward=way):
            term = Term(kind.__name__.lower(), backward=way)
            yield from combined((term,), path_class, term.role())
    for name, (path_class, _) in CORRECTORS.items():
        yield from combined((Term(name),), path_class, "stationary")


def combined(terms: tuple[Term, ...], path_class: type, role: Role = "forward") -> Iterator[Case]:
    """Yield a sum of solutions on every example of a path that has them all."""
    for example in EXAMPLES.get(path_class, list)():
        if all(term.name in example.kinds for term in terms):
            for points in example.data():
                yield Case(example.path, points, terms, role)


def _gaussian() -> list[Example]:
    kinds = ("flow", "diffusion", "jump", "langevin")
    line, space = _reals([[0.7], [-1.1]]), _reals([[-1.1, 0.4, 0.2], [0.8, -0.3, 1.0]])
    schedules = (CondOT(), Cosine(), Polynomial(), VariancePreserving(), Geometric())
    return [
        *(Example(GaussianPath(schedule=each), line, kinds, marginal=True) for each in schedules),
        Example(GaussianPath(), space, kinds, marginal=True),
    ]


def _geodesic() -> list[Example]:
    angles = UniformBox(-math.pi, math.pi)
    return [
        Example(GeodesicPath(Euclidean(), Gaussian()), _reals([[-1.1, 0.4]]), ("flow",)),
        Example(GeodesicPath(Torus(), angles, Cosine()), _reals([[-1.1, 0.4]]), ("flow",)),
        Example(
            GeodesicPath(Sphere(), UniformSphere(), Polynomial()),
            _reals([[0.6, 0.0, 0.8]]),
            ("flow",),
        ),
    ]


def _mixture() -> list[Example]:
    kinds = ("jump", "corrector")
    tokens, long = torch.tensor([[2, 0], [1, 3], [3, 3]]), torch.arange(20)[None] % 4
    masked = MixturePath(Tokens(5), Masked(4))
    uniform = MixturePath(Tokens(5), UniformTokens(5), Cosine())
    numbers = _reals([[0.7], [-0.3]])
    interval = MixturePath(Interval(), UniformBox())
    return [
        Example(masked, tokens, kinds, marginal=True),
        Example(uniform, tokens, kinds, marginal=True),
        Example(masked, long, kinds),
        Example(MixturePath(Euclidean(), Gaussian()), numbers, kinds, marginal=True),
        Example(interval, numbers, (*kinds, "diffusion"), marginal=True),
        Example(MixturePath(Sphere(), UniformSphere()), _reals([[0.6, 0.0, 0.8]]), kinds),
    ]


def _geometric() -> list[Example]:
    tokens = torch.tensor([[2, 0], [1, 3], [3, 3]])
    path = GeometricPath(Tokens(5), noise=0.1)
    return [
        Example(path, tokens, ("jump",), marginal=True),
        Example(replace(path, schedule=Cosine()), tokens[:, :1], ("jump",), marginal=True),
    ]


EXAMPLES: Mapping[type, Callable[[], list[Example]]] = MappingProxyType(
    {
        GaussianPath: _gaussian,
        GeodesicPath: _geodesic,
        GeometricPath: _geometric,
        MixturePath: _mixture,
    }
)
"""The examples of each class of path."""


def _langevin(path: GaussianPath, x: Tensor, t: Time, z: Tensor) -> Generator:
    return langevin(gaussian_score(path, x, t, z), path.schedule.sigma(expand_time(t, x)) ** 2)


CORRECTORS: Mapping[str, tuple[type, Solution]] = MappingProxyType(
    {"langevin": (GaussianPath, _langevin), "corrector": (MixturePath, mixture_corrector)}
)
"""Stationary parts: for which path, and from (path, x, t, z) to what leaves p_t(. | z) alone."""


def _reals(values: list[list[float]]) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def _space(space: Any, points: Tensor) -> str:
    size = "x".join(str(n) for n in points.shape[1:]) or "1"
    return f"{type(space).__name__.lower()} {size}"
