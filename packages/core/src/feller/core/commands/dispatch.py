"""Which domain answers a command: that of the model, or that which measures the files."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from feller.core.averages import average_folder
from feller.core.domains import Domain, RegistryError, domain_of, domains, resolve
from feller.core.registry import model_folder

__all__ = ["domain_command", "measured_by"]


def domain_command(command: str, argv: Sequence[str]) -> int | None:
    """Run a command of the domain of the model that `argv` names first; return its exit code.

    Raises:
        RegistryError: When there is no such model, or its domain has no such command.
        CheckpointError: When the model's folder does not say what it is.
        ValueError: When `argv` names no model, or the command refuses its flags.
    """
    if argv and not argv[0].startswith("-"):
        from feller.core.checkpoint import read_config

        name, flags = _averaged(argv)
        kind = read_config(model_folder(name))["model"]["type"]
        if kind == "core/model":
            raise RegistryError(f"{name} is a network of your own: in Python, load({name!r})")
        known = domain_of(kind, "type").commands
        found = known.get(f"{command} {kind}", known.get(command))
        if not found:
            raise RegistryError(f"feller {command} does not know models of type {kind}")
        return resolve(found)(name, flags)
    print(
        f"usage: feller {command} MODEL [flags]; see `feller {command} MODEL --help` for the flags"
        "\n`--average 0.9999` or `--average width=0.1` takes another average of a run's weights"
    )
    if not argv or argv[0] not in ("-h", "--help"):
        raise ValueError("a model is missing; `feller list` names them")
    return None


def _averaged(argv: Sequence[str]) -> tuple[str, list[str]]:
    """Return the model that is meant and the other flags: `--average` names one of a run."""
    if not any(flag.split("=")[0] == "--average" for flag in argv):
        return argv[0], [*argv[1:]]
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("--average", default="")
    try:
        options, flags = parser.parse_known_args([*argv[1:]])
    except argparse.ArgumentError as error:
        raise ValueError(str(error)) from None
    name = argv[0]
    return (str(average_folder(name, options.average)) if options.average else name), flags


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


def _holds(path: Path, endings: tuple[str, ...]) -> bool:
    files = path.rglob("*") if path.is_dir() else [path]
    return any(file.name.lower().removesuffix(".gz").endswith(endings) for file in files)
