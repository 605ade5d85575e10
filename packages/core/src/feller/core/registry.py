"""The zoo: models by name, from a folder or from the Hugging Face Hub.

Nothing here imports torch before a model is loaded. `feller.core.domains` has what is installed.
"""

import json
from pathlib import Path
from typing import Any, TypeVar, overload

from feller.core.averages import average_folder
from feller.core.cards import ModelCard
from feller.core.domains import RegistryError, bundled, recipe, unknown

__all__ = ["data_of", "load", "model_folder", "read_card"]

M = TypeVar("M")


def model_folder(name: str | Path) -> Path:
    """Return the folder of a model.

    Args:
        name: A bundled name, the folder of a model or of a run, or `hf-hub:org/repo`, optionally
            with an `@revision`.

    Raises:
        RegistryError: When there is no such model.
    """
    name = str(name)
    if name.startswith("hf-hub:"):
        from feller.core.hub import download

        return download(name)
    path = Path(name)
    for folder in (path, path / "model"):
        if (folder / "config.json").is_file():
            return folder
    if path.is_dir():
        raise RegistryError(f"{name} has no config.json: it is neither a model nor a finished run")
    folder = bundled(name)
    if not (folder / "config.json").is_file():
        raise RegistryError(unknown("model", name))
    return folder


@overload
def load(name: str | Path, *, device: str = "cpu", average: str = "") -> Any: ...
@overload
def load(name: str | Path, kind: type[M], *, device: str = "cpu", average: str = "") -> M: ...
def load(
    name: str | Path, kind: type[Any] = object, *, device: str = "cpu", average: str = ""
) -> Any:
    """Load a model by name, from a folder, or from the Hugging Face Hub.

    Args:
        name: `images/fashion-flow`, a path, `hf-hub:org/repo` or `hf-hub:org/repo@revision`. Models
            of other libraries are read as by `feller import`, from the hub or a folder.
        kind: The class of model to expect, such as `feller.images.ImageModel`, so that a type
            checker knows the result; by default any.
        device: Where to put it, such as `cuda`; `auto` for an accelerator if there is one.
        average: For the folder of a run, which average of its weights: a decay that was kept, such
            as `0.9999`, or a width, such as `width=0.12`, computed from its snapshots; the default
            if empty.

    Returns:
        The domain's model, in evaluation mode.

    Raises:
        RegistryError: When there is no such model, or it is of another kind.
        CheckpointError: When its files are missing, damaged or inconsistent.

    Example:
        >>> model = load("images/fashion-flow")  # doctest: +SKIP
        >>> model.sample(64, steps=20, seed=0).shape  # doctest: +SKIP
        torch.Size([64, 28, 28, 1])
    """
    from feller.core.checkpoint import load_model
    from feller.core.devices import pick_device
    from feller.core.importing import import_model, is_foreign

    if average:
        name = average_folder(name, average)
    found = name if is_foreign(name) else model_folder(name)
    if is_foreign(found):
        model = import_model(found).model.to(pick_device(device))
    else:
        model = load_model(found, device=device)
    if not isinstance(model, kind):
        raise RegistryError(f"{name} is of type {type(model).__name__}, not {kind.__name__}")
    return model


def read_card(name: str | Path) -> ModelCard:
    """Return the card of a model."""
    return ModelCard.read(model_folder(name))


def data_of(name: str | Path) -> Any | None:
    """Return the data of a model's run, or else of the recipe its card names; None without either.

    Raises:
        RegistryError: When there is no such model, or its recipe is not JSON.
    """
    homes = model_folder(name).parents  # of a run's model, or of one of its averages
    file = next((h / "recipe.json" for h in homes[:2] if (h / "recipe.json").is_file()), None)
    if file is not None:
        from feller.core.config import decode, fits

        found = _read(file)
        if fits(found, dict) and "data" in found:
            return decode(found["data"], where=str(file))
    try:
        return recipe(read_card(name).name).data
    except RegistryError:
        return None


def _read(file: Path) -> Any:
    try:
        return json.loads(file.read_text())
    except (ValueError, RecursionError) as error:
        raise RegistryError(f"{file} is not JSON: {error}") from None
