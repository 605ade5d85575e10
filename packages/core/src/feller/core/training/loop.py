"""The training loop: a generator of `StepRecord`s, the same for every domain.

Each row's randomness (noise, time, dropped condition) comes from its own generator, seeded by the
run's seed, the step and the row. So a resumed run equals an uninterrupted one, and, except for
dropout and for couplings that pair the rows of a micro-batch, such as `MinibatchOT`, the loss curve
does not depend on the number of processes or micro-batches.
"""

import contextlib
import math
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import send_to_device
from torch import Tensor

from feller.core import random
from feller.core.couplings import couple, set_coupling
from feller.core.nn.conditions import conditions_of
from feller.core.nn.ema import EMA
from feller.core.nn.shards import full
from feller.core.pairs import states_of
from feller.core.sizes import build_within, memory_limit
from feller.core.times import stratify
from feller.core.training.batches import ProcessRows
from feller.core.training.by_time import LossByTime
from feller.core.training.config import Dataset, Recipe
from feller.core.training.groups import FACTOR
from feller.core.training.lora import adapted
from feller.core.training.orders import ORDER
from feller.core.training.posthoc import further_averages
from feller.core.training.reading import Reading, next_batch, read_batches
from feller.core.training.sharding import is_split, prepared, whole
from feller.core.training.streams import Stream
from feller.core.waiting import main_first

__all__ = [
    "Run", "StepRecord", "build_run", "like_times", "losses_at", "losses_of_rows", "training_steps",
]  # fmt: skip


@dataclass
class Run:
    """The state of a training run.

    Attributes:
        recipe: The recipe.
        accelerator: Devices, processes and precision.
        model: The domain's model, ready for this process.
        optimizer: Its optimizer.
        ema: The moving average.
        data: The training data.
        step: Steps taken so far.
        seconds: Seconds spent so far, over all sessions.
        saved: The step whose state was written last; -1 before.
        skipped: Steps so far whose gradient was not finite, and which changed no weights.
        row: Consecutive skipped steps up to now.
        changing: Whether weights are being changed: what is between two states is not saved.
        new: Names of the weights that the model it starts from did not give.
        order: The version of the order of its data.
        by_time: The losses by time since the last line of the log.
    """

    recipe: Recipe
    accelerator: Accelerator
    model: Any
    optimizer: torch.optim.Optimizer
    ema: EMA
    data: Dataset | Stream
    step: int = 0
    seconds: float = 0.0
    saved: int = -1
    skipped: int = 0
    row: int = 0
    changing: bool = False
    new: tuple[str, ...] = ()
    order: int = ORDER
    by_time: LossByTime = field(default_factory=LossByTime)
    _whole: Any = None

    @property
    def sharded(self) -> bool:
        """Whether each process has a part of the weights."""
        return is_split(self.recipe, self.accelerator)

    def averaged(self) -> Any:
        """Return the averaged model with all of its weights; every process calls it.

        Where it is sharded, the model returned is filled anew by the next call.
        """
        self._whole = whole(self.ema.model, self._whole)
        return self._whole

    @property
    def bare_model(self) -> Any:
        """The model without the wrappers of its process group and of torch.compile."""
        return self.accelerator.unwrap_model(self.model, keep_torch_compile=False)


@dataclass(frozen=True)
class StepRecord:
    """One optimizer step.

    Attributes:
        step: Its number, from 1.
        losses: The mean loss of this process's rows, on its device and not synchronised: what the
            loss is the sum of, by name.
        gradient_norm: The norm of the gradient before clipping, over all processes.
        rate: The learning rate.
        skipped: Whether it changed no weights, because its gradient was not finite.
    """

    step: int
    losses: dict[str, Tensor]
    gradient_norm: Tensor
    rate: float
    skipped: bool = False

    @property
    def loss(self) -> Tensor:
        """The loss: the sum of its parts."""
        return _total(self.losses)


def build_run(
    recipe: Recipe, accelerator: Accelerator, begin: Callable[[Any], Collection[str]] | None = None
) -> Run:
    """Open the data; make the model, its optimizer and its average, at step 0.

    Args:
        recipe: What to train.
        accelerator: Devices, processes and precision.
        begin: Gives the model its first weights, where they are another's, and returns the names of
            those that are new.
    """
    with main_first(accelerator):  # one process of a host downloads
        data = recipe.data.build("train")
    recipe, data, said = recipe.model.completed(recipe, data)
    if said:
        accelerator.print(said)
    torch.manual_seed(recipe.training.seed)
    config = recipe.model.trained(recipe.training)
    model = build_within(config.build, memory_limit()).to(accelerator.device)
    set_coupling(model, recipe.coupling)  # its average and what is saved know it too
    new = begin(model) if begin else ()
    if recipe.training.lora:
        model = adapted(model, recipe.training.lora, new)
    ema = EMA(model, recipe.training.ema_decay, others=further_averages(recipe.training))
    model, optimizer = prepared(recipe, accelerator, model, ema, new)
    if said := ema.model.codec.check_data(data):  # pyright: ignore[reportCallIssue, reportAttributeAccessIssue]
        accelerator.print(said)
    return Run(recipe, accelerator, model, optimizer, ema, data, new=tuple(new))


def training_steps(run: Run) -> Iterator[StepRecord]:
    """Train until the recipe's last step, yielding after each."""
    recipe, accelerator = run.recipe, run.accelerator
    shard = ProcessRows(
        recipe.training.batch_size,
        rank=accelerator.process_index,
        world=accelerator.num_processes,
        accumulate=recipe.training.accumulate,
    )
    batches = read_batches(
        run.data,
        shard,
        Reading(recipe.training.seed, run.step, run.order, recipe.training.workers),
        pin=accelerator.device.type == "cuda",
    )
    run.model.train()
    while run.step < recipe.training.steps:
        yield _step(run, shard, batches)


