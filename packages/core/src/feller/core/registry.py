"""The registry: which domains are installed, and which models and recipes they bring.

Nothing here imports torch: listing is instant. A domain announces itself in the entry-point group
`feller.domains` with a `Domain` value; its bundled models are folders inside its package.
"""

import difflib
import importlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from importlib.metadata import entry_points
from importlib.resources import files
from pathlib import Path
from typing import Any

from feller.core.cards import ModelCard

__all__ = [
    "Domain",
    "RegistryError",
    "data_of",
    "domains",
    "list_models",
    "load",
    "model_folder",
    "recipe",
]

# The domains feller knows of, so that an error can say which package to install.
KNOWN_DOMAINS = ("images", "text", "proteins")


class RegistryError(LookupError):
    """A model, recipe or domain does not exist, or is not installed."""


@dataclass(frozen=True)
class Domain:
    """What a domain package brings. A value without torch.

    Attributes:
        name: The first part of its models' names.
        package: Its import name, with a `models` module.
        recipes: Recipe functions by the second part of their names, as `module:function`.
        commands: `sample`, `evaluate` and `verify`, which take a model's name and flags and may
            return an exit code, as `module:function`.
        demo: The function that makes the domain's part of `feller demo`, as `module:function`.
        measures: The endings of files that its `evaluate` takes in the place of a model, `.gz`
            after them or not.
        examples: The function that returns the `feller.core.verify.Examples` on which `feller
            verify` tries the domain's solutions, as `module:function`.
    """

    name: str
    package: str
    recipes: dict[str, str] = field(default_factory=dict)
    commands: dict[str, str] = field(default_factory=dict)
    demo: str = ""
    measures: tuple[str, ...] = ()
    examples: str = ""

    def import_models(self) -> Any:
        """Import the module that defines the domain's models, which also registers their types."""
        return importlib.import_module(f"{self.package}.models")

    def folder(self, name: str) -> Path:
        """Return where a bundled model of this name would be."""
        return self.weights / name

    @property
    def weights(self) -> Path:
        """The folder of bundled models."""
        return Path(str(files(self.package))) / "weights"

    def models(self) -> list[str]:
        """List the bundled models, by full name."""
        found = self.weights.glob("*/config.json")
        return sorted(f"{self.name}/{path.parent.name}" for path in found)


def domains() -> dict[str, Domain]:
    """Return the installed domains by name."""
    return {point.name: point.load() for point in entry_points(group="feller.domains")}


def domain_of(name: str, what: str = "model") -> Domain:
    """Return the domain of a full name.

    Args:
        name: Such as `images/fashion-flow`.
        what: What it names: a `model`, a `recipe`, or the `type` in a model's configuration.

    Raises:
        RegistryError: When it is not installed or not known.
    """
    installed = domains()
    prefix = name.split("/", 1)[0]
    if prefix in installed:
        return installed[prefix]
    if prefix in KNOWN_DOMAINS:
        raise RegistryError(f"{name} needs a package: pip install feller-{prefix}")
    raise RegistryError(_unknown(what, name))


def list_models(pattern: str = "*") -> list[str]:
    """List the bundled models whose names match a pattern.

    Example:
        >>> list_models("images/*")  # doctest: +SKIP
        ['images/fashion-flow']
    """
    every = [name for domain in domains().values() for name in domain.models()]
    return sorted(name for name in every if fnmatch(name, pattern))


def list_recipes(pattern: str = "*") -> list[str]:
    """List the recipes whose names match a pattern."""
    every = [f"{d.name}/{recipe}" for d in domains().values() for recipe in d.recipes]
    return sorted(name for name in every if fnmatch(name, pattern))


def model_folder(name: str) -> Path:
    """Return the folder of a model.

    Args:
        name: A bundled name, the folder of a model or of a run, or `hf-hub:org/repo`.

    Raises:
        RegistryError: When there is no such model.
    """
    if name.startswith("hf-hub:"):
        return _download(name.removeprefix("hf-hub:"))
    path = Path(name)
    for folder in (path, path / "model"):
        if (folder / "config.json").is_file():
            return folder
    if path.is_dir():
        raise RegistryError(f"{name} has no config.json: it is neither a model nor a finished run")
    bundled = domain_of(name).folder(name.split("/", 1)[-1])
    if not (bundled / "config.json").is_file():
        raise RegistryError(_unknown("model", name))
    return bundled


