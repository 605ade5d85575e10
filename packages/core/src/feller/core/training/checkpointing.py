"""Training checkpoints: safetensors for tensors, JSON for the rest, no pickle.

A checkpoint is a folder `step_00000500` that appears whole or not at all, with the digests of its
files; it holds finite numbers only. The newest that can be read is the one a run goes on from. What
a run needs beyond weights, moments and the step number follows from its seed.
"""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import broadcast_object_list, gather_object
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_optimizer_state_dict,
    set_optimizer_state_dict,
)

from feller.core.checkpoint import is_finite
from feller.core.config import fits
from feller.core.files import SUMS, published, read_json, remove, sweep, verify
from feller.core.training.launching import on_main
from feller.core.training.loop import Run

__all__ = [
    "latest_checkpoint", "load_checkpoint", "load_latest", "save_checkpoint", "write_checkpoint",
]  # fmt: skip

FORMAT = 2
_OPTIONS = StateDictOptions(full_state_dict=True, cpu_offload=True)
_KINDS = {"step": int, "seconds": float, "plain": dict}
# What torch raises of a state that is not the optimizer's.
_MISFITS = (AttributeError, LookupError, RuntimeError, TypeError, ValueError)


def save_checkpoint(run: Run, folder: Path) -> Path:
    """Write the run's state under `folder` and remove all but the recipe's `keep` last ones.

    Every process calls it; the first one writes.

    Raises:
        ValueError: When a weight or a moment is not finite.
        OSError: When it cannot be written, as on a full disk.
    """
    on_main(run.accelerator, lambda: write_checkpoint(run, folder))
    return folder / f"step_{run.step:08d}"


def write_checkpoint(run: Run, folder: Path) -> None:
    """Do what `save_checkpoint` does, on the first process alone."""
    target = folder / f"step_{run.step:08d}"
    if run.saved == run.step and target.exists():
        return
    optimizer = get_optimizer_state_dict(run.bare_model, _bare(run.optimizer), options=_OPTIONS)
    tensors, plain = _split(optimizer)
    tensors |= {f"model.{k}": v for k, v in run.bare_model.state_dict().items()}
    tensors |= {f"ema.{k}": v for k, v in run.ema.state_dict().items()}
    if odd := _not_finite(run, tensors):
        raise ValueError(f"{odd} is not finite at step {run.step}: nothing is saved")
    scaler = run.accelerator.scaler
    # What the loss never asked has no moments, and needs none to go on.
    weights = [name for name, weight in run.bare_model.named_parameters() if weight.requires_grad]
    unasked = [name for name in weights if name not in optimizer["state"]]
    state = {
        "format": FORMAT,
        "unasked": unasked,
        "step": run.step,
        "seconds": run.seconds,
        "skipped": run.skipped,
    }
    state |= {"plain": plain, "scaler": None if scaler is None else scaler.state_dict()}
    if folder.exists():
        sweep(folder)
    with published(target, sealed=True) as fresh:
        tensors = {k: v.detach().cpu().contiguous().clone() for k, v in tensors.items()}
        save_file(tensors, fresh / "state.safetensors")
        (fresh / "state.json").write_text(json.dumps(state, indent=1))
    run.saved = run.step
    # One of a later step is of a future that was lost: it is written again when it is reached.
    past = [found for found in _checkpoints(folder) if _step_of(found) <= run.step]
    for old in past[: -run.recipe.training.keep]:
        remove(old)


def latest_checkpoint(folder: Path) -> Path | None:
    """Return the checkpoint with the most steps, or None."""
    found = _checkpoints(folder)
    return found[-1] if found else None


def load_latest(run: Run, folder: Path) -> Path | None:
    """Put a run where its newest checkpoint that can be read left it; None if there is none.

    Every process calls it, and all load the same; one that is passed over is named.

    Raises:
        ValueError: When there are checkpoints, but none can be read by every process.
    """
    (names,) = broadcast_object_list([[found.name for found in reversed(_checkpoints(folder))]])
    refused = []
    for name in names:
        reasons = [reason for reason in gather_object([_refusal(run, folder / name)]) if reason]
        if not reasons:
            return folder / name
        refused += reasons[:1]
        run.accelerator.print(f"passed over: {reasons[0]}")
    if refused:
        raise ValueError(f"no checkpoint can be read: {refused[0]}")
    return None


