"""Which family a folder is of, and its model."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from feller.core.checkpoint import CheckpointError
from feller.core.domains import domains, resolve
from feller.core.files import read_json
from feller.core.importing.base import Imported, Importer, Read
from feller.core.importing.folder import Foreign
from feller.core.importing.weights import PICKLES
from feller.core.sizes import build_within, memory_limit

__all__ = ["import_model", "importers", "is_foreign"]

_SUFFIXES = (".safetensors", *PICKLES)
# What a senseless configuration of theirs raises in what reads it.
_SENSELESS = (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)


def importers() -> list[Importer]:
    """Return the importers of the installed domains, in the order in which they are asked."""
    return [resolve(name) for domain in domains().values() for name in domain.importers]


def is_foreign(path: str | Path) -> bool:
    """Return whether a path is a folder or a file of weights that feller did not write.

    Example:
        >>> is_foreign("images/fashion-flow")
        False
    """
    path = Path(path)
    if path.is_file():
        return path.suffix in _SUFFIXES
    if not path.is_dir() or (path / "recipe.json").exists():
        return False
    if any(_is_ours(folder / "config.json") for folder in (path, path / "model")):
        return False
    names = ("config.json", "model_index.json")
    return any(file.name in names or file.suffix in _SUFFIXES for file in path.iterdir())


def import_model(path: str | Path, options: Mapping[str, Any] | None = None) -> Read:
    """Read a model that another library wrote.

    Args:
        path: Its folder, or its file of weights.
        options: What its configuration lacks, by name; errors say what that is.

    Raises:
        CheckpointError: When no importer knows it, it cannot be held, or its files are damaged.
    """
    foreign = Foreign(path, options)
    if "format" in foreign.json("config.json"):
        raise CheckpointError(f"{foreign.path} is a model of feller already: load it as it is")
    found = next((each for each in importers() if each.recognises(foreign)), None)
    if found is None:
        known = ", ".join(each.name for each in importers()) or "none"
        raise CheckpointError(f"{foreign.path} is of no family known here; there are {known}")
    try:
        imported = found.convert(foreign)
        model = _built(imported, foreign)
    except CheckpointError:
        raise
    except _SENSELESS as error:
        reason = f"{' '.join(str(error).split()) or type(error).__name__}"[:300]
        missing = " is missing" if type(error) is KeyError else ""
        raise CheckpointError(
            f"{foreign.path} is not a {found.name} that feller supports: {reason}{missing}"
        ) from None
    return Read(model.eval(), found.name, imported.reading, foreign.licence)


def _built(imported: Imported, foreign: Foreign) -> Any:
    """Make the model and give it the weights, each of which has to fit."""
    state = imported.state
    if state is None:
        return build_within(imported.config.build, memory_limit())
    held = sum(tensor.numel() for tensor in state.values())
    model = build_within(imported.config.build, 2 * held + 1_000_000)
    _refuse_misfits(model.state_dict(), state, foreign.path)
    model.load_state_dict(state)
    return model


def _refuse_misfits(own: Mapping[str, Tensor], state: Mapping[str, Tensor], path: Path) -> None:
    for name in sorted(own.keys() | state.keys()):
        if name not in state:
            raise CheckpointError(
                f"{path} lacks {name} of the network that its configuration makes"
            )
        if name not in own:
            raise CheckpointError(
                f"{path} has {name}, which the network of its configuration lacks"
            )
        if (found := [*state[name].shape]) != (due := [*own[name].shape]):
            raise CheckpointError(
                f"{path} does not fit its configuration: {name} is {found}, the network has {due}"
            )


def _is_ours(file: Path) -> bool:
    try:
        return file.is_file() and "format" in read_json(file)
    except (OSError, TypeError, ValueError):
        return True  # its own reader says what is wrong with it
