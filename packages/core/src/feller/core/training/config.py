"""Recipes: everything a training run is, as frozen values.

A recipe function returns a `Recipe` and is the truth; flags on the command line change its leaves;
the resolved recipe is written beside the run.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from feller.core.checks import check_choices, check_sizes
from feller.core.config import tagged
from feller.core.couplings import Coupling, IndependentCoupling
from feller.core.losses import Loss, Objective
from feller.core.times import TimeDistribution, Uniform
from feller.core.training.groups import grouped
from feller.core.training.muon import Muon

__all__ = [
    "Completed", "DataConfig", "Dataset", "Evaluation", "ModelConfig", "Optimizer", "Recipe",
    "Training",
]  # fmt: skip


@runtime_checkable
class Dataset(Protocol):
    """Data that are read a batch at a time."""

    def __len__(self) -> int:
        """Return the number of items."""
        ...

    def __getitem__(self, indices: list[int]) -> Any:
        """Return a raw batch, which the model's codec encodes."""
        ...


class Completed(NamedTuple):
    """A recipe that leaves nothing open, with its data.

    Attributes:
        recipe: The recipe, which a run writes down.
        data: The data, as it reads them.
        said: What was read off the data, in lines for whoever starts the run.
    """

    recipe: "Recipe"
    data: Dataset
    said: str = ""


class Evaluation(ABC):
    """How a model is measured while it trains, by so many `blocks` of samples."""

    blocks: int

    @abstractmethod
    def look(self, block: int) -> Tensor:
        """Draw the samples of a block; return what the figures need of them, a row each."""

    @abstractmethod
    def figures(self, seen: Tensor) -> dict[str, float]:
        """Return the figures, by name, from the rows of all blocks."""


class ModelConfig(ABC):
    """What a domain's model is made of; its card has `hub_task` as its task on the hub."""

    hub_task: ClassVar[str] = "other"

    @abstractmethod
    def build(self) -> nn.Module:
        """Make the model with fresh weights: a `Model` with a `path`, a `codec` and a `preview`."""

    def completed(self, recipe: "Recipe", data: Dataset) -> Completed:
        """Return the recipe, whose model this is, with what it leaves open read off the data."""
        return Completed(recipe, data)

    def evaluation(self, model: Any, data: "DataConfig", *, n: int) -> Evaluation | None:
        """Return how such a model is measured while it trains, by `n` samples; None if it isn't."""
        return None

    def row_names(self) -> dict[str, tuple[str, ...]]:
        """Return what the rows of some weights stand for, such as classes, by the weights' names.

        Where training starts from another model, rows are taken by these names.
        """
        return {}

    def trained(self, training: "Training") -> "ModelConfig":
        """Return what a model is made of that is trained so, where that is to be kept with it."""
        return self


class DataConfig(ABC):
    """Where data come from."""

    @abstractmethod
    def build(self, split: Literal["train", "test"] = "train") -> Dataset:
        """Open the data of one split."""


@tagged("optimizer")
@dataclass(frozen=True, kw_only=True)
class Optimizer:
    """AdamW or Muon, with warm-up, then a constant or cosine rate."""

    name: Literal["adamw", "muon"] = "adamw"
    """AdamW; or Muon for matrices (`feller.core.training.muon`), at a rate as for AdamW."""
    lr: float = 2e-4
    """Peak learning rate."""
    betas: tuple[float, float] = (0.9, 0.999)
    """Decay of the first and second moments."""
    weight_decay: float = 0.0
    """Decoupled weight decay."""
    warmup: int = 200
    """Steps over which the rate rises from zero."""
    decay: Literal["constant", "cosine"] = "cosine"
    """The rate after warm-up: constant, or falling along a cosine to `final` at the last step."""
    final: float = 0.1
    """Fraction of the peak rate at which the cosine ends."""
    clip: float = 1.0
    """Largest norm of the gradient; 0 for no clipping."""
    groups: tuple[str, ...] = ()
    """Multiples of the rate for some weights, such as `new=10 "*.embed_*=0.1"`: `new` for weights
    that `training.start` did not give, or a pattern of names; the first that fits counts. 0 keeps
    weights as they are."""

    def __post_init__(self) -> None:
        """Refuse unknown names, and numbers that would train uphill or not at all."""
        check_choices(self)
        for name in ("lr", "weight_decay", "warmup", "final", "clip"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} is finite and at least 0, not {getattr(self, name)}")
        self.factors()
        if len(self.betas) != 2 or not all(0 <= beta < 1 for beta in self.betas):
            raise ValueError(f"betas are two numbers in [0, 1), not {self.betas}")

    def factors(self) -> dict[str, float]:
        """Return the multiple of the rate by pattern.

        Example:
            >>> Optimizer(groups=("new=10", "*.embed*=0.1")).factors()
            {'new': 10.0, '*.embed*': 0.1}
        """
        found: dict[str, float] = {}
        for group in self.groups:
            pattern, _, factor = group.rpartition("=")
            try:
                found[pattern] = float(factor)
            except ValueError:
                pattern = ""
            if not pattern or not 0 <= found[pattern] < math.inf:
                raise ValueError(f"groups are like new=10 or '*.embed*=0.1', not {group!r}")
        return found

    def build(self, model: nn.Module, new: Collection[str] = ()) -> torch.optim.Optimizer:
        """Make the optimizer of a model's weights, those that need no gradient left out.

        Args:
            model: The model.
            new: Names of weights that are new, where it starts from another.

        Raises:
            ValueError: When a group has no weights.
        """
        settings: Any = {"lr": self.lr, "betas": self.betas, "weight_decay": self.weight_decay}
        if self.name == "muon":
            optimizer: torch.optim.Optimizer = Muon(model, **settings)
        else:
            weights = [p for p in model.parameters() if p.requires_grad]
            optimizer = torch.optim.AdamW(weights, **settings)
        return grouped(optimizer, model, self.factors(), new)

    def rate(self, step: int, steps: int) -> float:
        """Return the learning rate of step number `step` (from 0) of `steps`.

        Example:
            >>> Optimizer(lr=1.0, warmup=4).rate(1, 100)
            0.5
        """
        if step < self.warmup:
            return self.lr * (step + 1) / self.warmup
        if self.decay == "constant":
            return self.lr
        done = (step - self.warmup) / max(1, steps - self.warmup)
        return self.lr * (self.final + (1 - self.final) * (1 + math.cos(math.pi * done)) / 2)