def _step(run: Run, shard: ProcessRows, batches: Iterator[Any]) -> StepRecord:
    recipe, accelerator = run.recipe, run.accelerator
    # Dropout draws from the global generator: tie it to the step, so that resuming repeats it.
    key = (recipe.training.seed, run.step, accelerator.process_index)
    torch.manual_seed(random.seed_of(*key))
    rate = recipe.optimizer.rate(run.step, recipe.training.steps)
    for group in run.optimizer.param_groups:
        group["lr"] = rate * group.get(FACTOR, 1.0)
    losses: list[dict[str, Tensor]] = []
    for i, rows in enumerate(shard):
        batch = send_to_device(next_batch(batches), accelerator.device)
        last = i == len(shard) - 1
        with contextlib.nullcontext() if last else accelerator.no_sync(run.model):
            parts = losses_of_rows(run, batch, rows)
            accelerator.backward(_total(parts) / len(shard))
        losses.append({name: part.detach() / len(shard) for name, part in parts.items()})
    clip = recipe.optimizer.clip
    clipped: Any = accelerator.clip_grad_norm_(run.model.parameters(), clip or math.inf)
    norm = full(clipped)
    # AdamW and Muon keep squares of what is not clipped.
    finite = bool((norm if clip else norm.float().square()).isfinite())
    run.changing = True
    _change(run, finite)
    run.changing = False
    means = {name: torch.stack([each[name] for each in losses]).sum() for name in losses[0]}
    return StepRecord(run.step, means, norm, rate, skipped=not finite)


def _total(losses: dict[str, Tensor]) -> Tensor:
    return torch.stack([*losses.values()]).sum()


def _change(run: Run, finite: bool) -> None:
    """Take the step, if its gradient is finite, and count it."""
    scaler = run.accelerator.scaler
    if finite or scaler is not None:  # a scaler skips what is not, and scales less
        run.optimizer.step()
    run.optimizer.zero_grad(set_to_none=True)
    run.step += 1
    if finite:
        run.ema.update(run.bare_model, run.step)
        run.row = 0
        return
    run.skipped += 1
    # What overflows when scaled up is how a scaler finds its scale.
    run.row += scaler is None or scaler.get_scale() < 1


def losses_of_rows(run: Run, batch: Any, rows: range) -> dict[str, Tensor]:
    """Return the mean loss of some rows of the current step's global batch, by its parts."""
    recipe, model = run.recipe, run.bare_model
    training, stream = recipe.training, f"step {run.step}"
    rng = random.rows(training.seed, rows.start, rows.stop, stream=stream)
    z, condition = states_of(batch, lambda raw: model.codec.encode(raw, rng))
    number = like_times(z)
    u = random.uniform((len(rows),), rng, like=number)
    if training.stratified:
        offset = random.uniform((), _shared(training.seed, stream), like=number)
        index = torch.arange(rows.start, rows.stop, device=number.device, dtype=number.dtype)
        u = stratify(offset, index, training.batch_size)
    t = recipe.times.draw(u, rng, z)
    if training.condition_drop and condition is None:
        raise ValueError(
            f"training.condition_drop is {training.condition_drop}, but the data give no "
            "condition to drop: set it to 0"
        )
    if training.condition_drop:
        dropped = random.uniform((len(rows),), rng, like=number) < training.condition_drop
        condition = model.codec.drop(condition, dropped)
    if isinstance(condition, Mapping) and (named := conditions_of(model)):
        condition = named.dropped(condition, rng)
    losses = losses_at(run, run.model, z, condition, t, rng)
    one = isinstance(t, Tensor) and t.shape == u.shape  # clocks of elements belong to a row's time
    run.by_time.add(t if one else recipe.times.quantile(u), losses.values())
    return {name: loss.mean() for name, loss in losses.items()}


def like_times(z: Any) -> Tensor:
    """Return an empty tensor of the kind and on the device of the times of data points.

    Example:
        >>> like_times(torch.tensor([3])).dtype
        torch.float32
    """
    device = next(iter(z.values())).device if isinstance(z, Mapping) else z.device
    return torch.empty(0, device=device)  # of tokens, too, times are numbers


def losses_at(run: Run, model: Any, z: Any, condition: Any, t: Any, rng: Any) -> dict[str, Tensor]:
    """Return the loss of each row `(b,)`, by its parts.

    Args:
        run: The run.
        model: The model that is asked: that of the run, or its average.
        z: The data points.
        condition: Their conditions.
        t: Their times.
        rng: What their noise comes from.
    """
    z, x_0, condition = _coupled(run, z, rng, condition)
    path = run.bare_model.path
    x_t = path.sample(z, t, rng, x_0=x_0)
    with run.accelerator.autocast():
        return run.recipe.objective.by_part(model, path, z, t, x_t, condition=condition)


def _coupled(run: Run, z: Any, rng: Any, condition: Any) -> tuple[Any, Any, Any]:
    """Return the conditioning variable, the source samples and the condition, coupled."""
    path, coupling = run.bare_model.path, run.recipe.coupling
    if isinstance(z, Mapping):
        shapes = {name: value.shape for name, value in z.items()}
        x_0 = path.sample_source(shapes, rng, like=z)
        return z, coupling.of_factors(x_0, z, rng, condition), condition
    batch = couple(path, coupling, z, rng, condition)
    return path.given(batch.pair.x_0, batch.pair.x_1), batch.pair.x_0, batch.condition


def _shared(seed: int, stream: str) -> torch.Generator:
    """Return the generator of what all rows of a step share."""
    return random.rows(seed, 0, 1, stream=f"{stream} shared")[0]
