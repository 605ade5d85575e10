"""Rows of a report: sums of solutions on examples of their paths."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from feller.core.algebra import backward, stationary
from feller.core.generators import Role
from feller.core.solutions import Solution, solution, solved
from feller.core.verify.check import Verification, verify
from feller.core.verify.distributions import Sums
from feller.core.verify.entry import Entry
from feller.core.verify.examples import correctors, every
from feller.core.verify.plan import Plan
from feller.core.verify.reference import Reference

__all__ = ["Case", "Term", "cases", "combined", "verify_case"]


@dataclass(frozen=True)
class Term:
    """A weighted solution.

    Attributes:
        name: A kind of generator, `flow`, or a corrector.
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
        if self.name in correctors():
            return "stationary"
        return "backward" if self.backward else "forward"

    def solve(self, path: Any) -> Solution:
        """Return the solution for a path.

        Raises:
            LookupError: When there is none.
        """
        if self.role() == "stationary":
            return _corrector(self.name, path)
        kinds = {kind.__name__.lower(): kind for _, kind in solved(backward=self.backward)}
        return solution(path, kinds[self.name], backward=self.backward)


@dataclass(frozen=True)
class Case:
    """The inputs of one row of a report.

    Attributes:
        path: The path.
        points: The data: one point for a conditional generator, more for a marginal one.
        terms: The solutions, and their weights.
        role: The expected role of their sum.
        sums: How the distribution is summed exactly, where the core does not know.
    """

    path: Any
    points: Any
    terms: tuple[Term, ...]
    role: Role = "forward"
    sums: Sums | None = None

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
        >>> import torch
        >>> from feller.core.paths import GaussianPath
        >>> path, point = GaussianPath(), torch.tensor([[0.7]], dtype=torch.float64)
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
    plan = replace(Plan() if plan is None else plan, sums=case.sums)
    found = verify(model, Reference(case.points), plan=plan, role=case.role)
    return replace(found, labels=case.labels())


def cases() -> Iterator[Case]:
    """Yield the whole table: each solution alone, given one point and, where it can, several.

    Sums of solutions need no rows: both sides of the equation are linear in the generator.
    """
    stationary_parts = correctors()  # before the table is read: a domain enters its own into it
    for way in (False, True):
        for path_class, kind in solved(backward=way):
            term = Term(kind.__name__.lower(), backward=way)
            yield from combined((term,), path_class, term.role())
    for name, of in stationary_parts.items():
        for path_class, _ in of:
            yield from combined((Term(name),), path_class, "stationary")


def combined(
    terms: tuple[Term, ...], path_class: type | None = None, role: Role = "forward"
) -> Iterator[Case]:
    """Yield a sum of solutions on every example of a path, or of any path, that has them all."""
    for known in every():
        for here, make in known.paths.items():
            if path_class not in (None, here):
                continue
            for example in make():
                if all(term.name in example.kinds for term in terms):
                    for points in example.data():
                        yield Case(example.path, points, terms, role, example.sums)


def _corrector(name: str, path: Any) -> Solution:
    for path_class, solve in correctors()[name]:
        if isinstance(path, path_class):
            return solve
    raise LookupError(f"no {name} of a {type(path).__name__} is known")


def _space(space: Any, points: Any) -> str:
    size = "x".join(str(n) for n in points.shape[1:]) or "1"
    return f"{type(space).__name__.lower()} {size}"