@tagged("training")
@dataclass(frozen=True, kw_only=True)
class Training:
    """How long, how large, and what is kept."""

    steps: int = 20_000
    """Optimizer steps."""
    batch_size: int = 128
    """Samples a step, over all processes and accumulated micro-batches."""
    accumulate: int = 1
    """Micro-batches a step."""
    condition_drop: float = 0.0
    """Fraction of samples trained without their condition, for classifier-free guidance."""
    stratified: bool = True
    """Whether the times of a batch are spread evenly."""
    ema_decay: float = 0.999
    """Decay of the moving average of the weights."""
    mixed_precision: Literal["no", "fp16", "bf16"] = "no"
    """Precision of autocast; refused on a CPU, where it is many times slower."""
    sharding: Literal["none", "fsdp"] = "none"
    """`fsdp`: each process holds a part of weights, moments and averages; `none`: all of them."""
    activation_checkpointing: bool = False
    """Whether the backward pass computes activations again: less memory, a third more time."""
    compile: bool = False
    """Whether `torch.compile` compiles the model, which takes minutes at each start."""
    start: str = ""
    """A model whose weights are the first ones, for fine-tuning: a name, a folder or
    `hf-hub:org/repo`; fresh weights if empty. What does not fit is named and initialised; classes
    and tokens keep theirs by name."""
    start_model: bool = False
    """Train the model of the start, such as one that `feller import` read, not the recipe's."""
    start_strict: bool = False
    """Whether a start of which not all fits is refused."""
    lora: int = 0
    """Rank of adapters (LoRA, by the package `peft`) on linear and convolution layers, which are
    trained in place of the weights they start from; new weights are trained too. 0 for none."""
    max_minutes: float = 0.0
    """Minutes after which a session saves its state and ends, to which a step and the saving add;
    the same command goes on. 0 for no end."""
    seed: int = 0
    """Chooses the initial weights, the order of the data and all noise."""
    workers: int = 0
    """Processes that read data."""
    log_every: int = 50
    """Steps between lines of the log."""
    sample_every: int = 1000
    """Steps between pictures of samples; 0 for none."""
    evaluate_every: int = 0
    """Steps between figures of samples of the averaged weights, in the log; 0 for none."""
    evaluate_n: int = 512
    """Samples that the figures are of, drawn by all processes together."""
    checkpoint_every: int = 1000
    """Steps between checkpoints."""
    keep: int = 2
    """Checkpoints kept."""
    bad_steps: int = 20
    """Steps in a row whose gradient is not finite, after which a run stops; each is skipped."""

    def __post_init__(self) -> None:
        """Refuse sizes that are not, or do not divide."""
        check_sizes(self, "batch_size", "accumulate", "log_every", "checkpoint_every", "keep")
        check_sizes(self, "bad_steps", "evaluate_n")
        for name in ("steps", "sample_every", "evaluate_every", "workers", "lora"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is at least 0, not {getattr(self, name)}")
        if not 0 <= self.max_minutes < math.inf:
            raise ValueError(f"max_minutes is finite and at least 0, not {self.max_minutes}")
        if self.batch_size % self.accumulate:
            raise ValueError(
                f"batch_size {self.batch_size} does not divide into {self.accumulate} micro-batches"
            )
        if not -(2**63) <= self.seed < 2**63:
            raise ValueError(f"seed is a whole number of 64 bits, not {self.seed}")
        if (self.lora or self.start_strict or self.start_model) and not self.start:
            raise ValueError("lora, start_model and start_strict need training.start: give it")
        if not 0 <= self.ema_decay < 1:
            raise ValueError(f"ema_decay is in [0, 1), not {self.ema_decay}")
        if not 0 <= self.condition_drop <= 1:
            raise ValueError(f"condition_drop is a fraction in [0, 1], not {self.condition_drop}")


@tagged("recipe")
@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A training run.

    Attributes:
        model: The network, the path and the codec.
        data: The training data.
        objective: The loss.
        times: The distribution of training times.
        coupling: How source samples and data are joined.
        optimizer: The optimizer and its rate.
        training: Length, batch, logging and checkpoints.
    """

    model: ModelConfig
    data: DataConfig
    objective: Loss = field(default_factory=Objective)
    times: TimeDistribution = field(default_factory=Uniform)
    coupling: Coupling = field(default_factory=IndependentCoupling)
    optimizer: Optimizer = field(default_factory=Optimizer)
    training: Training = field(default_factory=Training)
