"""Training checkpoints: safetensors for tensors, JSON for the rest, no pickle.

A checkpoint is a folder `step_000500` that appears whole or not at all. What a run needs beyond
weights, moments and the step number follows from its seed.
"""

import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_optimizer_state_dict,
    set_optimizer_state_dict,
)

from feller.core.training.loop import Run

__all__ = ["latest_checkpoint", "load_checkpoint", "save_checkpoint"]

_OPTIONS = StateDictOptions(full_state_dict=True, cpu_offload=True)


def save_checkpoint(run: Run, folder: Path) -> Path:
    """Write the run's state under `folder` and remove all but the recipe's `keep` last ones.

    Every process calls it; the first one writes.
    """
    optimizer = get_optimizer_state_dict(run.bare_model, _bare(run.optimizer), options=_OPTIONS)
    target = folder / f"step_{run.step:08d}"
    if run.accelerator.is_main_process and not target.exists():
        tensors, plain = _split("optimizer", optimizer)
        tensors |= {f"model.{k}": v for k, v in run.bare_model.state_dict().items()}
        tensors |= {f"ema.{k}": v for k, v in run.ema.state_dict().items()}
        partial = folder / f".{target.name}.partial"
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        tensors = {k: v.detach().cpu().contiguous().clone() for k, v in tensors.items()}
        save_file(tensors, partial / "state.safetensors")
        scaler = run.accelerator.scaler
        state = {"step": run.step, "seconds": run.seconds, "plain": plain}
        state["scaler"] = None if scaler is None else scaler.state_dict()
        (partial / "state.json").write_text(json.dumps(state, indent=1))
        os.replace(partial, target)  # noqa: PTH105  (atomic, the point of it)
        for old in _checkpoints(folder)[: -run.recipe.training.keep]:
            shutil.rmtree(old)
    run.accelerator.wait_for_everyone()
    return target


def latest_checkpoint(folder: Path) -> Path | None:
    """Return the checkpoint with the most steps, or None."""
    found = _checkpoints(folder)
    return found[-1] if found else None


def load_checkpoint(run: Run, checkpoint: Path) -> None:
    """Put a run where a checkpoint left it, on any number of processes.

    Raises:
        ValueError: When the checkpoint is damaged, or does not fit the model.
    """
    try:
        tensors = load_file(checkpoint / "state.safetensors")
        state = json.loads((checkpoint / "state.json").read_text())
    except (SafetensorError, OSError, ValueError) as error:
        raise ValueError(
            f"{checkpoint} is damaged ({error}): remove it, and the run goes on from the one before"
        ) from None
    try:
        run.bare_model.load_state_dict(_under("model.", tensors))
    except RuntimeError as error:
        raise ValueError(f"{checkpoint} does not fit the recipe's model: {error}") from None
    run.ema.load_state_dict(_under("ema.", tensors))
    optimizer = _join("optimizer", tensors, state["plain"])
    set_optimizer_state_dict(
        run.bare_model, _bare(run.optimizer), optim_state_dict=optimizer, options=_OPTIONS
    )
    if run.accelerator.scaler is not None and state["scaler"]:
        run.accelerator.scaler.load_state_dict(state["scaler"])
    run.step, run.seconds = state["step"], state["seconds"]


def _bare(optimizer: Any) -> Any:
    """The optimizer itself: accelerate's wrapper would count the reading of its state as a step."""
    return getattr(optimizer, "optimizer", optimizer)


def _checkpoints(folder: Path) -> list[Path]:
    found = folder.glob("step_*") if folder.is_dir() else []
    return sorted(p for p in found if re.fullmatch(r"step_\d{8}", p.name))


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def _split(prefix: str, value: Any) -> tuple[dict[str, Tensor], Any]:
    """Part a nested state into its tensors, by path, and the rest, with nulls where they were."""
    if isinstance(value, Tensor):
        return {prefix: value}, None
    if isinstance(value, dict):
        tensors: dict[str, Tensor] = {}
        plain = {}
        for key, item in value.items():
            inner, plain[key] = _split(f"{prefix}/{key}", item)
            tensors |= inner
        return tensors, plain
    if isinstance(value, list | tuple) and any(isinstance(item, dict) for item in value):
        tensors, plain = _split(prefix, dict(enumerate(value)))
        return tensors, list(plain.values())
    return {}, value


def _join(prefix: str, tensors: dict[str, Tensor], plain: Any) -> Any:
    """Undo `_split`."""
    if prefix in tensors:
        return tensors[prefix]
    if isinstance(plain, dict):
        return {key: _join(f"{prefix}/{key}", tensors, item) for key, item in plain.items()}
    if isinstance(plain, list) and any(isinstance(item, dict) for item in plain):
        return [_join(f"{prefix}/{i}", tensors, item) for i, item in enumerate(plain)]
    return plain