def load_checkpoint(run: Run, checkpoint: Path) -> None:
    """Put a run where a checkpoint left it, on any number of processes.

    Raises:
        ValueError: When the checkpoint is damaged, or does not fit the model.
    """
    try:
        tensors, state = _read(checkpoint)
    except (SafetensorError, OSError, ValueError) as error:
        raise ValueError(f"{checkpoint} is damaged: {_line(error)}") from None
    if odd := _not_finite(run, tensors):
        raise ValueError(f"{checkpoint} is damaged: {odd} is not finite")
    try:
        run.bare_model.load_state_dict(_under("model.", tensors))
        run.ema.load_state_dict(_under("ema.", tensors))
        optimizer = _join(tensors, state["plain"])
        options = replace(_OPTIONS, strict=not state.get("unasked"))
        set_optimizer_state_dict(
            run.bare_model, _bare(run.optimizer), optim_state_dict=optimizer, options=options
        )
        if run.accelerator.scaler is not None and state.get("scaler"):
            run.accelerator.scaler.load_state_dict(state["scaler"])
    except _MISFITS as error:
        raise ValueError(
            f"{checkpoint} does not fit the recipe's model and optimizer: {_line(error)}"
        ) from None
    run.step = run.saved = state["step"]
    run.seconds, run.skipped = state["seconds"], state.get("skipped", 0)


def _refusal(run: Run, checkpoint: Path) -> str:
    """Load a checkpoint, or say why not."""
    if not checkpoint.is_dir():
        return f"not every process sees {checkpoint}: --out is on a shared disk"
    try:
        load_checkpoint(run, checkpoint)
    except ValueError as error:
        return str(error)
    return ""


def _read(checkpoint: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the tensors of a checkpoint, under plain names, and the rest."""
    sealed = (checkpoint / SUMS).exists()
    if sealed:
        verify(checkpoint)
    state = read_json(checkpoint / "state.json")
    if not fits(state, dict):
        raise ValueError("state.json is no mapping")
    if state.get("format", 1) > FORMAT:
        raise ValueError("it is of a later feller: pip install -U feller-core")
    if "format" in state and not sealed:
        raise ValueError(f"{SUMS} is missing")
    for key, kind in _KINDS.items():
        if not fits(state.get(key), kind):
            raise ValueError(f"state.json has no {key}")
    if not {"state", "param_groups"} <= state["plain"].keys():
        raise ValueError("state.json has no optimizer")
    if state["step"] != _step_of(checkpoint):
        raise ValueError(f"state.json is of step {state['step']}")
    # torch.compile's wrapper is in the names that were saved before it was taken off.
    tensors = load_file(checkpoint / "state.safetensors")
    return {name.replace("_orig_mod.", ""): value for name, value in tensors.items()}, state


def _not_finite(run: Run, tensors: dict[str, Tensor]) -> str | None:
    """Name a weight, an averaged weight or a moment that is not finite."""
    weights = {
        f"{part}.{n}" for part in ("model", "ema") for n, _ in run.ema.model.named_parameters()
    }
    for name, value in tensors.items():
        watched = name in weights or name.startswith("optimizer/")
        if watched and not is_finite(value):
            return name
    return None


def _line(error: Exception) -> str:
    """Return two lines of a message in one: the second of torch's says what does not fit."""
    return " ".join(line.strip() for line in str(error).splitlines()[:2]) or type(error).__name__


def _bare(optimizer: Any) -> Any:
    """The optimizer itself: accelerate's wrapper would count the reading of its state as a step."""
    return getattr(optimizer, "optimizer", optimizer)


def _checkpoints(folder: Path) -> list[Path]:
    found = folder.glob("step_*") if folder.is_dir() else []
    return sorted((p for p in found if re.fullmatch(r"step_\d{8,}", p.name)), key=_step_of)


def _step_of(checkpoint: Path) -> int:
    return int(checkpoint.name.removeprefix("step_"))


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def _split(optimizer: dict[str, Any]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Part an optimizer's state into its tensors, by path, and the rest, with None for them."""
    tensors: dict[str, Tensor] = {}
    state: dict[str, dict[str, Any]] = {}
    for weight, values in optimizer["state"].items():
        own = {key: value for key, value in values.items() if torch.is_tensor(value)}
        tensors |= {f"optimizer/state/{weight}/{key}": value for key, value in own.items()}
        state[weight] = {**values, **dict.fromkeys(own)}
    return tensors, {**optimizer, "state": state}


def _join(tensors: dict[str, Tensor], plain: dict[str, Any]) -> dict[str, Any]:
    """Undo `_split`."""
    state = {
        weight: {
            key: tensors.get(f"optimizer/state/{weight}/{key}", value)
            for key, value in values.items()
        }
        for weight, values in plain["state"].items()
    }
    return {**plain, "state": state}
