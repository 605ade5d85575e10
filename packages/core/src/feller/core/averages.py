"""Averages of a run by name: which folder has the weights that were averaged so.

```
runs/a/model/               the default, of `training.ema_decay`
runs/a/averages/0.9999/     one of `training.ema_decays`
runs/a/averages/width=0.1/  of a power function, which snapshots make of any width
```
"""

from pathlib import Path

from feller.core.cards import ModelCard
from feller.core.domains import RegistryError

__all__ = ["average_folder"]


def average_folder(run: str | Path, average: str) -> Path:
    """Return the model folder of an average of a run; one of a width is made where it is missing.

    Args:
        run: The folder of a finished run.
        average: A decay, such as `0.9999`, or a width, such as `width=0.12`.

    Raises:
        RegistryError: When the run has no such average.
        ValueError: When a width is none, or snapshots are damaged.
    """
    from feller.core.files import read_json

    home = Path(run)
    if not (home / "model" / "config.json").is_file():
        raise RegistryError(f"{run} is not the folder of a finished run: it has no averages")
    usual = read_json(home / "recipe.json").get("training", {}).get("ema_decay")
    kind, _, number = average.rpartition("=")
    value = _number(number)
    if kind == "" and value == usual:
        return home / "model"
    found = home / "averages" / average
    if value is not None and kind in ("", "width"):
        found = found.with_name(f"width={value:g}" if kind else f"{value:g}")
    if value is not None and kind == "width" and _steps(found) != _steps(home / "model"):
        _make(home, value, found)
    if not (found / "config.json").is_file():
        made = sorted(p.parent.name for p in home.glob("averages/*/config.json"))
        known = ", ".join([f"{usual:g}", *made]) if isinstance(usual, float) else ", ".join(made)
        raise RegistryError(f"{run} has no average {average!r}; there are {known}")
    return found


def _make(home: Path, width: float, folder: Path) -> None:
    """Write the model folder of an average of some width."""
    from dataclasses import replace

    from feller.core.checkpoint import load_model, save_model
    from feller.core.training.posthoc import average_of_width

    card = ModelCard.read(home / "model")
    weights = average_of_width(home, width, card.training.get("steps", 0))
    model = load_model(home / "model")
    model.load_state_dict(weights)
    name = f"{card.name}, average of width {width:g}"
    save_model(model, folder, card=replace(card, name=name, metrics=()))


def _steps(folder: Path) -> int | None:
    """Return the steps after which the model of a folder was saved; None without one."""
    try:
        return ModelCard.read(folder).training.get("steps")
    except (OSError, ValueError):
        return None


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
