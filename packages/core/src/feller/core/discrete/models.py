r"""Models of tokens: what chains and evidence bounds ask of a network.

A **token model** says of each position of a sequence how probable each id is, at any mixing weight
kappa. Text's networks are token models; so is any model of generators on a mixture path of tokens,
through `token_model`: its jump determines the posterior, since

.. math:: p(y | x_t) = \frac{\lambda_t J_t(y)}{h_t} + \Big(1 - \frac{\lambda_t}{h_t}\Big) 1[y = x],
    \qquad h_t = \frac{\dot\kappa_t}{1 - \kappa_t}.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from feller.core.algebra import Model
from feller.core.discrete.parametrizations import (
    TokenParametrization,
    convert_logits,
    own_evidence,
)
from feller.core.generators import Categorical, Generator, Jump
from feller.core.generators.base import is_kind
from feller.core.generators.cells import TokenCells
from feller.core.heads import Kinds
from feller.core.paths import MixturePath
from feller.core.schedules import Schedule
from feller.core.solutions import cumulative_hazard, event_rate
from feller.core.times import expand_time
from feller.core.typing import Time

__all__ = [
    "JUMP",
    "Ids",
    "PosteriorTokens",
    "States",
    "TokenModel",
    "Where",
    "check_labels",
    "rows_of",
    "time_of",
    "token_model",
]

States = Int[Tensor, "b n"]
Where = Bool[Tensor, "b n"] | None
JUMP: Kinds = frozenset({Jump})


class Ids(NamedTuple):
    """Which ids a token takes.

    Attributes:
        size: Number of all ids.
        sampleable: Number of those that are predicted, which come first.
        mask: The id of the mask; None without one.
    """

    size: int
    sampleable: int
    mask: int | None


class TokenModel(Model, ABC):
    """Logits of the data at each position, on a mixture path.

    Attributes:
        path: The path, on all ids of the vocabulary.
        vocabulary: Has `size` ids, of which the first `sampleable` are predicted, and the id of a
            `mask` or None.
        parametrization: Whether the logits are the posterior's or leave-one-out.
        keeps_clock: Whether a model of a mask source is asked at the time of the chain. One that is
            not is asked at the fraction unmasked: its posterior depends on the state alone.
        kinds: A jump.
    """

    path: MixturePath
    vocabulary: Any
    parametrization: TokenParametrization
    keeps_clock: ClassVar[bool] = False
    kinds: Kinds = JUMP

    @abstractmethod
    def logits(
        self, x: Tensor, kappa: Any, condition: Any = None, *, where: Tensor | None = None
    ) -> Tensor:
        """Return log-probabilities of the ids that are predicted, each row up to a constant.

        Args:
            x: States, int64 `(b, n)`.
            kappa: The mixing weight, `(b,)` or of each element `(b, n)`.
            condition: Passed through; None is unconditional.
            where: Bool `(b, n)`, the positions asked for; all if None.

        Returns:
            `(b, n, sampleable)`, or the rows `(m, sampleable)` of the positions asked for.
        """

    def __call__(self, x: Tensor, t: Time, condition: Any = None) -> Generator:
        """Return the jump at the hazard of the path to a draw of the posterior."""
        return self.jump(self.logits(x, self._kappa(x, t), condition), x, t)

    def jump(self, logits: Float[Tensor, "b n k"], x: Int[Tensor, "b n"], t: Time) -> Jump:
        """Return the jump that the logits stand for; what has arrived stays."""
        clock = expand_time(t, x).to(x.device, torch.float32)
        kappa = self.path.schedule.alpha(clock).expand(x.shape)
        evidence = own_evidence(self.path.source, x, kappa)
        posterior = convert_logits(logits, (self.parametrization, "posterior"), evidence, x)
        may_jump = self.path.source.log_density(x) > -torch.inf
        intensity = torch.where(may_jump, event_rate(self.path, clock), 0.0)
        return Jump(intensity, Categorical(posterior), cumulative_hazard(self.path, clock))

    def _kappa(self, x: Tensor, t: Time) -> Tensor:
        kappa = self.path.schedule.alpha(expand_time(t, x).to(x.device, torch.float32))
        return kappa.expand(x.shape)

    def check_condition(self, condition: Any) -> None:
        """Reject a label that the network was never trained on; `network.trained` says which were.

        Raises:
            ValueError: When there is one, or none where there always was.
        """
        trained = getattr(getattr(self, "network", None), "trained", None)
        if trained is not None:
            check_labels(trained, condition)


@dataclass(frozen=True)
class PosteriorTokens(TokenModel):
    """A model of generators as a token model. A factor of a product is one as a `Factor`.

    States with more than one axis, such as pixels, are flattened to sequences.

    Attributes:
        model: Returns generators on a mixture path of tokens.
        event: The shape of a state, `(n,)` for a sequence.

    Raises:
        ValueError: When the mask is not the last id.
    """

    model: Any
    event: tuple[int, ...]
    path: MixturePath = field(init=False)
    vocabulary: Ids = field(init=False)
    parametrization: TokenParametrization = field(default="posterior", init=False)
    keeps_clock: ClassVar[bool] = True

    def __post_init__(self) -> None:
        """Find the path and the ids."""
        path = self.model.path
        mask, size = getattr(path.source, "mask", None), path.space.size
        if mask is not None and mask != size - 1:
            raise ValueError(f"the mask is the last of {size} ids, not {mask}")
        object.__setattr__(self, "path", path)
        object.__setattr__(self, "vocabulary", Ids(size, size - (mask is not None), mask))

    def network_calls(self, t: Any, condition: Any = None) -> int:
        """Return the network calls of each answer."""
        return self.model.network_calls(t, condition)

    def unconditional(self, condition: Any) -> Any:
        """Return what stands for no condition."""
        return self.model.unconditional(condition)

    def logits(
        self, x: States, kappa: Tensor, condition: Any = None, *, where: Where = None
    ) -> Float[Tensor, "*elements k"]:
        """Return the log of the posterior that the model's jump stands for."""
        z = x.view(len(x), *self.event)
        t = time_of(self.path.schedule, kappa)
        if t.ndim == 2:
            t = t[:, 0] if bool((t == t[:, :1]).all()) else t.view(z.shape)
        seen = getattr(condition, "seen", None)
        found = (
            condition.logits
            if seen is not None and torch.equal(seen, x)
            else self.read(self.model(z, t.float(), condition), z, t).reshape(*x.shape, -1)
        )
        return found if where is None else found[where]

    def read(
        self, generator: Generator, x: Int[Tensor, "b *event"], t: Time
    ) -> Float[Tensor, "b *event k"]:
        """Return the log of the posterior that a jump at (x, t) stands for.

        Raises:
            ValueError: When the generator is not a single jump along the path.
        """
        parts = generator.leaves()
        if len(parts) != 1 or parts[0].role != "forward" or not is_kind(_kind(parts[0]), JUMP):
            raise ValueError("the posterior of tokens is that of one jump along the path, no sum")
        jump = parts[0].scaled()
        k, after = self.vocabulary.sampleable, jump.destination.expand(x.shape)
        log_mass = (
            after.masses(TokenCells(self.vocabulary.size)).log()
            if after.cells is None
            else after.log_masses()
        )
        hazard = self.path.schedule.hazard(expand_time(t, jump.intensity))
        moves = (jump.intensity / hazard).clamp(0, 1).expand(x.shape)[..., None]
        log_mass = log_mass[..., :k] + moves.log()
        stays = torch.where((x < k)[..., None], (1 - moves).log(), -torch.inf).to(log_mass)
        here = x.clamp_max(k - 1)[..., None]
        return log_mass.scatter(-1, here, torch.logaddexp(log_mass.gather(-1, here), stays))


