"""Domains: which are installed, and which models and recipes they provide.

Nothing here imports torch: listing is instant. A domain registers a `Domain` value in the
entry-point group `feller.domains`; its bundled models are folders inside its package. A package
with only models registers in the group `feller.zoo` (`zoos`).
"""

import difflib
import importlib
import importlib.util
from dataclasses import dataclass, field
from fnmatch import fnmatch
from importlib.metadata import entry_points
from importlib.resources import files
from pathlib import Path, PurePath
from typing import Any

from feller.core.errors import OneLineError

__all__ = [
    "KNOWN_DOMAINS",
    "Domain",
    "RegistryError",
    "bundled",
    "domain_of",
    "domains",
    "list_models",
    "list_recipes",
    "missing_domains",
    "recipe",
    "resolve",
    "unknown",
    "zoos",
]

# The domains feller knows of, so that an error can say which package to install.
KNOWN_DOMAINS = ("images", "text", "proteins")


class RegistryError(OneLineError, LookupError):
    """A model, recipe or domain does not exist, or is not installed."""


@dataclass(frozen=True)
class Domain:
    """What a domain package provides. It can be read without torch.

    Attributes:
        name: The first part of its models' names.
        package: Its import name, with a `models` module.
        recipes: Recipe functions by the second part of their names, as `module:function`.
        commands: `sample`, `evaluate` and `verify`, which take a model's name and flags and may
            return an exit code, as `module:function`. `sample TYPE` is the command for models of a
            type; empty if they have none.
        demo: The function that makes the domain's part of `feller demo`, as `module:function`: it
            writes files into a folder and returns a list of `feller.core.exhibits.Exhibit`.
        app: The function that opens a model for `feller app`, as `module:function`: it takes a
            model's name and returns a `feller.core.watching.Watched`.
        measures: File suffixes, with or without `.gz`, that its `evaluate` takes instead of a
            model.
        examples: The function that returns the `feller.core.verify.Examples` on which `feller
            verify` tries the domain's solutions, as `module:function`.
        importers: Its `feller.core.importing.Importer` values, as `module:NAME`.
        exporters: Functions by library name, as `module:function`: each writes a model for that
            library into an empty folder and returns how to read it.
    """

    name: str
    package: str
    recipes: dict[str, str] = field(default_factory=dict)
    commands: dict[str, str] = field(default_factory=dict)
    demo: str = ""
    app: str = ""
    measures: tuple[str, ...] = ()
    examples: str = ""
    importers: tuple[str, ...] = ()
    exporters: dict[str, str] = field(default_factory=dict)

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


def missing_domains() -> list[str]:
    """Return the names of the domains that feller has and this installation lacks."""
    installed = domains()
    return [name for name in KNOWN_DOMAINS if name not in installed]


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
    raise RegistryError(unknown(what, name))


def list_models(pattern: str = "*") -> list[str]:
    """List the models of installed packages whose names match a pattern.

    Example:
        >>> list_models("images/*")  # doctest: +SKIP
        ['images/fashion-flow']
    """
    every = [name for domain in domains().values() for name in domain.models()]
    for zoo, folder in zoos().items():
        every += [f"{zoo}/{file.parent.name}" for file in folder.glob("*/config.json")]
    return sorted(name for name in every if fnmatch(name, pattern))


def zoos() -> dict[str, Path]:
    """Return the model folders of packages that are not domains, by the names of their zoos.

    Such a package has an entry point `NAME = "package"` in the group `feller.zoo`, and model
    folders in `package/weights`, of which none is imported or run: they are `NAME/MODEL`.
    """
    found = {}
    for point in entry_points(group="feller.zoo"):
        spec = importlib.util.find_spec(point.value)
        homes = spec.submodule_search_locations if spec else None
        if homes:
            found[point.name] = Path(next(iter(homes)), "weights")
    return {name: folder for name, folder in found.items() if name not in domains()}


def bundled(name: str) -> Path:
    """Return where a model of an installed package is, or would be.

    Args:
        name: Its full name, such as `images/fashion-flow`.

    Raises:
        RegistryError: When there is no such domain or zoo.
    """
    home, _, model = name.partition("/")
    if folder := zoos().get(home):
        return folder / model
    return domain_of(name).folder(model or home)


def list_recipes(pattern: str = "*") -> list[str]:
    """List the recipes whose names match a pattern."""
    every = [f"{d.name}/{recipe}" for d in domains().values() for recipe in d.recipes]
    return sorted(name for name in every if fnmatch(name, pattern))


def recipe(name: str) -> Any:
    """Return the recipe of that name.

    Raises:
        RegistryError: When there is none.
    """
    found = domain_of(name, "recipe").recipes.get(name.split("/", 1)[-1])
    if found is None:
        raise RegistryError(unknown("recipe", name))
    return resolve(found)()


def resolve(reference: str) -> Any:
    """Import what `module:name` refers to."""
    module, _, attribute = reference.partition(":")
    return getattr(importlib.import_module(module), attribute)


def unknown(what: str, name: str) -> str:
    """Return the message that a name is of no model, recipe or type, and what is near it."""
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
    path = what == "model" and (PurePath(name).suffix or PurePath(name).is_absolute())
    return f"unknown {what} {name!r}{', and no such file' if path else ''}; {hint}"
