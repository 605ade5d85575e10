"""Your own models: any network on any path, with any head, saved and loaded like the zoo's."""

import copy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map

import feller.core.networks  # noqa: F401  (registers the type of networks of one's own)
from feller.core import random
from feller.core.checks import check_count, check_seed
from feller.core.codec import Codec
from feller.core.conditions import check_rows, dropped
from feller.core.config import tagged
from feller.core.discrete.solvers import Ancestral
from feller.core.generators import Flow, Generator, Jump
from feller.core.grids import logarithmic_grid, uniform_grid
from feller.core.guidance import Guided
from feller.core.heads import Head, Kinds
from feller.core.models import GeneratorModel, Model
from feller.core.nn.modes import evaluating
from feller.core.paths import ConditionalPath, MixturePath
from feller.core.solvers import HEUN, Euler, Mixed, RungeKutta, Solver, simulate
from feller.core.spaces import Euclidean, Tokens
from feller.core.training.config import ModelConfig
from feller.core.typing import Rng, Time

__all__ = ["OwnModel", "OwnModelConfig", "TensorCodec"]

START = 0.01
"""Where samples start if the head is undefined at t = 0, as the noise head is on `CondOT`."""


class TensorCodec(Codec):
    """Data that are states already: a batch of tensors, or of tensors with their conditions.

    Example:
        >>> TensorCodec().encode([torch.ones(1, 2, dtype=torch.float64), torch.tensor([3])])
        (tensor([[1., 1.]]), tensor([3]))
    """

    def encode(self, raw: Any, rng: Rng = None) -> tuple[Any, Any]:
        """Return the states, and the conditions or None.

        Raises:
            ValueError: When an item has other parts.
        """
        parts = list(raw) if isinstance(raw, list | tuple) else [raw]
        if len(parts) not in (1, 2) or not isinstance(parts[0], Tensor):
            kinds = ", ".join(type(part).__name__ for part in parts)
            raise ValueError(f"an item is a tensor, or a tensor and its condition, not {kinds}")
        z, condition = (*parts, None)[:2]
        return _single(z), tree_map(_single, condition)

    def decode(self, z: Any) -> Any:
        """Return states as they are."""
        return z

    def drop(self, condition: Any, where: Bool[Tensor, " b"]) -> Any:
        """Replace numbers by NaN, and classes by -1."""
        return dropped(condition, where)


def _single(value: Tensor | None) -> Tensor | None:
    """Return numbers in the usual precision; what was a number of Python is double."""
    if value is None or not value.is_floating_point():
        return value
    return value.to(torch.get_default_dtype())


@tagged("core/model")
@dataclass(frozen=True, kw_only=True)
class OwnModelConfig(ModelConfig):
    """What an `OwnModel` is made of.

    Attributes:
        network: The configuration of the network, with its `build`.
        path: The conditional path.
        head: How the network's output is read.
        shape: The shape of one state, such as `(2,)`.
    """

    network: Any
    path: ConditionalPath
    head: Head
    shape: tuple[int, ...]
    _first: Any = field(default=None, init=False, repr=False, compare=False)

    def starting(self, network: nn.Module) -> "OwnModelConfig":
        """Return the configuration, which makes its model with a copy of a network."""
        twin = OwnModelConfig(
            network=self.network, path=self.path, head=self.head, shape=self.shape
        )
        object.__setattr__(twin, "_first", network)
        return twin

    def build(self) -> "OwnModel":
        """Make the model, with the network it starts with, or else with fresh weights."""
        first = self.network.build() if self._first is None else copy.deepcopy(self._first)
        return OwnModel(self, first)


