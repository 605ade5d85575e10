"""Where the log goes besides `log.jsonl`: TensorBoard, Weights & Biases, trackio, by Accelerate.

TensorBoard writes files beside the log. W&B and trackio get the recipe too, in the project
`feller`; whether they send anything is their own setting, such as `WANDB_MODE=offline`.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from accelerate.tracking import get_available_trackers

from feller.core.config import encode, leaves
from feller.core.training.config import Recipe

__all__ = ["begin_trackers", "check_trackers"]

PROJECT = "feller"


def check_trackers(names: Sequence[str]) -> None:
    """Reject trackers that are not installed.

    Raises:
        ValueError: When one is not.

    Example:
        >>> check_trackers(["tensorboard"])
    """
    installed = {str(each) for each in get_available_trackers()}
    if missing := [name for name in names if name not in installed]:
        raise ValueError(
            f"training.trackers: {missing[0]} is not installed: pip install {' '.join(missing)}"
        )


def begin_trackers(accelerator: Accelerator, recipe: Recipe, out: Path) -> None:
    """Open the trackers of an accelerator; a run that goes on is the same run to them.

    Args:
        accelerator: Made with their names.
        recipe: What is trained.
        out: The folder of the run, which gives it its name.
    """
    config = leaves(encode(recipe))
    out = out.resolve()
    named: dict[str, Any] = {"name": out.name, "config": config}
    same = hashlib.blake2b(str(out).encode(), digest_size=8).hexdigest()
    accelerator.init_trackers(
        PROJECT,
        init_kwargs={
            "wandb": {**named, "dir": str(out), "id": same, "resume": "allow"},
            "trackio": {**named, "resume": "allow"},
        },
    )
