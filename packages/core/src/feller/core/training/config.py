"""Recipes: everything that defines a training run, as frozen values.

A recipe function returns a `Recipe`; flags on the command line change its fields; the resolved
recipe is written beside the run.
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
    """A fully resolved recipe, with its data.

    Attributes:
        recipe: The recipe, which a run writes down.
        data: The data, as it reads them.
        said: What was inferred from the data, as lines to print.
    """

    recipe: "Recipe"
    data: Any
    said: str = ""


class Evaluation(ABC):
    """How a model is evaluated during training, on `blocks` blocks of samples."""

    blocks: int

    @abstractmethod
    def look(self, block: int) -> Tensor:
        """Draw the samples of a block; return the features that the figures need, a row each."""

    @abstractmethod
    def figures(self, seen: Tensor) -> dict[str, float]:
        """Return the figures by name, given the rows of all blocks."""


class ModelConfig(ABC):
    """What a domain's model is made of.

    `hub_task` is the task on the hub that its card names. If `sized_by_data`, it must be
    `completed` before it can be built.
    """

    hub_task: ClassVar[str] = "other"
    sized_by_data: ClassVar[bool] = False

    @abstractmethod
    def build(self) -> nn.Module:
        """Build the model with new weights: a `Model` with a `path`, a `codec` and a `preview`."""

    def completed(self, recipe: "Recipe", data: Any) -> Completed:
        """Return the recipe of this model, with open values inferred from the data."""
        return Completed(recipe, data)

    def evaluation(self, model: Any, data: "DataConfig", *, n: int) -> Evaluation | None:
        """Return how such a model is evaluated in training, on `n` samples; None if it is not."""
        return None

    def row_names(self) -> dict[str, tuple[str, ...]]:
        """Return what the rows of some weights stand for, such as classes, by the weights' names.

        If training starts from another model, rows are matched by these names.
        """
        return {}

    def trained(self, training: "Training") -> "ModelConfig":
        """Return the configuration after such training, if the model should record it."""
        return self


class DataConfig(ABC):
    """Where data come from."""

    @abstractmethod
    def build(self, split: Literal["train", "test"] = "train") -> Dataset:
        """Open the data of one split."""

    def example(self, n: int) -> Any:
        """Return a raw batch of `n` identical items of the largest size, without reading data.

        Raises:
            LookupError: If there is no largest size.
        """
        raise LookupError(f"a {type(self).__name__} has no example")


@tagged("training")
@dataclass(frozen=True, kw_only=True)
class Training:
    """Length, batch size, logging, evaluation and checkpoints."""

    steps: int = 20_000
    """Number of optimizer steps."""
    batch_size: int = 128
    """Samples per step, over all processes and accumulated micro-batches."""
    accumulate: int = 1
    """Micro-batches per step."""
    condition_drop: float = 0.0
    """Fraction of samples trained without their condition, for classifier-free guidance."""
    stratified: bool = True
    """Whether the times of a batch are stratified, so that they spread evenly."""
    ema_decay: float = 0.999
    """Decay of the moving average of the weights."""
    ema_decays: tuple[float, ...] = ()
    """Decays of further averages, such as `0.99 0.9999`, each a copy of the weights in memory;
    other commands load one with `--average 0.9999`."""
    ema_snapshot_every: int = 0
    """Steps between snapshots, from which `--average width=0.12` computes an average of any width
    after training; each takes two copies of the weights on disk and two in memory. 0 for none."""
    validate_every: int = 0
    """Steps between validations: the log gets the loss of the averaged weights on held-out data, by
    time and with intervals, on the same noise each time. 0 for none."""
    validate_n: int = 1024
    """Held-out samples per validation, shared by all processes; each costs a third of a training
    sample."""
    mixed_precision: Literal["no", "fp16", "bf16"] = "no"
    """Precision of autocast; an error on a CPU, where it is many times slower."""
    sharding: Literal["none", "fsdp"] = "none"
    """`fsdp`: each process holds a shard of weights, moments and averages; `none`: all of them."""
    activation_checkpointing: bool = False
    """Whether the backward pass recomputes activations: less memory, a third more time."""
    compile: bool = False
    """Whether to `torch.compile` the model, which takes minutes at each start."""
    start: str = ""
    """Model to initialise the weights from, for fine-tuning: a name, a folder or `hf-hub:org/repo`;
    new weights if empty. Weights that do not fit are listed and initialised; classes and tokens are
    matched by name."""
    start_model: bool = False
    """Train the model of --training.start, such as an imported one, instead of the recipe's."""
    start_strict: bool = False
    """Raise an error if not all weights of --training.start fit."""
    lora: int = 0
    """Rank of LoRA adapters (package `peft`) on linear and convolution layers, trained instead of
    the weights from --training.start; new weights are trained too. 0 for none."""
    max_minutes: float = 0.0
    """Minutes after which a session finishes its step, saves its state and the model so far, and
    ends; the same command resumes. 0 for no limit."""
    seed: int = 0
    """Random seed of the initial weights, the order of the data and all noise."""
    workers: int = 0
    """Number of processes that read data."""
    log_every: int = 50
    """Steps between lines of the log."""
    trackers: tuple[Literal["tensorboard", "wandb", "trackio"], ...] = ("tensorboard",)
    """Trackers that also get the log, besides `log.jsonl`: `tensorboard`, `wandb`, `trackio`; each
    must be installed."""
    sample_every: int = 1000
    """Steps between pictures of samples; 0 for none."""
    evaluate_every: int = 0
    """Steps between evaluations of samples of the averaged weights, in the log; 0 for none."""
    evaluate_n: int = 512
    """Samples per evaluation, over all processes."""
    checkpoint_every: int = 1000
    """Steps between checkpoints."""
    keep: int = 2
    """Number of checkpoints to keep."""
    bad_steps: int = 20
    """Consecutive steps with a non-finite gradient after which a run stops; each is skipped."""

    def __post_init__(self) -> None:
        """Check sizes, ranges and fractions."""
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
        """Check that decays are in range and distinct, and that LoRA has no snapshots."""
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
        coupling: How source samples are paired with data.
        optimizer: The optimizer and its learning rate.
        training: Length, batch, logging and checkpoints.
    """

    model: ModelConfig
    data: DataConfig
    objective: Loss = field(default_factory=Objective)
    times: TimeDistribution = field(default_factory=Uniform)
    coupling: Coupling = field(default_factory=IndependentCoupling)
    optimizer: Optimizer = field(default_factory=Optimizer)
    training: Training = field(default_factory=Training)
