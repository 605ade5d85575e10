"""Training from start to end: a folder (`feller.core.training.folder`) that fills up.

It holds a model at last. Running the same command again resumes from the last checkpoint.
"""

import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import Any

import torch
from tqdm.auto import tqdm

from feller.core.cards import ModelCard
from feller.core.checkpoint import read_config, save_model
from feller.core.config import decode, encode, fits, leaves
from feller.core.files import digest, locked
from feller.core.runs import noting_end
from feller.core.training.checkpointing import latest_checkpoint, load_latest
from feller.core.training.config import Recipe
from feller.core.training.evaluating import begin_evaluation, figures_of
from feller.core.training.fingerprints import fingerprint
from feller.core.training.folder import (
    begin_session,
    check_folder,
    compare_run,
    new_weights,
    order_of_run,
)
from feller.core.training.launching import launched, on_main
from feller.core.training.log import Diverged, Log
from feller.core.training.loop import Run, StepRecord, build_run, training_steps
from feller.core.training.lora import merged, save_adapter
from feller.core.training.posthoc import is_due, save_snapshot, snapshot_of
from feller.core.training.saving import Saver
from feller.core.training.sharding import whole
from feller.core.training.starting import first_weights, with_model_of_start
from feller.core.training.stopping import TIME_UP, Stop, Stopped, stop_on_signal
from feller.core.training.trackers import begin_trackers
from feller.core.training.validating import begin_validation

__all__ = ["train"]


def train(
    recipe: Recipe, out: str | Path, *, cpu: bool = False, new_data: bool = False
) -> Path | None:
    """Train a recipe into a folder, or resume where it stopped.

    Args:
        recipe: What to train.
        out: The folder of the run.
        cpu: Whether to ignore accelerators.
        new_data: Whether a run may resume with other data than it started with.

    Returns: The model folder; None if `training.max_minutes` was over before the last step; the
    folder then holds the model so far.

    Raises:
        ValueError: When the recipe holds NaN or a value of the wrong type; when `out` holds
            something else, a run of another recipe, or one in use by another process; when the
            launcher's settings contradict the recipe; when gradients or weights are not finite.
        OSError: When the disk is full, or a process that reads data was killed.
        Stopped: After a signal ended the run early, its state saved; it is a `KeyboardInterrupt`.
    """
    out, until = Path(out), time.monotonic() + 60 * (recipe.training.max_minutes or math.inf)
    check_folder(out)
    recipe = with_model_of_start(recipe)
    _check_recipe(recipe)
    accelerator = launched(recipe, out, cpu=cpu)
    known = new_weights(out) if latest_checkpoint(out / "checkpoints") else None
    run = build_run(recipe, accelerator, first_weights(recipe, accelerator, known))
    with (
        locked(out) if accelerator.is_main_process else nullcontext(),
        noting_end(out) if accelerator.is_main_process else nullcontext(),
    ):
        complete = _train(run, out, new_data=new_data, until=until)
        accelerator.end_training()
    return out / "model" if complete else None


def _check_recipe(recipe: Recipe) -> None:
    """Reject what could not be read again: a value of another type; NaN, which is no JSON."""
    encoded = encode(recipe)
    decode(encoded, where="recipe")
    for key, value in leaves(encoded).items():
        if fits(value, float) and math.isnan(value):
            raise ValueError(f"{key} is {value}: give a number")


def _train(run: Run, out: Path, *, new_data: bool, until: float) -> bool:
    """Train until the last step, a signal or the time `until`; say whether it was the last step."""
    accelerator, checkpoints = run.accelerator, out / "checkpoints"
    accelerator.print(f"{accelerator.num_processes} process(es) on {accelerator.device.type}")
    data = fingerprint(run.data) if accelerator.is_main_process else {}
    on_main(accelerator, lambda: compare_run(out, run, data, new_data=new_data))
    if found := load_latest(run, checkpoints):
        accelerator.print(f"resumed {found} at step {run.step}")
        run.order = order_of_run(out)
    on_main(accelerator, lambda: begin_session(out, run, data))
    begin_trackers(accelerator, run.recipe, out)
    first = run.step
    with stop_on_signal(until) as stop, Saver(run, checkpoints) as saver:
        number = _follow(run, out, stop, saver)
        saver.save()
        saver.finish()
        if number in (0, TIME_UP):  # a signal that comes now finds nothing left to stop
            _finish(run, out, first)
    if number == TIME_UP:
        accelerator.print(f"{out / 'model'} is that of step {run.step}: feller sample {out}")
    elif number:
        accelerator.end_training()
        raise Stopped(number)
    return not number


def _finish(run: Run, out: Path, first: int) -> None:
    """Write the models of a run whose steps, or time, are up, unless an earlier session did."""
    accelerator = run.accelerator
    if run.step > first or not on_main(accelerator, lambda: _is_written(out / "model", run)):
        model = run.averaged()
        others = {name: whole(other.model) for name, other in run.ema.others.items()}
        on_main(accelerator, lambda: _save_model(run, model, others, out))


def _save_model(run: Run, model: Any, others: Mapping[str, Any], out: Path) -> None:
    for name, other in others.items():
        save_model(merged(other), out / "averages" / name, card=_card(run, out))
    save_model(merged(model), out / "model", card=_card(run, out))
    save_adapter(model, out / "adapter")


