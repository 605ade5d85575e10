"""The algebra of models: `0.5 * flow_model + 0.5 * jump_model` is a model.

The rules for generators (`feller.core.generators.base`) also hold for models that return them, if
they follow one marginal path: weights of forward parts sum to one at every time; a stationary part
may have any weight; the weight of a backward part is subtracted from the forward ones. A weight is
a number, a tensor that broadcasts against the state (a weight per coordinate) or a function of
time.

Source: Generator Matching, arXiv 2410.20587, proposition 3.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from feller.core.cards import ModelCard
from feller.core.couplings import Coupling, IndependentCoupling
from feller.core.generators import Generator, Part, Role, Superposition
from feller.core.heads import Kinds
from feller.core.spaces import ProductSpace, StateSpace
from feller.core.typing import Time
from feller.core.weights import Multiplied, Weight, WeightLike, weight_of

__all__ = [
    "Model",
    "ModelPart",
    "SuperposedModel",
    "backward",
    "stationary",
    "weigh",
]


class Model(ABC):
    """Anything that returns a generator at (x, t): a network, an exact posterior, a sum of models.

    Your own model derives from it, and from `torch.nn.Module` if it has weights; it has a path and
    kinds, and returns a generator from `__call__` or `forward`.

    Attributes:
        path: The conditional path that its generator follows; None if there is none.
        kinds: The kinds of generator it returns.
        coupling: How source samples and data were joined in training.
        finite_at_end: Whether its generators are finite at t = 1.
        takes_next: Whether solvers that take a step in one piece also pass s, the time at which the
            step ends.

    Example:
        >>> import torch
        >>> from feller.core.generators import Flow
        >>> from feller.core.paths import GaussianPath
        >>> class Still(Model):
        ...     path, kinds = GaussianPath(), frozenset({Flow})
        ...
        ...     def __call__(self, x, t, condition=None):
        ...         return Flow(torch.zeros_like(x))
        >>> (0.5 * Still() + 0.5 * Still()).network_calls(0.5)
        2
    """

    path: Any
    kinds: Kinds
    coupling: Coupling = IndependentCoupling()
    finite_at_end: bool = False
    takes_next: bool = False

    @abstractmethod
    def __call__(self, x: Any, t: Any, condition: Any = None) -> Generator:
        """Return the generator at the states `x` and the time `t`; dicts, for a product."""

    @property
    def space(self) -> Any:
        """Where states live: the space of the path."""
        return self.path.space

    def network_calls(self, t: Any, condition: Any = None) -> int:
        """Return how often an evaluation calls a network."""
        return 1

    def part_kinds(self) -> tuple[Kinds, ...]:
        """Return the kinds of each part, where the generator is a sum of parts in a fixed order."""
        return (self.kinds,)

    def unconditional(self, condition: Any) -> Any:
        """Return what stands for no condition; None by default."""
        return None

    def save_pretrained(self, folder: str | Path, card: ModelCard | None = None) -> Path:
        """Write a model folder for `feller.core.load`, replacing an older one once it is complete.

        Args:
            folder: Where to write.
            card: The card; by default the one it was loaded with, without its figures if the
                weights have changed since.

        Raises:
            CheckpointError: When the model is not made of a configuration, its weights are not
                finite, or the folder is not a model's.
        """
        from feller.core.checkpoint import save_model

        return save_model(self, folder, card=card)

    def push_to_hub(self, name: str, card: ModelCard | None = None, **options: Any) -> str:
        """Commit the model to a repository of the Hugging Face Hub; return its address.

        Args:
            name: Such as `org/repo`; created if it does not exist.
            card: As of `save_pretrained`.
            options: `revision`, `private`, `token` and `message`, as of `feller.core.hub.push`.

        Raises:
            CheckpointError: As `save_pretrained`.
            RegistryError: When the hub rejects it.
        """
        from feller.core.hub import push

        with TemporaryDirectory() as home:
            folder = self.save_pretrained(Path(home, name.rpartition("/")[2]), card)
            return str(push(folder, name, **options))

    def _repr_html_(self) -> str:
        """Return what a notebook shows."""
        from feller.core.showing import model_html

        return model_html(self)

    def __rmul__(self, weight: WeightLike) -> "SuperposedModel":
        """Return the model with a weight: a part of a superposition."""
        return weigh(weight, self)


@dataclass(frozen=True)
class ModelPart:
    """A weighted model in a sum.

    Attributes:
        weight: The weight.
        model: The model.
        role: Whether it moves along the path, leaves p_t unchanged, or moves back along it.
    """

    weight: Weight
    model: Any
    role: Role = "forward"


def weigh(weight: WeightLike, model: Any) -> "SuperposedModel":
    """Return a model as a forward part of a superposition."""
    return SuperposedModel((ModelPart(weight_of(weight), model),))


def stationary(part: Any) -> Any:
    """Mark a model, or a generator, that leaves the marginal distribution unchanged.

    It may be added at any weight.
    """
    return _in_role(part, "stationary")


def backward(part: Any) -> Any:
    """Mark a model, or a generator, that solves the KFE backward in time."""
    return _in_role(part, "backward")


def _in_role(part: Any, role: Role) -> Any:
    if isinstance(part, Generator):
        return Superposition((Part(1.0, part, role),))
    return SuperposedModel((ModelPart(weight_of(1.0), part, role),))


@dataclass(frozen=True)
class SuperposedModel(Model):
    """A weighted sum of models on one path; each is called in turn.

    Raises:
        ValueError: When the models have different paths, spaces or couplings; when called at a time
            at which the weights make no superposition.

    Example:
        >>> import torch
        >>> from feller.core.generators import Flow, Jump
        >>> from feller.core.paths import GaussianPath
        >>> from feller.core.posteriors import FiniteData
        >>> points = torch.tensor([[-2.0], [2.0]])
        >>> flow, jump = (FiniteData(GaussianPath(), kind, points) for kind in (Flow, Jump))
        >>> mixed = 0.5 * flow + 0.5 * jump
        >>> sorted(kind.__name__ for kind in mixed.kinds)
        ['Flow', 'Jump']
        >>> later = (lambda t: 1 - t) * flow + (lambda t: t) * jump
        >>> [float(part.weight) for part in later(torch.zeros(1, 1), 0.25).parts]
        [0.75, 0.25]
    """

    parts: tuple[ModelPart, ...]

    def __post_init__(self) -> None:
        """Reject models of different paths: they follow no distribution together."""
        for what in ("space", "path", "coupling"):
            values = [getattr(part.model, what) for part in self.parts]
            first = next((value for value in values if value is not None), None)
            other = next((v for v in values if v is not None and v != first), None)
            if other is not None:
                raise ValueError(f"models of a superposition share their {what}: {first}, {other}")

    def __add__(self, other: "SuperposedModel") -> "SuperposedModel":
        """Join two sums."""
        if not isinstance(other, SuperposedModel):
            raise TypeError(f"weigh each model, as in 0.5 * model; a {type(other).__name__} is not")
        return SuperposedModel(self.parts + other.parts)

    def __radd__(self, other: Any) -> "SuperposedModel":
        """Let `sum` begin at 0."""
        return self if isinstance(other, int) and other == 0 else NotImplemented

    def __rmul__(self, weight: WeightLike) -> "SuperposedModel":
        """Weigh every part."""
        given = weight_of(weight)
        parts = (replace(part, weight=Multiplied(given, part.weight)) for part in self.parts)
        return SuperposedModel(tuple(parts))

    @property
    def space(self) -> StateSpace | ProductSpace:
        """The space of the models."""
        return self.parts[0].model.space

    @property
    def path(self) -> Any:
        """The path of the models; None where none has one."""
        return next((p.model.path for p in self.parts if p.model.path is not None), None)

    @property
    def coupling(self) -> Coupling:
        """The coupling that the models were trained with."""
        return self.parts[0].model.coupling

    def unconditional(self, condition: Any) -> Any:
        """Return what stands for no condition."""
        return self.parts[0].model.unconditional(condition)

    @property
    def kinds(self) -> Kinds:
        """The kinds of all parts."""
        return frozenset[type[Generator]]().union(*self.part_kinds())

    def part_kinds(self) -> tuple[Kinds, ...]:
        """Return the kinds of each part."""
        return tuple(part.model.kinds for part in self.parts)

    def network_calls(self, t: Time, condition: Any = None) -> int:
        """Return the network calls of all parts."""
        return sum(part.model.network_calls(t, condition) for part in self.parts)

    def __call__(self, x: Any, t: Any, condition: Any = None) -> Superposition:
        """Return the superposition at (x, t)."""
        return Superposition(
            tuple(
                Part(part.weight.at(x, t), part.model(x, t, condition), part.role)
                for part in self.parts
            )
        )
