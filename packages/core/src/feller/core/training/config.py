"""Recipes: everything a training run is, as frozen values.

A recipe function returns a `Recipe` and is the truth; flags on the command line change its leaves;
the resolved recipe is written beside the run.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, NamedTuple, Protocol, runtime_checkable

from torch import Tensor, nn

from feller.core.checks import check_sizes
from feller.core.config import tagged
from feller.core.couplings import Coupling, IndependentCoupling
from feller.core.losses import Loss, Objective
from feller.core.times import TimeDistribution, Uniform
from feller.core.training.optimizer import Optimizer

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
    data: Any
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
    """What a domain's model is made of.

    Its card has `hub_task` as its task on the hub; where it is `sized_by_data`, it can only be
    built once it is `completed`.
    """

    hub_task: ClassVar[str] = "other"
    sized_by_data: ClassVar[bool] = False

    @abstractmethod
    def build(self) -> nn.Module:
        """Make the model with fresh weights: a `Model` with a `path`, a `codec` and a `preview`."""

    def completed(self, recipe: "Recipe", data: Any) -> Completed:
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

    def example(self, n: int) -> Any:
        """Return a raw batch of `n` items of the largest size, all alike, with nothing read.

        Raises:
            LookupError: Where there is no largest size.
        """
        raise LookupError(f"a {type(self).__name__} has no example")


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
    ema_decays: tuple[float, ...] = ()
    """Decays of further averages, such as `0.99 0.9999`, each a copy of the weights in memory;
    `--average 0.9999` of other commands takes one."""
    ema_snapshot_every: int = 0
    """Steps between snapshots, of which `--average width=0.12` makes an average of any width after
    training; each is two copies of the weights on disk, and two more in memory. 0 for none."""
    validate_every: int = 0
    """Steps between losses of the averaged weights on held-out data, in the log, by time and with
    intervals, from the same noise each time; 0 for none."""
    validate_n: int = 1024
    """Held-out data that they are of, shared by all processes; they cost as much as a third of the
    steps in which as many are trained on."""
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
    """Minutes after which a session saves its state and the model so far, and ends, to which a step
    and the saving add; the same command goes on. 0 for no end."""
    seed: int = 0
    """Chooses the initial weights, the order of the data and all noise."""
    workers: int = 0
    """Processes that read data."""
    log_every: int = 50
    """Steps between lines of the log."""
    trackers: tuple[Literal["tensorboard", "wandb", "trackio"], ...] = ("tensorboard",)
    """What the log goes to besides `log.jsonl`, each to be installed: `tensorboard`, `wandb`,
    `trackio`."""
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
        check_sizes(self, "bad_steps", "evaluate_n", "validate_n")
        for name in (
            *("steps", "sample_every", "evaluate_every", "validate_every", "ema_snapshot_every"),
            *("workers", "lora"),
        ):
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
        self._check_averages()
        if not 0 <= self.condition_drop <= 1:
            raise ValueError(f"condition_drop is a fraction in [0, 1], not {self.condition_drop}")

    def _check_averages(self) -> None:
        """Refuse decays that are none, or twice the same, and snapshots of adapters."""
        if not 0 <= self.ema_decay < 1:
            raise ValueError(f"ema_decay is in [0, 1), not {self.ema_decay}")
        every = [f"{decay:g}" for decay in (self.ema_decay, *self.ema_decays)]
        if not all(0 <= decay < 1 for decay in self.ema_decays) or len(set(every)) < len(every):
            raise ValueError(
                f"ema_decays are in [0, 1) and others than ema_decay, not {self.ema_decays}"
            )
        if self.lora and self.ema_snapshot_every:
            raise ValueError("ema_snapshot_every is for training without lora: set it to 0")


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
