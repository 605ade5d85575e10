"""The folder of a run: whose it is, and what may change between its sessions."""

import json
import math
import os
from pathlib import Path
from typing import Any

from accelerate import Accelerator

from feller.core.config import decode, encode, leaves
from feller.core.training.checkpointing import latest_checkpoint
from feller.core.training.config import Recipe

__all__ = ["claim_folder"]

# What may differ between the sessions of one run: none of it changes a step already taken.
_FREE = (
    "training.steps",
    "training.log_every",
    "training.sample_every",
    "training.checkpoint_every",
    "training.keep",
    "training.workers",
    "training.accumulate",
    "data.root",
    "data.path",
    "data.cache",
    "data.download",
)


def claim_folder(out: Path, recipe: Recipe, accelerator: Accelerator) -> None:
    """Write the recipe into a fresh folder, or check that the folder is a run of it.

    A run that took no step it would keep, as one that stopped at an error of its first batch, may
    begin again with other flags.

    Raises:
        ValueError: When the folder holds something else, or a run of another recipe.
    """
    file = out / "recipe.json"
    if file.exists():
        if _has_steps(out):
            _compare(encode(recipe), file)
    elif out.exists() and any(p.name != "tensorboard" for p in out.iterdir()):
        raise ValueError(f"{out} exists and is not a run: choose another --out")
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        out.mkdir(parents=True, exist_ok=True)
        _forget_lost_steps(out)
        partial = out / ".recipe.json.partial"
        partial.write_text(json.dumps(encode(recipe), indent=2) + "\n")
        os.replace(partial, file)  # noqa: PTH105  (atomic, the point of it)
    accelerator.init_trackers("")


def _has_steps(out: Path) -> bool:
    log = out / "log.jsonl"
    logged = log.exists() and log.stat().st_size > 0
    return logged or latest_checkpoint(out / "checkpoints") is not None or (out / "model").exists()


def _compare(asked: dict[str, Any], file: Path) -> None:
    began = json.loads(file.read_text())
    decode(began, where=str(file))
    new, old = leaves(asked), leaves(began)
    for key in sorted(new.keys() | old.keys()):
        if new.get(key) != old.get(key) and key not in _FREE:
            raise ValueError(
                f"{file.parent} was begun with {key} = {old.get(key)}, not {new.get(key)}: "
                "give the same flags, or another --out"
            )


def _forget_lost_steps(out: Path) -> None:
    """Remove the log's lines of steps that no checkpoint holds; they are taken again."""
    log = out / "log.jsonl"
    if not log.exists():
        return
    found = latest_checkpoint(out / "checkpoints")
    last = int(found.name.removeprefix("step_")) if found else 0
    lines = [line for line in log.read_text().splitlines() if _step(line) <= last]
    log.write_text("".join(f"{line}\n" for line in lines))


def _step(line: str) -> float:
    """Return the step of a line of the log; infinity of half a line, where a run was cut off."""
    try:
        return float(json.loads(line)["step"])
    except ValueError:
        return math.inf
