"""Model folders: `config.json`, `model.safetensors` and a card.

`config.json` is type-tagged; an unknown key is an error. Weights are safetensors, loaded strictly
after their checksum is compared. There is no pickle anywhere.
"""

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from feller.core.cards import ModelCard
from feller.core.config import ConfigError, decode, encode
from feller.core.registry import domain_of

__all__ = ["CheckpointError", "load_model", "save_model"]

FORMAT = 1


class CheckpointError(ValueError):
    """A model folder is missing something, or something in it is not what it should be."""


def save_model(
    model: Any,
    folder: str | Path,
    *,
    card: ModelCard | None = None,
    training: dict[str, Any] | None = None,
) -> Path:
    """Write a model folder; an old one of the same name is replaced as a whole.

    Args:
        model: A domain's model, with a `config`.
        folder: Where to write.
        card: The card; a bare one is made when absent.
        training: What training cost, for a bare card.
    """
    folder = Path(folder)
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    weights = partial / "model.safetensors"
    save_file({k: v.detach().cpu().contiguous() for k, v in model.state_dict().items()}, weights)
    config = {
        "format": FORMAT,
        "model": encode(model.config),
        "sha256": _digest(weights),
    }
    (partial / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    if card is None:
        count = sum(p.numel() for p in model.parameters())
        card = ModelCard(name=folder.name, parameters=count, training=training or {})
    card.write(partial)
    if folder.exists():
        if not (folder / "config.json").exists():
            raise CheckpointError(f"{folder} exists and is not a model folder")
        shutil.rmtree(folder)
    os.replace(partial, folder)  # noqa: PTH105  (atomic, the point of it)
    return folder


def load_model(folder: str | Path) -> Any:
    """Build the model of a folder and load its weights.

    Raises:
        CheckpointError: When a file is missing, or its content is not what the configuration says.
    """
    folder = Path(folder)
    config = _read_config(folder)
    weights = folder / "model.safetensors"
    if not weights.is_file():
        raise CheckpointError(f"{weights} is missing")
    if _digest(weights) != config["sha256"]:
        raise CheckpointError(f"{weights} is corrupt: its SHA-256 is not that of config.json")
    domain_of(config["model"].get("type", "?")).import_models()
    model = decode(config["model"], where=str(folder / "config.json")).build()
    try:
        model.load_state_dict(load_file(weights))
    except (RuntimeError, SafetensorError) as error:
        first = str(error).splitlines()[1 if "\n" in str(error) else 0].strip()
        raise CheckpointError(f"{weights} does not fit config.json: {first}") from None
    return model.eval()


def _read_config(folder: Path) -> dict[str, Any]:
    file = folder / "config.json"
    if not file.is_file():
        raise CheckpointError(f"{file} is missing: {folder} is not a model folder")
    try:
        config = json.loads(file.read_text())
    except json.JSONDecodeError as error:
        raise CheckpointError(f"{file} is not JSON: {error}") from None
    if not isinstance(config, dict) or config.get("format") != FORMAT:
        raise CheckpointError(f"{file} is not of format {FORMAT}; a newer feller may read it")
    unknown = config.keys() ^ {"format", "model", "sha256"}
    if unknown:
        raise ConfigError(f"{file}: {', '.join(sorted(unknown))} is unknown or missing")
    return config


def _digest(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
