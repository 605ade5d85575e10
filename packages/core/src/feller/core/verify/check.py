"""The check itself: both sides of the forward equation, for a model and its data."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from feller.core import random
from feller.core.couplings import check_independent
from feller.core.generators import Role
from feller.core.generators.parts import SIGN
from feller.core.pairs import is_pair
from feller.core.verify.actions import Functions, act
from feller.core.verify.distributions import Distribution, drawn, exact
from feller.core.verify.functions import Statistics, bank
from feller.core.verify.lattice import SETS, even, student
from feller.core.verify.pairs import drawn_pairs
from feller.core.verify.plan import Plan
from feller.core.verify.reference import Reference
from feller.core.verify.weights import weight_fault

__all__ = ["Probe", "Residual", "Verification", "verify"]


@dataclass(frozen=True)
class Probe:
    """One test function at one time."""

    time: float
    function: str


@dataclass(frozen=True)
class Residual:
    """Both sides for one function at one time.

    Attributes:
        time: The time.
        function: The name of the function.
        change: d/dt E f.
        action: E L f.
        due: The expected action: the change, minus the change for a backward generator, 0 for a
            stationary one.
        standard_error: Standard error of action minus due; 0 if both are sums over all states.
        allowed: The largest difference that passes.
    """

    time: float
    function: str
    change: float
    action: float
    due: float
    standard_error: float
    allowed: float

    @classmethod
    def measured(
        cls, probe: Probe, sides: Float[Tensor, "2 b"], plan: Plan, due: float = 1.0
    ) -> "Residual":
        """Return the residual of a probe on samples.

        `sides` is what each adds to d/dt E f and to E L f; the action should be `due` changes.
        """
        gap = sides[1] - due * sides[0]
        change, action = sides.mean(1).tolist()
        error = float(gap.std() / len(gap) ** 0.5)
        errors = student(plan.errors, SETS) if len(gap) == SETS else plan.errors
        allowed = errors * error + plan.tolerance
        return cls(probe.time, probe.function, change, action, due * change, error, allowed)

    @property
    def size(self) -> float:
        """|E L f less what is due|."""
        return abs(self.action - self.due)

    @property
    def passed(self) -> bool:
        """Whether the size is allowed; what is not a number is not."""
        return self.size <= self.allowed


@dataclass(frozen=True)
class Verification:
    """The residuals of one generator, or model.

    Attributes:
        residuals: One for each time and function.
        method: How expectations were computed.
        role: Forward, backward or stationary.
        labels: What was verified, by column of a report.
        note: A problem found before checking: weights that make no superposition.
        seed: Random seed of times, directions and samples.
    """

    residuals: tuple[Residual, ...]
    method: str
    role: Role = "forward"
    labels: Mapping[str, str] = field(default_factory=dict)
    note: str = ""
    seed: int = 0

    @property
    def passed(self) -> bool:
        """Whether every residual is allowed, and nothing is wrong beforehand."""
        return not self.note and all(residual.passed for residual in self.residuals)

    @property
    def worst(self) -> Residual:
        """The residual that exceeds, or comes nearest to, what is allowed."""
        return max(self.residuals, key=lambda r: math.inf if math.isnan(r.size) else _ratio(r))

    def relative(self, time: float | None = None) -> float:
        """Return the error of the generator as a fraction of what it should do.

        The root mean square over functions and times of the residual, in units of the function's
        own d/dt E f: its root mean square over the times, or a tenth of that of all functions where
        it hardly moves. What noise explains is taken out.

        Args:
            time: Only this time; all if None.
        """
        excess = sum(
            weight * (r.size**2 - r.standard_error**2) for r, weight in self._weights(time)
        )
        return math.sqrt(max(excess, 0.0))

    def noise(self, time: float | None = None) -> float:
        """Return the standard errors in the same unit: smaller relative errors are not resolved."""
        return math.sqrt(sum(weight * r.standard_error**2 for r, weight in self._weights(time)))

    @property
    def resolution(self) -> float:
        """The smallest error that fails, as a fraction of the generator: less is not resolved.

        Of a generator that does all of its work too fast, by that much, one residual at least is
        larger than allowed.
        """
        return min(
            (r.allowed / abs(r.change) for r in self.residuals if r.change), default=math.inf
        )

    def _weights(self, time: float | None) -> list[tuple[Residual, float]]:
        """Return residuals, each with what its square weighs in the mean."""
        changes: dict[str, list[float]] = {}
        for r in self.residuals:
            changes.setdefault(r.function, []).append(r.change**2)
        squares = {name: sum(each) / len(each) for name, each in changes.items()}
        # What hardly moves has no unit of its own.
        least = (0.01 * sum(squares.values()) / len(squares)) or math.nan
        kept = [r for r in self.residuals if time is None or r.time == time]
        return [(r, 1 / len(kept) / max(least, squares[r.function])) for r in kept]


def verify(
    model: Any, reference: Reference, *, plan: Plan | None = None, role: Role = "forward"
) -> Verification:
    """Compare d/dt E f with E L f for a model, at x_t made from reference data.

    Args:
        model: Returns the generator at (x, t); it has a `path`.
        reference: The data.
        plan: Times, functions and bounds.
        role: What the generator should do: move along the path, back along it, or leave it alone.

    Returns:
        A residual for each time and function. A diffusion of `FiniteData` on an interval is of data
        spread over cells of its `width`: at the default it fails by about 3e-4.

    Raises:
        ValueError: When the model has no path, was trained with pairs that depend on each other, or
            the role is none.

    Example:
        >>> from feller.core.generators import Flow
        >>> from feller.core.paths import GaussianPath
        >>> from feller.core.posteriors import FiniteData
        >>> points = torch.tensor([[-2.0], [2.0]], dtype=torch.float64)
        >>> verify(FiniteData(GaussianPath(), Flow, points), Reference(points)).passed
        True
    """
    if role not in SIGN:
        raise ValueError(f"unknown role {role!r}; there are {', '.join(SIGN)}")
    plan = Plan() if plan is None else plan
    path = model.path
    if path is None:
        raise ValueError(f"{type(model).__name__} has no path: what it should follow is unknown")
    if not is_pair(reference.points):
        check_independent(model, "verify without pairs")
    functions = _functions(path, reference, plan)
    residuals: list[Residual] = []
    method = note = ""
    for t in plan.chosen_times:
        sides, weights = [], None
        for marginal, condition, seed in _marginals(path, reference, t, plan):
            with torch.no_grad():
                generator = model(marginal.states, t, condition)
            note = note or weight_fault(generator, role)
            if plan.sums is not None and marginal.weights is not None:
                generator = plan.sums.landings(generator)
            weights, method = marginal.weights, marginal.method
            both = _sides(marginal, generator, functions.values, seed)
            sides.append(both.mean(1, keepdim=True) if marginal.is_set else both)
        both = torch.cat(sides, 1).unbind(-1)
        residuals += [
            _residual(Probe(t, name), rows, weights, plan, SIGN[role])
            for name, rows in zip(functions.names, both, strict=True)
        ]
    return Verification(tuple(residuals), method, role, note=note, seed=plan.seed)


def _functions(path: Any, reference: Reference, plan: Plan) -> Statistics:
    if plan.functions is not None:
        return plan.functions
    if plan.sums is not None:
        return plan.sums.functions(reference.points)
    seed = random.seed_of(plan.seed, "directions")
    return bank(path.space, reference.points, count=plan.directions, seed=seed)


def _marginals(
    path: Any, reference: Reference, t: float, plan: Plan
) -> Iterator[tuple[Distribution, Tensor | None, int]]:
    """Yield the distribution as one sum, or as samples in batches; with conditions and a seed."""
    if plan.method is None and reference.conditions is None:
        total = exact if plan.sums is None else plan.sums.distribution
        marginal = total(path, reference.points, reference.probabilities, t)
        if marginal is not None:
            yield marginal, None, plan.seed
            return
    if plan.method is None:
        count = 0
        for marginal, condition in even(path, reference, t, plan.samples, plan.seed):
            count += 1
            yield replace(marginal, is_set=True), condition, random.seed_of(plan.seed, t, count)
        if count:
            return
    for start in range(0, plan.samples, plan.batch):
        seed = random.seed_of(plan.seed, t, start)
        rng = torch.Generator().manual_seed(seed)
        z, condition = reference.draw(min(plan.batch, plan.samples - start), rng)
        pairs = is_pair(z)
        marginal = (
            drawn_pairs(path, z, t, rng) if pairs else drawn(path, z, t, rng, method=plan.method)
        )
        yield marginal, condition, seed


def _sides(marginal: Distribution, generator: Any, f: Functions, seed: int) -> Tensor:
    """Return what each state contributes to d/dt E f and to E L f: `(2, b, functions)`."""
    with torch.no_grad():
        action = act(generator, f, marginal.states, torch.Generator().manual_seed(seed)).double()
        rise = marginal.rise(f).double()
    return torch.stack(
        [rise, action if marginal.weights is None else marginal.weights[:, None] * action]
    )


def _residual(
    probe: Probe, sides: Tensor, weights: Tensor | None, plan: Plan, due: float
) -> Residual:
    if weights is None:
        return Residual.measured(probe, sides, plan, due)
    change, action = sides.sum(1).tolist()
    due *= change
    return Residual(probe.time, probe.function, change, action, due, 0.0, plan.tolerance)


def _ratio(residual: Residual) -> float:
    return residual.size / residual.allowed if residual.allowed else math.inf
