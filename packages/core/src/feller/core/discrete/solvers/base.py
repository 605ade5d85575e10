"""Token solvers: steps of chains in the one loop, `feller.core.solvers.simulate`.

A step first decides which elements jump, from kappa alone; only those are asked of the network,
and only their tokens are drawn. So no table of rates, nor of all logits, is ever made, and a row in
which nothing jumps costs nothing. Rows are asked together and otherwise know nothing of each other:
each has its kappa and its rng, and is left alone when it is done.
"""

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from feller.core import random
from feller.core.discrete.categorical import Bonus, Shaping, draw_tokens
from feller.core.discrete.kernel import Kernel, log_source
from feller.core.discrete.models import JUMP, TokenModel, rows_of, token_model
from feller.core.discrete.parametrizations import TokenParametrization
from feller.core.discrete.solvers.state import TokenState, state_at
from feller.core.heads import Kinds
from feller.core.paths import MixturePath
from feller.core.schedules import Schedule
from feller.core.solvers.base import Evaluation, Solver, Times, follow
from feller.core.spaces import Tokens
from feller.core.typing import Rng, Time

__all__ = ["Prediction", "TokenSolver", "follow_turns", "given", "mixing_weight", "uniforms"]


@dataclass(frozen=True)
class Prediction:
    """A token model bound to its condition and to how its distributions are shaped.

    Attributes:
        model: The model.
        log_source: log pi of every id.
        condition: One for each row, or one for all.
        shaping: How a distribution is changed before a draw.
        hides: Whether the source is all mask, so that any token but the mask is data.
    """

    model: TokenModel
    log_source: Float[Tensor, " k"]
    condition: Any
    shaping: Shaping
    hides: bool

    @classmethod
    def of(cls, model: TokenModel, condition: Any, shaping: Shaping, like: Tensor) -> "Prediction":
        """Bind a model, on the device of `like`.

        Raises:
            ValueError: When the model was never trained on the condition.
        """
        model.check_condition(condition)
        pi = log_source(model.path.source, model.vocabulary.size).to(like.device)
        hides = not bool(pi[: model.vocabulary.sampleable].isfinite().any())
        return cls(model, pi, condition, shaping, hides)

    def rows(self, index: Int[Tensor, " r"]) -> "Prediction":
        """Return the prediction of some rows."""
        return replace(self, condition=rows_of(self.condition, index))

    def kernel(self, kappa: Float[Tensor, "*batch"]) -> Kernel:
        """Return the distribution of tokens at some mixing weights."""
        return Kernel(kappa, self.log_source)

    def undecided(self, state: TokenState) -> Bool[Tensor, "b n"]:
        """Return which open elements may still be noise."""
        return state.open & (self.log_source[state.x] > -torch.inf)

    def logits(
        self, state: TokenState, where: Bool[Tensor, "b n"]
    ) -> tuple[Float[Tensor, "m v"], TokenState]:
        """Ask the network for some elements; rows without any are not asked.

        Returns:
            Its logits of those elements, row by row, and the state with the calls counted.
        """
        asked = where.any(1).nonzero()[:, 0]
        x, kappa = state.x[asked], state.kappa[asked]
        if self.hides and not self.model.keeps_clock:
            kappa = (x != self.model.vocabulary.mask).double().mean(1)
        condition = rows_of(self.condition, asked)
        logits = self.model.logits(x, kappa, condition, where=where[asked])
        if without := self.shaping.without:
            ids = torch.tensor(without, device=logits.device)
            logits = logits.index_fill(-1, ids, -torch.inf)
        cost = torch.full_like(asked, self.model.network_calls(0.5, condition))
        return logits, replace(state, nfe=state.nfe.index_add(0, asked, cost))

    def draw(
        self,
        state: TokenState,
        where: Bool[Tensor, "b n"],
        rng: Rng,
        asked_for: TokenParametrization = "posterior",
    ) -> tuple[Int[Tensor, " m"], Float[Tensor, " m"], TokenState]:
        """Draw tokens for some elements from what the network says of them.

        Returns:
            The tokens and their log-probabilities, row by row, and the state with the calls
            counted.
        """
        if not where.any():
            return state.x.new_zeros(0), state.level.new_zeros(0), state
        logits, asked = self.logits(state, where)
        return *self.draw_from(logits, state, where, rng, asked_for), asked

    def draw_from(
        self,
        logits: Float[Tensor, "m v"],
        state: TokenState,
        where: Bool[Tensor, "b n"],
        rng: Rng,
        asked_for: TokenParametrization = "posterior",
    ) -> tuple[Int[Tensor, " m"], Float[Tensor, " m"]]:
        """Draw tokens from the network's logits of the elements in `where`."""
        u = uniforms((len(logits),), random.ragged(rng, where), logits)
        bonus = self.evidence(state, where, asked_for)
        ids, log_prob = draw_tokens(logits, u, self.shaping, bonus=bonus)
        return ids, log_prob.double()

    def evidence(
        self, state: TokenState, where: Tensor, asked_for: TokenParametrization
    ) -> Bonus | None:
        """Return what turns the logits of the network into those asked for."""
        if self.model.parametrization == asked_for or self.hides:
            return None
        z, kernel = state.x[where], self.kernel(state.kappa[where])
        known = (z < self.model.vocabulary.sampleable) & ~kernel.decided(z)
        sign = 1.0 if asked_for == "posterior" else -1.0
        evidence = torch.where(known, sign * kernel.evidence(z), 0.0)
        return Bonus(torch.where(known, z, 0), evidence)


