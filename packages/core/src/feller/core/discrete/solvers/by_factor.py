"""A solver for each factor of a product state: tokens by chains, numbers by any other rule.

Given all factors each moves on its own (Generator Matching, arXiv 2410.20587, proposition 4), so in
a step the model is asked once, at the state before it, and every factor moves by its own solver. A
solver that looks at its factor again within the step, such as Heun's or `FirstHitting` after its
first event, sees the others as they were. Those that end with the model's estimate ask once more,
together.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from feller.core.derived import DerivedModel
from feller.core.discrete.factors import Beside, Factor
from feller.core.discrete.models import PosteriorTokens
from feller.core.generators import Generator, Product
from feller.core.heads import Kinds
from feller.core.solvers.base import Evaluation, Solver, check
from feller.core.times import factor_times
from feller.core.typing import Rng

__all__ = ["ByFactor"]


@dataclass
class ByFactor(Solver):
    """Each factor steps with its own solver. One network call a step, plus those of the solvers.

    Attributes:
        solvers: The solvers by the names of the factors.

    Example:
        >>> from feller.core.discrete.solvers import Leap
        >>> from feller.core.solvers import Euler
        >>> solver = ByFactor({"position": Euler(), "residue": Leap()})
    """

    solvers: Mapping[str, Solver]
    takes: ClassVar[Kinds] = frozenset({Product})
    _own: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)
    _shared: "_Shared | None" = field(default=None, init=False, repr=False, compare=False)

    def begin(self, model: Evaluation, x_0: Any, times: Any, rng: Rng) -> Any:
        """Begin each factor.

        Raises:
            ValueError: When factors and solvers have other names, a solver does not suit, or there
                is not a grid.
        """
        super().begin(model, x_0, times, rng)
        if self.solvers.keys() != x_0.keys():
            raise ValueError(f"there are factors {sorted(x_0)}, solvers for {sorted(self.solvers)}")
        self._own, self._shared, begun = {}, _Shared(model), {}
        for name, solver in self.solvers.items():
            view = Evaluation(Factor(self._shared, name), model.condition)
            grid = [factor_times(t, x_0)[name] for t in times]
            check(view, solver, grid[0])
            self._own[name] = solver.fork(), view
            view.condition = self._beside(name, x_0, factor_times(times[0], x_0))
            begun[name] = self._own[name][0].begin(view, x_0[name], grid, rng)
        return begun

    def step(self, model: Evaluation, x: Any, t: Any, s: Any, rng: Rng) -> Any:
        """Ask once, then step each factor."""
        assert self._shared is not None
        now, times, after = self.finish(x), factor_times(t, x), factor_times(s, x)
        self._shared.look(now, times)
        moved = {}
        for name, (solver, view) in self._own.items():
            view.condition = self._beside(name, now, times)
            moved[name] = solver.step(view, x[name], times[name], after[name], rng)
        return moved

    def finish(self, state: Any) -> Any:
        """Return the state of each factor."""
        return {name: self._own[name][0].finish(each) for name, each in state.items()}

    def _beside(self, name: str, x: Mapping[str, Any], t: Mapping[str, Any]) -> Beside:
        """Return what the solver of a factor is given; of tokens, their posterior at `x` too."""
        assert self._shared is not None
        states, times = ({k: v for k, v in d.items() if k != name} for d in (x, t))
        beside = Beside(states, times, self._shared.whole.condition)
        said = self._shared.said
        if said is None or not self._own[name][1].space.is_discrete:
            return beside
        tokens = PosteriorTokens(self._own[name][1].model, tuple(x[name].shape[1:]))
        flat = x[name][:, None].flatten(1)
        logits = tokens.read(said.by_factor()[name], x[name], t[name])
        return beside._replace(seen=flat, logits=logits.reshape(*flat.shape, -1))


class _Shared(DerivedModel):
    """A model that answers again, without a call, what it was asked at the start of the step."""

    def __init__(self, whole: Evaluation) -> None:
        self.whole, self.model, self.said, self._ends = whole, whole.model, None, None

    def look(self, x: Mapping[str, Any], t: Mapping[str, Any]) -> None:
        """Ask at the state before a step."""
        self.x, self.t, self.said, self._ends = x, t, self.whole(x, t), None

    def __call__(self, x: Any, t: Any, condition: Any = None) -> Generator:
        """Return the generator at (x, t)."""
        if self.said is not None and self._is_start(x, t):
            return self.said
        self.whole.nfe += self.network_calls(t, condition)
        return self.whole.model(x, t, condition)

    @property
    def estimate(self) -> Any:
        """Return where the data are, asked once a step at the state before it."""
        return None if getattr(self.model, "estimate", None) is None else self._estimate

    def _estimate(self, x: Any, t: Any, condition: Any = None) -> Any:
        at_start = self.said is not None and self._is_start(x, t)
        if at_start and self._ends is not None:
            return self._ends
        self.whole.nfe += self.network_calls(t, condition)
        whole: Any = self.model
        found = whole.estimate(x, t, condition)
        self._ends = found if at_start else None
        return found

    def _is_start(self, x: Mapping[str, Any], t: Mapping[str, Any]) -> bool:
        return all(x[name] is self.x[name] and t[name] is self.t[name] for name in x)
