"""Training checkpoints: safetensors for tensors, JSON for the rest, no pickle.

A checkpoint is a folder `step_00000500` that appears whole or not at all, with the digests of its
files; it holds finite numbers only. The newest that can be read is the one a run goes on from. What
a run needs beyond weights, moments and the step number follows from its seed.
"""

import re
from pathlib import Path
from typing import Any

from accelerate.utils import broadcast_object_list, gather_object
from safetensors import SafetensorError

from feller.core.config import fits
from feller.core.files import SUMS, read_json, verify
from feller.core.training.loop import Run
from feller.core.training.states import not_finite, restore, state_of

__all__ = [
    "FORMAT", "checkpoints", "latest_checkpoint", "load_checkpoint", "load_latest", "step_of",
]  # fmt: skip

FORMAT = 3
_KINDS = {"step": int, "seconds": float, "plain": dict}


class Damaged(ValueError):
    """A checkpoint is not as it was written."""


# What torch raises of a state that is not the optimizer's.
_MISFITS = (AttributeError, LookupError, RuntimeError, TypeError, ValueError)


def latest_checkpoint(folder: Path) -> Path | None:
    """Return the checkpoint with the most steps, or None."""
    found = checkpoints(folder)
    return found[-1] if found else None


def load_latest(run: Run, folder: Path) -> Path | None:
    """Restore a run from its newest readable checkpoint; None if there is none.

    Every process calls it, and all load the same checkpoint; skipped ones are printed.

    Raises:
        ValueError: When there are checkpoints, but none can be read by every process.
    """
    (names,) = broadcast_object_list([[found.name for found in reversed(checkpoints(folder))]])
    refused = []
    for name in names:
        reasons = [reason for reason in gather_object([_refusal(run, folder / name)]) if reason]
        if not reasons:
            return folder / name
        refused += reasons[:1]
        run.accelerator.print(f"skipped: {reasons[0]}")
    if refused:
        raise ValueError(f"no checkpoint can be read: {refused[0]}")
    return None


def load_checkpoint(run: Run, checkpoint: Path) -> None:
    """Put a run where a checkpoint left it, on any number of processes.

    Raises:
        ValueError: When the checkpoint is damaged, or does not fit the model.
    """
    try:
        state = _read(checkpoint)
        restore(run, checkpoint, state)
    except (SafetensorError, OSError, Damaged) as error:
        raise ValueError(f"{checkpoint} is damaged: {_line(error)}") from None
    except _MISFITS as error:
        raise ValueError(
            f"{checkpoint} does not fit the recipe's model and optimizer: {_line(error)}"
        ) from None
    if odd := not_finite(run, state_of(run)[0]):
        raise ValueError(f"{checkpoint} is damaged: {odd} is not finite")


def _refusal(run: Run, checkpoint: Path) -> str:
    """Load a checkpoint, or say why not."""
    if not checkpoint.is_dir():
        return f"not every process sees {checkpoint}: --out is on a shared disk"
    try:
        load_checkpoint(run, checkpoint)
    except ValueError as error:
        return str(error)
    return ""


def _read(checkpoint: Path) -> dict[str, Any]:
    """Return what `state.json` holds, once all files are as they were written."""
    sealed = (checkpoint / SUMS).exists()
    try:
        if sealed:
            verify(checkpoint)
        state = read_json(checkpoint / "state.json")
    except ValueError as error:
        raise Damaged(str(error)) from None
    if not fits(state, dict):
        raise Damaged("state.json is not a mapping")
    if state.get("format", 1) > FORMAT:
        raise Damaged("it is of a later feller: pip install -U feller-core")
    if "format" in state and not sealed:
        raise Damaged(f"{SUMS} is missing")
    for key, kind in _KINDS.items():
        if not fits(state.get(key), kind):
            raise Damaged(f"state.json has no {key}")
    if not {"state", "param_groups"} <= state["plain"].keys():
        raise Damaged("state.json has no optimizer")
    if state["step"] != step_of(checkpoint):
        raise Damaged(f"state.json is of step {state['step']}")
    return state


def _line(error: Exception) -> str:
    """Return two lines of a message in one: the second of torch's says what does not fit."""
    return " ".join(line.strip() for line in str(error).splitlines()[:2]) or type(error).__name__


def checkpoints(folder: Path) -> list[Path]:
    """Return the checkpoints of a folder by their steps; none where there is no folder."""
    found = folder.glob("step_*") if folder.is_dir() else []
    return sorted((p for p in found if re.fullmatch(r"step_\d{8,}", p.name)), key=step_of)


def step_of(checkpoint: Path) -> int:
    """Return the step of a checkpoint's name."""
    return int(checkpoint.name.removeprefix("step_"))
