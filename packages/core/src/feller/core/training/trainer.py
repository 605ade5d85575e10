"""Training from start to end: a folder that fills up, and holds a model at last.

```
runs/a/recipe.json        the resolved recipe
runs/a/log.jsonl          a line every few steps
runs/a/tensorboard/       the same for TensorBoard
runs/a/samples/           pictures from fixed noise
runs/a/checkpoints/       the last few states
runs/a/model/             the averaged weights as a model folder
```

Running the same command again resumes from the last checkpoint.
"""

import json
import math
import signal
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedType, ProjectConfiguration, broadcast_object_list
from tqdm.auto import tqdm

from feller.core.cards import ModelCard
from feller.core.checkpoint import load_weights, read_config, save_model
from feller.core.config import encode, leaves
from feller.core.registry import model_folder
from feller.core.training.checkpointing import (
    latest_checkpoint,
    load_checkpoint,
    save_checkpoint,
)
from feller.core.training.config import Recipe
from feller.core.training.folder import claim_folder
from feller.core.training.loop import Run, StepRecord, build_run, training_steps

__all__ = ["train"]

_PARALLEL = (
    DistributedType.NO,
    DistributedType.MULTI_CPU,
    DistributedType.MULTI_GPU,
    DistributedType.MULTI_XPU,
)


def train(recipe: Recipe, out: str | Path, *, cpu: bool = False) -> Path:
    """Train a recipe into a folder, or go on where it stopped.

    Args:
        recipe: What to train.
        out: The folder of the run.
        cpu: Whether to leave accelerators alone.

    Returns:
        The model folder.

    Raises:
        ValueError: When `out` holds something else, or a run of another recipe.
        KeyboardInterrupt: After a signal ended the run early, its state saved.
    """
    out = Path(out)
    accelerator = _accelerator(recipe, out, cpu)
    run = build_run(recipe, accelerator)
    claim_folder(out, recipe, accelerator)
    accelerator.print(f"{accelerator.num_processes} process(es) on {accelerator.device.type}")
    _resume(run, out / "checkpoints")
    with _finish_step_on_signal() as stop:
        _follow(run, out, stop)
    save_checkpoint(run, out / "checkpoints")
    if run.step < recipe.training.steps:
        accelerator.end_training()
        raise KeyboardInterrupt
    if accelerator.is_main_process:
        save_model(run.ema.model, out / "model", card=_card(run, out))
    accelerator.wait_for_everyone()
    accelerator.end_training()
    return out / "model"


def _resume(run: Run, checkpoints: Path) -> None:
    """Load the checkpoint that the first process sees, on every process or on none."""
    accelerator = run.accelerator
    (name,) = broadcast_object_list(
        [found.name if (found := latest_checkpoint(checkpoints)) else ""]
    )
    if not name:
        _start(run)
        return
    there = torch.tensor(float((checkpoints / name).is_dir()), device=accelerator.device)
    if float(accelerator.reduce(there, "mean")) < 1:  # pyright: ignore[reportArgumentType]
        raise ValueError(f"not every process sees {checkpoints / name}: --out is on a shared disk")
    load_checkpoint(run, checkpoints / name)
    accelerator.print(f"resumed {checkpoints / name} at step {run.step}")


def _start(run: Run) -> None:
    """Begin with the weights that the recipe names, if it does."""
    if start := run.recipe.training.start:
        with run.accelerator.local_main_process_first():  # one process of a host downloads
            folder = model_folder(start)
        for model in (run.ema.model, run.bare_model):
            anew = load_weights(model, folder, partly=True)
        run.accelerator.print(f"starting from the weights of {start}")
        if anew:
            run.accelerator.print(f"made anew, as they do not fit: {'; '.join(anew)}")
        if run.accelerator.is_main_process:
            _warn_of_differences(folder, encode(run.recipe.model))


def _warn_of_differences(folder: Path, asked: dict[str, Any]) -> None:
    """Say in one line how the model of a folder is another than the one asked for, if it is."""
    old, new = leaves(read_config(folder)["model"]), leaves(asked)
    keys = [key for key in old | new if old.get(key, "absent") != new.get(key, "absent")]
    if not keys:
        return

    def told(flat: dict[str, Any], key: str) -> str:
        value = repr(flat[key]) if key in flat else "absent"
        return value if len(value) <= 40 else f"{value[:37]}..."

    named = [f"{key} is {told(new, key)} and was {told(old, key)}" for key in keys[:3]]
    named += [f"and {len(keys) - 3} more"] * (len(keys) > 3)
    warnings.warn(
        f"training.start {folder}: the weights are of another model: {'; '.join(named)}",
        stacklevel=2,
    )


@dataclass
class _Stop:
    asked: bool = False