def _follow(run: Run, out: Path, stop: Stop, saver: Saver) -> int:
    """Take the steps; log, picture and checkpoint on the way. Return what ended it early, or 0."""
    training, accelerator = run.recipe.training, run.accelerator
    log, due, number = Log(run, out / "log.jsonl"), False, 0
    evaluation, validation = begin_evaluation(run), begin_validation(run)
    # The bar is closed on an error too, which is printed on a line of its own.
    with _saving_on_error(run, log, saver), _bar(run) as bar:
        for record in training_steps(run):
            bar.update()
            log.take(record)
            _judge(run, record, out, saver)
            if record.step % training.log_every == 0 or record.step == training.steps:
                bar.set_postfix(log.write())
            if training.sample_every and record.step % training.sample_every == 0:
                _preview(run, out)
            if evaluation and record.step % training.evaluate_every == 0:
                log.note(figures_of(run, evaluation))
            if validation and record.step % training.validate_every == 0:
                log.note(figures_of(run, validation))
            if is_due(record.step, training.ema_snapshot_every, training.steps):
                states = snapshot_of(run.ema)
                on_main(accelerator, partial(save_snapshot, states, run.step, out))
            due |= record.step % training.checkpoint_every == 0
            if due and not run.row:
                log.means()  # weights of a run that fails replace no good ones
                saver.save()
                due = False
            saver.reserve()
            if number := saver.heed(stop.asked()):
                break
        _judge_last(run, log, out, saver)
    if run.step == training.steps:
        return 0  # asked too late: the model is all that is missing
    accelerator.print(f"stopped at step {run.step}; the same command resumes from here")
    return number


def _judge(run: Run, record: StepRecord, out: Path, saver: Saver) -> None:
    """Warn of the first of some bad steps, and end a run that has too many in a row."""
    if not run.row:
        return
    norm = float(record.gradient_norm)
    if run.row == 1:
        run.accelerator.print(f"step {run.step} is skipped: the gradient has norm {norm}")
    if run.row >= run.recipe.training.bad_steps:
        raise Diverged(
            f"the gradient is not finite in {run.row} steps in a row, up to step {run.step}: lower "
            f"optimizer.lr; {_last_good(out, saver)}"
        )


def _judge_last(run: Run, log: Log, out: Path, saver: Saver) -> None:
    """Refuse to keep the weights of a run that ends where its losses are not numbers."""
    log.means()
    if run.row:
        raise Diverged(
            f"the gradient is not finite in the last {run.row} steps, up to step {run.step}: lower "
            f"optimizer.lr; {_last_good(out, saver)}"
        )


def _last_good(out: Path, saver: Saver) -> str:
    with suppress(ValueError, OSError):
        saver.finish()
    found = latest_checkpoint(out / "checkpoints")
    return f"the last good state is {found}" if found else "no state was saved before"


@contextmanager
def _saving_on_error(run: Run, log: Log, saver: Saver) -> Iterator[None]:
    """Save the state where something else than the training itself fails, such as data.

    Other processes may be gone: the first one saves, without waiting for any.
    """
    try:
        yield
    except Diverged:
        with suppress(ValueError, OSError):
            saver.finish()  # a good state, of before
        raise
    except torch.OutOfMemoryError:
        _save(run, log, saver)
        changes = (
            "pairs fewer rows at once" if run.recipe.coupling.joins_rows else "changes no step"
        )
        raise ValueError(
            f"the device has no memory left at step {run.step + 1}: give more "
            f"--training.accumulate, which {changes}"
        ) from None
    except BaseException:
        _save(run, log, saver)
        raise


def _save(run: Run, log: Log, saver: Saver) -> None:
    """Save the state of an error, where there is a new one that is good."""
    new = run.step > max(run.saved, 0) and not run.changing and not run.row
    if new and run.accelerator.is_main_process:
        with suppress(Exception):  # what is reported is why it failed first
            if log.is_finite():
                saver.save_alone()
                run.accelerator.print(f"saved the state of step {run.step}")


def _bar(run: Run) -> Any:
    return tqdm(
        total=run.recipe.training.steps,
        initial=run.step,
        disable=not run.accelerator.is_main_process,
        dynamic_ncols=True,
        mininterval=1.0,
    )


def _is_written(folder: Path, run: Run) -> bool:
    """Return whether the complete model of this step is on disk; its card may have changed."""
    try:
        whole = digest(folder / "model.safetensors") == read_config(folder)["sha256"]
        return whole and ModelCard.read(folder).training.get("steps") == run.step
    except (ValueError, OSError):
        return False


def _preview(run: Run, out: Path) -> None:
    model = run.averaged()
    if run.accelerator.is_main_process:
        folder = out / "samples"
        folder.mkdir(exist_ok=True)
        model.preview(folder / f"step_{run.step:08d}")


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
    if run.recipe.training.lora:
        training["lora"] = run.recipe.training.lora
    return ModelCard(
        name=out.name,
        parameters=sum(p.numel() for n, p in run.ema.model.named_parameters() if "lora_" not in n),
        dataset=getattr(run.recipe.data, "source", ""),
        training=training,
        hub_task=run.recipe.model.hub_task,
    )
