"""Files of weights: safetensors, one or several, and pickles, which another process reads."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor

from feller.core.checkpoint import CheckpointError
from feller.core.config import fits
from feller.core.files import read_json
from feller.core.importing.pickles import read_pickle

__all__ = ["PICKLES", "Stored", "find_weights", "read_names", "read_weights"]

PICKLES = (".bin", ".ckpt", ".pt", ".pth")
_INDEX = ".safetensors.index.json"
_USUAL = ("model", "diffusion_pytorch_model", "ema")


@dataclass(frozen=True)
class Stored:
    """The contents of a weight file.

    Attributes:
        tensors: The weights by their names.
        entry: The part of a pickle that they come from, such as `ema`; empty for the whole file.
        fields: Numbers and strings that a pickle holds besides the weights.
    """

    tensors: Mapping[str, Tensor]
    entry: str = ""
    fields: Mapping[str, Any] = field(default_factory=dict)


def find_weights(folder: Path) -> Path:
    """Return the file of a folder's weights: safetensors before pickles.

    Raises:
        CheckpointError: When there is none, or several of which none has a usual name.
    """
    usual = [folder / f"{name}{end}" for name in _USUAL for end in (".safetensors", _INDEX)]
    if found := next((file for file in usual if file.is_file()), None):
        return found
    for endings in ((".safetensors",), PICKLES):
        files = sorted(file for file in folder.iterdir() if file.suffix in endings)
        if len(files) > 1:
            names = ", ".join(file.name for file in files[:3]) + " ..." * (len(files) > 3)
            raise CheckpointError(f"{folder} holds {names}: give the one file that is meant")
        if files:
            return files[0]
    half = next(folder.glob("*.incomplete"), None) or next(folder.glob("*.part"), None)
    reason = f"; {half.name} is half a download: finish it" if half else ""
    raise CheckpointError(f"{folder} holds no weights, such as model.safetensors{reason}")


def read_weights(file: Path, *, entry: str = "") -> Stored:
    """Read a file of weights, or all the files of an index.

    Args:
        file: The file; a pickle is read by a process of its own.
        entry: The part of a pickle to take; by default, averaged weights before others.

    Raises:
        CheckpointError: When it is damaged, half a download, or cannot be read without running
            code.
    """
    _refuse_pointer(file)
    if file.suffix in PICKLES:
        held = read_pickle(file, entry)
        return Stored(held.tensors, held.entry, held.fields)
    if not file.name.endswith(_INDEX):
        return Stored(_safe(file))
    tensors: dict[str, Tensor] = {}
    for name, names in _shards(file).items():
        shard = file.parent / name
        if not shard.is_file():
            raise CheckpointError(
                f"{shard} is missing, which {file.name} names: finish the download"
            )
        _refuse_pointer(shard)
        found = _safe(shard)
        if lacking := sorted(names - found.keys()):
            raise CheckpointError(f"{shard} lacks {lacking[0]}, which {file.name} says it has")
        tensors |= found
    return Stored(tensors)


def read_names(file: Path) -> frozenset[str]:
    """Return the names of the weights; those of safetensors without reading them.

    Raises:
        CheckpointError: As `read_weights`.
    """
    _refuse_pointer(file)
    if file.suffix in PICKLES:
        return frozenset(read_weights(file).tensors)
    if file.name.endswith(_INDEX):
        return frozenset(name for names in _shards(file).values() for name in names)
    try:
        with safe_open(file, "pt") as held:
            return frozenset(held.keys())
    except (OSError, SafetensorError) as error:
        raise _damaged(file, error) from None


def _damaged(file: Path, error: Exception) -> CheckpointError:
    reason = " ".join(str(error).split())
    return CheckpointError(f"{file} is damaged or half a download: {reason}")


def _safe(file: Path) -> dict[str, Tensor]:
    try:
        return load_file(file)
    except (OSError, SafetensorError, ValueError) as error:
        raise _damaged(file, error) from None


def _shards(index: Path) -> dict[str, set[str]]:
    """Return the names of the tensors of each file that an index names."""
    try:
        found = read_json(index)["weight_map"].items()
    except (AttributeError, LookupError, TypeError, ValueError):
        raise CheckpointError(f"{index} is not the index of files of weights") from None
    files: dict[str, set[str]] = {}
    for name, file in found:
        if not fits(file, str) or Path(file).name != file or not file.endswith(".safetensors"):
            raise CheckpointError(f"{index} names {file!r}, which is no safetensors file beside it")
        files.setdefault(file, set()).add(name)
    return files


def _refuse_pointer(file: Path) -> None:
    """Reject the few lines that stand for a file until Git LFS fetches it."""
    with file.open("rb") as stream:
        if stream.read(40).startswith(b"version https://git-lfs"):
            raise CheckpointError(f"{file} is a pointer, not the weights: git lfs pull")