def _follow(run: Run, out: Path, stop: _Stop) -> None:
    """Take the steps; log, picture and checkpoint on the way."""
    training, accelerator = run.recipe.training, run.accelerator
    log = _Log(run, out)
    # Closed on an error too, which is told on a line of its own.
    with tqdm(
        total=training.steps,
        initial=run.step,
        disable=not accelerator.is_main_process,
        dynamic_ncols=True,
        mininterval=1.0,
    ) as bar:
        for record in training_steps(run):
            bar.update()
            log.take(record)
            if record.step % training.log_every == 0 or record.step == training.steps:
                bar.set_postfix(log.write())
            if training.sample_every and record.step % training.sample_every == 0:
                _preview(run, out)
            if record.step % training.checkpoint_every == 0:
                log.mean()  # weights of a run that fails replace no good ones
                save_checkpoint(run, out / "checkpoints")
            if _stops(run, stop):
                log.mean()  # nor do those of one that was stopped
                accelerator.print(f"stopped at step {run.step}; the same command goes on from here")
                break


def _stops(run: Run, stop: _Stop) -> bool:
    """Say whether any process was asked to stop; several agree every ten steps."""
    accelerator = run.accelerator
    if accelerator.num_processes == 1:
        return stop.asked
    if run.step % 10:
        return False
    asked = torch.tensor(float(stop.asked), device=accelerator.device)
    return float(accelerator.reduce(asked, "sum")) > 0  # pyright: ignore[reportArgumentType]


@dataclass
class _Log:
    """The mean loss and the speed since the last line."""

    run: Run
    out: Path
    losses: list[torch.Tensor] = field(default_factory=list)
    last: StepRecord | None = None
    since: float = field(default_factory=time.perf_counter)

    def take(self, record: StepRecord) -> None:
        self.losses.append(record.loss)
        self.last = record

    def mean(self) -> float:
        """Return the mean loss over all processes since the last line; refuse what is no number."""
        if not self.losses:
            return 0.0
        assert self.last is not None
        loss = float(self.run.accelerator.reduce(torch.stack(self.losses).mean(), "mean"))  # pyright: ignore[reportArgumentType]
        if not math.isfinite(loss):
            raise ValueError(f"the loss is {loss} at step {self.last.step}: lower optimizer.lr")
        return loss

    def write(self) -> dict[str, str]:
        run, record, loss = self.run, self.last, self.mean()
        assert record is not None
        now = time.perf_counter()
        run.seconds += now - self.since
        speed = len(self.losses) * run.recipe.training.batch_size / (now - self.since)
        self.since, self.losses = now, []
        line: dict[str, Any] = {
            "step": record.step,
            "loss": loss,
            "rate": record.rate,
            "samples_per_second": round(speed, 2),
            "seconds": round(run.seconds, 1),
        }
        if record.gradient_norm is not None:
            line["gradient_norm"] = float(record.gradient_norm)
        if run.accelerator.is_main_process:
            with (self.out / "log.jsonl").open("a") as file:
                file.write(json.dumps(line) + "\n")
        scalars = {k: v for k, v in line.items() if k != "step"}
        run.accelerator.log(scalars, step=record.step)
        return {"loss": f"{line['loss']:.4f}", "samples/s": f"{speed:.0f}"}


def _preview(run: Run, out: Path) -> None:
    if run.accelerator.is_main_process:
        folder = out / "samples"
        folder.mkdir(exist_ok=True)
        run.ema.model.preview(folder / f"step_{run.step:08d}")  # pyright: ignore[reportCallIssue]


def _accelerator(recipe: Recipe, out: Path, cpu: bool) -> Accelerator:
    on_cpu = cpu or not torch.accelerator.is_available()
    if recipe.training.mixed_precision != "no" and on_cpu:
        raise ValueError("mixed precision is many times slower on a CPU: leave it off")
    accelerator = Accelerator(
        mixed_precision=recipe.training.mixed_precision,
        cpu=cpu,
        log_with="tensorboard",
        project_config=ProjectConfiguration(
            project_dir=str(out), logging_dir=str(out / "tensorboard")
        ),
    )
    if accelerator.distributed_type not in _PARALLEL:
        raise ValueError(f"{accelerator.distributed_type} is not supported: data parallel is")
    if accelerator.gradient_accumulation_steps != 1:
        raise ValueError("accumulation is --training.accumulate, not a setting of accelerate's")
    return accelerator


def _card(run: Run, out: Path) -> ModelCard:
    """Say what was trained and what it cost."""
    training = {
        "steps": run.step,
        "batch_size": run.recipe.training.batch_size,
        "seconds": round(run.seconds),
        "processes": run.accelerator.num_processes,
        "threads": torch.get_num_threads(),
        "device": run.accelerator.device.type,
        "seed": run.recipe.training.seed,
    }
    if start := run.recipe.training.start:
        training["start"] = start
    return ModelCard(
        name=out.name,
        parameters=sum(p.numel() for p in run.ema.model.parameters()),
        dataset=getattr(run.recipe.data, "source", ""),
        training=training,
    )


@contextmanager
def _finish_step_on_signal() -> Iterator[_Stop]:
    """Turn the first SIGINT or SIGTERM into a clean end after the current step."""
    stop = _Stop()

    def ask(number: int, frame: Any) -> None:
        stop.asked = True
        signal.signal(number, signal.default_int_handler)

    try:
        before = {s: signal.signal(s, ask) for s in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:  # not the main thread: leave signals alone
        before = {}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