@dataclass
class TokenSolver(Solver):
    """A rule for one move of a batch of chains, on any model whose path is a mixture of tokens.

    Text networks compute only the elements that jump; a `GeneratorModel` with a `PosteriorHead`, a
    guided model, or exact data compute the whole state. A factor of a product is moved by
    `feller.core.discrete.solvers.ByFactor`. Simulated states are tensors, also of pixels, or a
    `TokenState`, which records which tokens are given and when each was revealed.

    Attributes:
        shaping: Temperature, top-k and top-p of each draw; none by default.

    Example:
        >>> from feller.core.discrete.solvers import FirstHitting
        >>> from feller.core.heads import PosteriorHead
        >>> from feller.core.models import GeneratorModel
        >>> from feller.core.solvers import simulate
        >>> from feller.core.sources import Masked
        >>> path = MixturePath(Tokens(4), Masked(3))
        >>> network = lambda x, t, condition: torch.zeros(*x.shape, 3)
        >>> model = GeneratorModel(network, path, PosteriorHead(3))
        >>> simulation = simulate(model, path.sample_source((2, 5), None), None, FirstHitting())
        >>> bool((simulation.state < 3).all()), simulation.nfe
        (True, 5)
    """

    shaping: Shaping = field(default_factory=Shaping, kw_only=True)
    takes: ClassVar[Kinds] = JUMP
    spaces: ClassVar[tuple[type, ...]] = (Tokens,)
    paths: ClassVar[tuple[type, ...]] = (MixturePath,)
    _prediction: Prediction | None = field(default=None, init=False, repr=False, compare=False)
    _keeps: bool = field(default=False, init=False, repr=False, compare=False)
    _moves_once: bool = field(default=False, init=False, repr=False, compare=False)

    @abstractmethod
    def move(
        self, prediction: Prediction, state: TokenState, later: Float[Tensor, " b"], rng: Rng
    ) -> TokenState:
        """Return the state after a move; every row is below `later`, the mixing weight sought.

        A move ends at `later` or before, and is then made again. A row that has reached 1 is done.

        Raises:
            ValueError: When the model's source does not suit the solver.
        """

    def begin(self, model: Evaluation, x_0: Any, times: Any, rng: Rng) -> TokenState:
        """Return the states as chains at the mixing weight of the first time.

        Where elements have clocks of their own, those that begin at t = 1 are given.
        """
        self._keeps, self._moves_once = isinstance(x_0, TokenState), times is None
        if not self._keeps:
            first = 0.0 if times is None else times[0]
            super().begin(model, x_0, times, rng)
            x_0 = state_at(x_0, mixing_weight(model.path.schedule, first, x_0), given(first))
        tokens = token_model(model.model, x_0.event)
        self._prediction = Prediction.of(tokens, model.condition, self.shaping, x_0.x)
        return x_0

    def step(self, model: Evaluation, x: TokenState, t: Time, s: Time, rng: Rng) -> TokenState:
        """Move each row that is not done from its mixing weight to the mixing weight at `s`.

        Without a grid, make one move.
        """
        assert self._prediction is not None
        asked = replace(self._prediction, condition=model.condition)
        later = mixing_weight(model.path.schedule, s, x.x)
        while len(running := (x.reached < later).nonzero()[:, 0]):
            part = x.rows(running)
            part = self.move(asked.rows(running), part, later[running], rows_of(rng, running))
            x = x.put(running, part)
            if self._moves_once:
                break
        model.nfe = max([0, *x.nfe.tolist()])
        return x

    def done(self, state: TokenState) -> bool:
        """Return whether the present turn of every row is over."""
        return not bool((state.reached < 1).any())

    def finish(self, state: TokenState) -> Any:
        """Return the chains as states, a tensor unless they came as a `TokenState`."""
        return state if self._keeps else state.tokens


def follow_turns(
    model: Evaluation, state: TokenState, times: Times, solver: TokenSolver, rng: Rng = None
) -> Iterator[TokenState]:
    """Yield the chains at each time of each of their turns: blocks, one after the other.

    Args:
        model: The model, bound to its condition.
        state: What `token_state` returns.
        times: The grid of each turn; None for a solver with times of its own.
        solver: The step.
        rng: Where randomness comes from; with one generator a row, a row is the same in any batch.
    """
    yield (now := state)
    while bool((now.reached < 1).any()):
        for now in follow(model, now, times, solver, rng):  # noqa: B020  (each turn goes on)
            yield now
        now = now.next_turn()


def mixing_weight(schedule: Schedule, t: Time, like: Tensor) -> Float[Tensor, " b"]:
    """Return kappa at a time, one for each row of `like`; exactly 1 at t = 1.

    Raises:
        ValueError: When elements of a row have other times than that of the row, or 1.

    Example:
        >>> from feller.core.schedules import CondOT
        >>> mixing_weight(CondOT(), 0.25, torch.zeros(2, 1))
        tensor([0.2500, 0.2500], dtype=torch.float64)
    """
    time = torch.as_tensor(t, dtype=torch.float64, device=like.device)
    if time.ndim > 1:
        each, time = time.flatten(1), time.flatten(1).amin(1)
        if not ((each == time[:, None]) | (each == 1)).all():
            raise ValueError("token solvers keep one time a row, and 1 for what is given")
    return torch.where(time < 1, schedule.alpha(time), 1.0).expand(len(like)).clone()


def given(t: Time) -> Bool[Tensor, "b n"] | None:
    """Return which elements are data by their own clocks; None where they have none.

    Example:
        >>> given(torch.tensor([[0.0, 1.0]]))
        tensor([[False,  True]])
    """
    time = torch.as_tensor(t)
    return time.flatten(1) == 1 if time.ndim > 1 else None


def uniforms(shape: tuple[int, ...], rng: Rng, like: Tensor) -> Tensor:
    """Draw float64 uniforms on the device of `like`."""
    return random.uniform(shape, rng, like=torch.empty(0, dtype=torch.float64, device=like.device))