def load(name: str, *, device: str = "cpu") -> Any:
    """Load a model by name, from a folder, or from the Hugging Face Hub.

    Args:
        name: `images/fashion-flow`, a path, or `hf-hub:org/repo`.
        device: Where to put it, such as `cuda`; `auto` for an accelerator if there is one.

    Returns:
        The domain's model, in evaluation mode.

    Raises:
        RegistryError: When there is no such model.
        CheckpointError: When its files are not what they should be.

    Example:
        >>> model = load("images/fashion-flow")  # doctest: +SKIP
        >>> model.sample(64, steps=20, seed=0).shape  # doctest: +SKIP
        torch.Size([64, 28, 28, 1])
    """
    from feller.core.checkpoint import load_model

    return load_model(model_folder(name), device=device)


def read_card(name: str) -> ModelCard:
    """Return the card of a model."""
    return ModelCard.read(model_folder(name))


def recipe(name: str) -> Any:
    """Return the recipe of that name.

    Raises:
        RegistryError: When there is none.
    """
    found = domain_of(name, "recipe").recipes.get(name.split("/", 1)[-1])
    if found is None:
        raise RegistryError(_unknown("recipe", name))
    return resolve(found)()


def data_of(name: str) -> Any | None:
    """Return the data of a model's run, or else of the recipe its card names; None without either.

    Raises:
        RegistryError: When there is no such model, or its recipe is not JSON.
    """
    file = model_folder(name).parent / "recipe.json"
    if file.is_file():
        from feller.core.config import decode

        found = _read(file)
        if isinstance(found, dict) and "data" in found:
            return decode(found["data"], where=str(file))
    try:
        return recipe(read_card(name).name).data
    except RegistryError:
        return None


def domain_command(command: str, argv: Sequence[str]) -> int | None:
    """Run a command of the domain of the model that `argv` names first; return its exit code.

    Raises:
        RegistryError: When there is no such model, or its domain has no such command.
        CheckpointError: When the model's folder does not say what it is.
        ValueError: When `argv` names no model, or the command refuses its flags.
    """
    if argv and not argv[0].startswith("-"):
        from feller.core.checkpoint import read_config

        name, flags = argv[0], argv[1:]
        kind = read_config(model_folder(name))["model"]["type"]
        found = domain_of(kind, "type").commands.get(command)
        if found is None:
            raise RegistryError(f"feller {command} does not know models of type {kind}")
        return resolve(found)(name, flags)
    print(f"usage: feller {command} MODEL [flags]; `feller {command} MODEL --help` names the flags")
    if not argv or argv[0] not in ("-h", "--help"):
        raise ValueError("a model is missing; `feller list` names them")
    return None


def measured_by(name: str) -> Domain | None:
    """Return the domain that measures a file, or a folder of files, as it would its own samples.

    None when there is no such file or folder, when it is a model or a run, or when no domain
    measures what it holds.
    """
    path = Path(name)
    models = ("config.json", "model/config.json", "recipe.json")
    if not path.exists() or any((path / file).is_file() for file in models):
        return None
    measuring = (domain for domain in domains().values() if domain.measures)
    return next((domain for domain in measuring if _holds(path, domain.measures)), None)


def resolve(reference: str) -> Any:
    """Import what `module:name` refers to."""
    module, _, attribute = reference.partition(":")
    return getattr(importlib.import_module(module), attribute)


def _read(file: Path) -> Any:
    try:
        return json.loads(file.read_text())
    except (ValueError, RecursionError) as error:
        raise RegistryError(f"{file} is not JSON: {error}") from None


def _holds(path: Path, endings: tuple[str, ...]) -> bool:
    files = path.rglob("*") if path.is_dir() else [path]
    return any(file.name.lower().removesuffix(".gz").endswith(endings) for file in files)


def _download(repository: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import RepositoryNotFoundError

    wanted = ["config.json", "model.safetensors", "card.json", "README.md"]
    try:
        return Path(snapshot_download(repository, allow_patterns=wanted))
    except RepositoryNotFoundError:
        raise RegistryError(
            f"hf-hub:{repository} does not exist, or is private and needs `hf auth login`"
        ) from None
    except Exception as error:  # the hub, what carries it and the disk have errors of many kinds
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise RegistryError(f"hf-hub:{repository} cannot be had: {reason}") from None


def _unknown(what: str, name: str) -> str:
    known = {
        "model": list_models,
        "recipe": list_recipes,
        "type": lambda: [f"{domain}/model" for domain in domains()],
    }[what]()
    near = difflib.get_close_matches(name, known, n=3)
    hint = (
        f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(known) or 'none'}"
    )
    if what == "type":
        hint += "; a type of your own is known once its module is imported"
    return f"unknown {what} {name!r}; {hint}"