def _kind(part: Any) -> type:
    return type(part.generator)


def token_model(model: Any, event: tuple[int, ...]) -> TokenModel:
    """Return a model as a token model: itself, or as `PosteriorTokens`.

    Args:
        model: A token model, or any model of generators on a `MixturePath` over `Tokens`.
        event: The shape of a state.

    Example:
        >>> from feller.core.heads import PosteriorHead
        >>> from feller.core.models import GeneratorModel
        >>> from feller.core.sources import Masked
        >>> from feller.core.spaces import Tokens
        >>> path = MixturePath(Tokens(4), Masked(3))
        >>> network = lambda x, t, condition: torch.zeros(*x.shape, 3)
        >>> tokens = token_model(GeneratorModel(network, path, PosteriorHead(3)), (2,))
        >>> tokens.logits(torch.full((1, 2), 3), torch.zeros(1)).exp()[0, 0]
        tensor([0.3333, 0.3333, 0.3333], dtype=torch.float64)
    """
    return model if isinstance(model, TokenModel) else PosteriorTokens(model, tuple(event))


def check_labels(trained: Bool[Tensor, " labels"], condition: Any) -> None:
    """Reject labels that a network was never trained on.

    Args:
        trained: Which labels were, no label last.
        condition: Labels, one or many; None for no label.

    Raises:
        ValueError: When there is one that was not.
    """
    last = len(trained) - 1
    asked = torch.as_tensor(last if condition is None else condition).flatten().unique().tolist()
    known = [i for i, seen in enumerate(trained.tolist()) if seen and i < last]
    for label in asked:
        if not 0 <= label <= last:
            raise ValueError(f"labels are 0 ... {last - 1}, not {label}")
        if not trained[label]:
            name = "no label" if label == last else f"label {label}"
            raise ValueError(f"the model was never trained on {name}; it knows {known or 'none'}")


def time_of(schedule: Schedule, kappa: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
    """Return the time at which the mixing weight is kappa, in float64.

    Example:
        >>> from feller.core.schedules import Cosine
        >>> time_of(Cosine(), torch.tensor([0.0, 0.5, 1.0])).float()
        tensor([0.0000, 0.3333, 1.0000])
    """
    kappa = kappa.double()
    if bool((schedule.alpha(kappa) == kappa).all()):
        return kappa
    low, high = torch.zeros_like(kappa), torch.ones_like(kappa)
    for _ in range(52):
        middle = (low + high) / 2
        below = schedule.alpha(middle) < kappa
        low, high = torch.where(below, middle, low), torch.where(below, high, middle)
    return torch.where(kappa > 0, high, 0.0)


def rows_of(value: Any, index: Int[Tensor, " r"]) -> Any:
    """Return the part of some rows of a batch: of a tensor or a list, an entry for each row.

    A dict holds such values by name. A value that has `rows`, such as `Beside`, chooses its own
    rows. Anything else serves all rows and is returned as it is.
    """
    if isinstance(value, Tensor):
        return value[index] if value.ndim else value
    if rows := getattr(value, "rows", None):
        return rows(index)
    if isinstance(value, Mapping):
        return {name: rows_of(each, index) for name, each in value.items()}
    return [value[i] for i in index.tolist()] if isinstance(value, list | tuple) else value
