"""The state of a run: tensors under plain names, and the rest as JSON takes it.

Whatever wraps the model, names are its own: `model.NAME`, `ema.NAME`, `optimizer/state/NAME/KEY`.
Where a model is sharded, so are its tensors: each process has some of their rows.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor

from feller.core.checkpoint import is_finite
from feller.core.nn.shards import is_sharded, local
from feller.core.training.loop import Run
from feller.core.training.streams import bookmark_of, turn_to

__all__ = ["first_rows", "not_finite", "restore", "state_of"]

OFFSETS = "DCP_SHARDING_INFO"
"""Where a file says at which rows its pieces begin, as torch's `HuggingFaceStorageReader` asks."""
_OLD = "_orig_mod."
"""What torch.compile's wrapper put into the names of states that were saved before this."""


def state_of(run: Run) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the tensors of a run, which are its own and no copies, and the rest."""
    moments, plain = _optimizer_state(run)
    tensors = {f"model.{k}": v for k, v in run.bare_model.state_dict().items()}
    tensors |= {f"ema.{k}": v for k, v in run.ema.state_dict().items()}
    scaler = run.accelerator.scaler
    state = {
        "step": run.step,
        "seconds": run.seconds,
        "skipped": run.skipped,
        "stream": bookmark_of(run.data),
        # What the loss never asked has no moments, and needs none to go on.
        "unasked": [name for name in _trained(run) if name not in plain["state"]],
        "plain": plain,
        "scaler": None if scaler is None else scaler.state_dict(),
    }
    return tensors | moments, state


def restore(run: Run, folder: Path, state: Mapping[str, Any]) -> None:
    """Put the state of a folder into a run, whatever number of processes wrote it.

    Args:
        run: The run; its tensors are written to.
        folder: Has the tensors, in one file or in one of each process.
        state: The rest.

    Raises:
        ValueError: When they are not those of the run's model and optimizer.
    """
    stored = _Stored(folder)
    wanted = {f"model.{k}": v for k, v in run.bare_model.state_dict().items()}
    wanted |= {f"ema.{k}": v for k, v in run.ema.state_dict().items()}
    wanted |= _moments(run, state, stored.shapes)
    _compare(wanted, stored.shapes)
    with torch.no_grad():
        for name, tensor in wanted.items():
            stored.read(name, tensor)
    run.ema.settle()
    if run.accelerator.scaler is not None and state.get("scaler"):
        run.accelerator.scaler.load_state_dict(state["scaler"])
    turn_to(run.data, state.get("stream"))
    run.step = run.saved = state["step"]
    run.seconds, run.skipped = state["seconds"], state.get("skipped", 0)


def not_finite(run: Run, tensors: Mapping[str, Tensor]) -> str | None:
    """Name a weight, an averaged weight or a moment that is not finite."""
    weights = {
        f"{part}.{n}" for part in ("model", "ema") for n, _ in run.ema.model.named_parameters()
    }
    for name, value in tensors.items():
        watched = name in weights or name.startswith("optimizer/")
        if watched and not is_finite(local(value)):
            return name
    return None


def _trained(run: Run) -> dict[str, Tensor]:
    return {name: p for name, p in run.bare_model.named_parameters() if p.requires_grad}


def _bare(optimizer: Any) -> torch.optim.Optimizer:
    return getattr(optimizer, "optimizer", optimizer)


def _optimizer_state(run: Run) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the optimizer's tensors, by path, and the rest, with None for them."""
    optimizer, names = _bare(run.optimizer), {id(p): name for name, p in _trained(run).items()}
    tensors: dict[str, Tensor] = {}
    state: dict[str, dict[str, Any]] = {}
    for p, values in optimizer.state.items():
        name = names[id(p)]
        own = {key: value for key, value in values.items() if torch.is_tensor(value)}
        tensors |= {f"optimizer/state/{name}/{key}": value for key, value in own.items()}
        state[name] = {**values, **dict.fromkeys(own)}
    groups = [
        {**group, "params": [names[id(p)] for p in group["params"] if id(p) in names]}
        for group in optimizer.param_groups
    ]
    return tensors, {"state": state, "param_groups": groups}


def _moments(run: Run, state: Mapping[str, Any], shapes: Mapping[str, Any]) -> dict[str, Tensor]:
    """Make the optimizer's state anew, for tensors to be read into; return these, by path."""
    optimizer, trained = _bare(run.optimizer), _trained(run)
    known = state["plain"]["state"]
    missing = trained.keys() - known.keys() - set(state.get("unasked", []))
    if odd := sorted(known.keys() - trained.keys() | missing):
        raise ValueError(f"the optimizer's state of {odd[0]} is in one of them alone")
    wanted: dict[str, Tensor] = {}
    optimizer.state.clear()
    for name, values in known.items():
        p = trained[name]
        for key, value in values.items():
            path = f"optimizer/state/{name}/{key}"
            if path in shapes:
                like = key != "step" and shapes[path] == tuple(p.shape)
                value = torch.zeros_like(p) if like else torch.zeros(shapes[path])
                wanted[path] = value
            optimizer.state[p][key] = value
    return wanted


def _compare(wanted: Mapping[str, Tensor], shapes: Mapping[str, Any]) -> None:
    if odd := sorted(wanted.keys() ^ shapes.keys()):
        raise ValueError(f"{odd[0]} is in one of them alone")
    for name, tensor in wanted.items():
        if tuple(tensor.shape) != shapes[name]:
            raise ValueError(f"{name} is {list(shapes[name])}, not {list(tensor.shape)}")


class _Stored:
    """The tensors of a folder's files, each whole in one of them or by rows in several."""

    def __init__(self, folder: Path) -> None:
        self._pieces: dict[str, list[tuple[int, Any]]] = {}
        for path in sorted(folder.glob("*.safetensors")):
            file: Any = safe_open(path, "pt")
            first = json.loads((file.metadata() or {}).get(OFFSETS, "{}"))
            for key in file.keys():  # noqa: SIM118  (it is not a mapping)
                offsets = first.get(key, {}).get("saved_offsets") or [0]
                piece = offsets[0], file.get_slice(key)
                self._pieces.setdefault(key.replace(_OLD, ""), []).append(piece)
        self.shapes = {name: self._shape(name) for name in self._pieces}

    def _shape(self, name: str) -> tuple[int, ...]:
        shapes = [tuple(rows.get_shape()) for _, rows in self._pieces[name]]
        return shapes[0] and (sum(shape[0] for shape in shapes), *shapes[0][1:])

    def read(self, name: str, into: Tensor) -> None:
        """Read into a tensor the rows of it that this process has."""
        mine, start = local(into), first_rows(into)[:1]
        if not start:
            mine.copy_(self._pieces[name][0][1][...])
            return
        for first, rows in self._pieces[name]:
            below = max(first, start[0])
            above = min(first + rows.get_shape()[0], start[0] + len(mine))
            if below < above:
                part = rows[below - first : above - first]
                mine[below - start[0] : above - start[0]].copy_(part)


def first_rows(tensor: Any) -> list[int]:
    """Return the position in a tensor at which the rows of this process begin."""
    if not is_sharded(tensor):
        return [0] * tensor.ndim
    (chunk,) = tensor.__create_chunk_list__() or [None]
    return [0] * tensor.ndim if chunk is None else list(chunk.offsets)
