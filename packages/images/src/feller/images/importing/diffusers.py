"""`UNet2DModel` of diffusers: its folder, or a pipeline with `unet` and `scheduler`."""

from dataclasses import replace
from typing import Any

from feller.core.checkpoint import CheckpointError
from feller.core.importing import Foreign, Imported, Importer
from feller.images.importing.models import Labels, image_model, sides
from feller.images.importing.processes import SCHEDULER_FIELDS, Process, from_diffusers
from feller.images.networks.convert import unet_state_from_diffusers
from feller.images.networks.diffusers_config import unet_config_from_diffusers

__all__ = ["UNET", "part_of", "process_of"]

_SCHEDULES = ("scheduler_config.json", "../scheduler/scheduler_config.json")


def part_of(foreign: Foreign, part: str) -> Foreign:
    """Return the folder of a network: itself, or that part of a pipeline."""
    inner = foreign.path / part
    return Foreign(inner, foreign.options) if inner.is_dir() else foreign


def process_of(foreign: Foreign) -> Process:
    """Return the process that a folder's scheduler says, or that its options name.

    Raises:
        CheckpointError: When nothing says it.
        ValueError: When it is not supported.
    """
    files = (*_SCHEDULES, "../scheduler_config.json")
    found: dict[str, Any] = next((content for f in files if (content := foreign.json(f))), {})
    if name := foreign.options.get("scheduler"):
        found = found | {"_class_name": name}
    if not found:
        raise CheckpointError(
            f"{foreign.path} has no scheduler_config.json, and its weights do not show what they "
            "predict: put it there, or give --set scheduler=DDPMScheduler"
        )
    given = {k: v for k, v in foreign.options.items() if k in found or k in SCHEDULER_FIELDS}
    return from_diffusers(found | given)


def _is_unet(foreign: Foreign) -> bool:
    return part_of(foreign, "unet").json("config.json").get("_class_name") == "UNet2DModel"


def _convert(foreign: Foreign) -> Imported:
    folder = part_of(foreign, "unet")
    others = {"scheduler", "null_class", *SCHEDULER_FIELDS}
    theirs = {k: v for k, v in folder.config.items() if k not in others}
    # `_null_class` is what `feller export` writes.
    null = bool(foreign.options.get("null_class", folder.config.get("_null_class", False)))
    process, config = process_of(folder), unet_config_from_diffusers(theirs, null_class=null)
    held = folder.tensors()
    stored = {name: held.take(name) for name in folder.stored.tensors}
    state = unet_state_from_diffusers(stored, theirs, null_class=null)
    for name in ("head.weight", "head.bias"):
        if name in state:  # beyond the images' channels it is a variance, of their way of drawing
            state[name] = process.turned(state[name][: config.in_channels])
    return image_model(
        replace(config, out_channels=config.in_channels),
        state,
        process,
        sides(folder.need("sample_size", "32")),
        labels=Labels(config.num_classes, null),
        reading={},
    )


UNET = Importer("UNet2DModel of diffusers", _is_unet, _convert)