class OwnModel(nn.Module, Model):
    """A model of tensors. `feller.core.train` makes and trains it."""

    def __init__(self, config: OwnModelConfig, network: nn.Module) -> None:
        super().__init__()
        self.config, self.path, self.codec = config, config.path, TensorCodec()
        self.model = GeneratorModel(network, config.path, config.head)
        self.kinds: Kinds = self.model.kinds

    @property
    def network(self) -> nn.Module:
        """The network."""
        return self.model.network

    @property
    def finite_at_end(self) -> bool:
        """Whether the generators are finite at t = 1."""
        return self.model.finite_at_end

    @property
    def takes_next(self) -> bool:
        """Whether the network asks for the time at which a step ends."""
        return self.model.takes_next

    def unconditional(self, condition: Any) -> Any:
        """Return the condition with NaN for numbers and -1 for classes, as `train` drops it."""
        rows = next((len(v) for v in tree_leaves(condition) if v is not None), 0)
        return dropped(condition, torch.ones(rows, dtype=torch.bool))

    def forward(self, x: Any, t: Time, condition: Any = None, s: Any = None) -> Generator:
        """Return the generator at the states `x` and time `t`, for a step to `s`."""
        return self.model(x, t, condition, s)

    def estimate(self, x: Any, t: Time, condition: Any = None) -> Any:
        """Return the distribution of each element of the data, given `x` at time `t`."""
        return self.model.estimate(x, t, condition)

    def sample(
        self,
        n: int | Tensor,
        *,
        condition: Any = None,
        steps: int = 20,
        guidance: float = 1.0,
        solver: Solver | None = None,
        seed: int = 0,
    ) -> Tensor:
        """Draw `n` states.

        Args:
            n: How many; or the source samples to start from, such as those to translate.
            condition: A row for each, as the data had it; None for none.
            steps: Steps from source to data; from t = 0.01 if the head is undefined at t = 0.
            guidance: Scale of classifier-free guidance, for a model trained with
                `condition_drop`; it has no effect in rows whose condition is -1 or NaN.
            solver: The solver; by default Heun for flows, the mixed method for models that jump or
                diffuse, posterior draws for tokens, and Euler for all else.
            seed: Sample i depends on the seed and on i.

        Raises:
            ValueError: On a negative number of samples, a condition without a row for each, source
                samples of another shape, and when the solver does not support the model.
        """
        check_seed(seed)
        if guidance != 1 and condition is None:
            raise ValueError("guidance needs a condition: without one there is nothing to guide to")
        first = next(self.parameters(), torch.empty(0))
        like = first.new_empty(0, dtype=torch.promote_types(first.dtype, torch.get_default_dtype()))
        count = len(n) if isinstance(n, Tensor) else n
        check_count("n", count)
        rng = random.rows(seed, 0, count, stream="sample")
        check_rows(condition, count)
        shape = count, *self.config.shape
        x_0 = n if isinstance(n, Tensor) else self.path.sample_source(shape, rng, like=like)
        if x_0.shape != shape:
            raise ValueError(f"source samples have shape {(*x_0.shape,)}, not {shape}")
        model: Any = self if guidance == 1 else Guided(self, guidance)
        times = self._times(steps)
        chosen = self._solver() if solver is None else solver
        with evaluating(self), torch.no_grad():
            return simulate(model, x_0, times, chosen, rng, condition=condition).state.cpu()

    def preview(self, stem: Path) -> None:
        """Write 64 samples as an array; nothing of a model that is never without a condition."""
        try:
            samples = self.sample(64)
        except Exception:  # a network of one's own may ask for its condition in any way
            return
        np.savez_compressed(stem.with_suffix(".npz"), samples=samples.numpy())

    def _times(self, steps: int) -> Tensor:
        """Return a grid up to t = 1 where the model is known to get there; else it ends before."""
        space, path = self.path.space, self.path
        jumps_there = isinstance(path, MixturePath) and self.kinds == {Jump}
        even = self.kinds == {Flow} or isinstance(space, Tokens) or jumps_there
        times = uniform_grid(steps) if even else logarithmic_grid(steps)
        if self.config.head.divides_by_alpha and float(path.schedule.alpha(times[0])) == 0:
            return times + START * (1 - times)
        return times

    def _solver(self) -> Solver:
        space = self.path.space
        if isinstance(space, Tokens) and isinstance(self.path, MixturePath):
            return Ancestral()
        if self.kinds == {Flow} and self.finite_at_end:
            return RungeKutta(HEUN)
        return Mixed() if self.kinds != {Flow} and isinstance(space, Euclidean) else Euler()
