"""Devices, processes and precision: what the recipe says, and what a launcher says besides.

`accelerate launch` speaks through environment variables. Each is obeyed or refused: the recipe
alone says what changes the weights.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedType, ProjectConfiguration, broadcast_object_list

from feller.core.training.config import Recipe
from feller.core.training.trackers import check_trackers

__all__ = ["launched", "on_main"]

_PARALLEL = (
    DistributedType.NO,
    DistributedType.MULTI_CPU,
    DistributedType.MULTI_GPU,
    DistributedType.MULTI_XPU,
)
_OTHER = ("DEEPSPEED", "MEGATRON_LM", "PARALLELISM_CONFIG", "SAGEMAKER")
_YES = ("1", "true", "yes", "y", "on", "t")


def launched(recipe: Recipe, out: Path, *, cpu: bool = False) -> Accelerator:
    """Return what runs a recipe, in each process of a group.

    Args:
        recipe: What to train.
        out: The folder of the run.
        cpu: Whether to leave accelerators alone.

    Raises:
        ValueError: When the launcher asks for what the recipe does not, or feller cannot; when a
            tracker is not installed.
    """
    cpu = cpu or _is_set("ACCELERATE_USE_CPU")
    check_trackers(recipe.training.trackers)
    _check_environment(recipe)
    on_cpu = cpu or not torch.accelerator.is_available()
    if recipe.training.mixed_precision != "no" and on_cpu:
        raise ValueError("mixed precision is many times slower on a CPU: leave it off")
    if recipe.training.mixed_precision == "fp16" and recipe.training.sharding != "none":
        raise ValueError("fp16 is not sharded: give --training.mixed-precision bf16 or no sharding")
    accelerator = Accelerator(
        mixed_precision=recipe.training.mixed_precision,
        cpu=cpu,
        log_with=list(recipe.training.trackers) or None,
        project_config=ProjectConfiguration(
            project_dir=str(out), logging_dir=str(out / "tensorboard")
        ),
    )
    if accelerator.distributed_type not in _PARALLEL:
        raise ValueError(f"{accelerator.distributed_type} is not supported: data parallel is")
    if accelerator.gradient_accumulation_steps != 1:
        raise ValueError("accumulation is --training.accumulate, not a setting of accelerate's")
    return accelerator


def on_main(accelerator: Accelerator, action: Callable[[], Any]) -> Any:
    """Do something on the first process; all get what it returns, and refuse what it refuses.

    Raises:
        ValueError: With the first process's message. On that process the error is as it was.
    """
    said, raised, value = "", None, None
    if accelerator.is_main_process:
        try:
            value = action()
        except (ValueError, OSError) as error:
            said, raised = str(error) or "it failed", error
    said, value = broadcast_object_list([said, value])
    if said:
        raise raised or ValueError(said)
    return value


def _check_environment(recipe: Recipe) -> None:
    if _is_set("ACCELERATE_USE_FSDP"):
        raise ValueError(
            "accelerate asks for FSDP (ACCELERATE_USE_FSDP): leave it out of accelerate's settings "
            "and give --training.sharding fsdp, which is part of the recipe"
        )
    if (backend := os.environ.get("ACCELERATE_DYNAMO_BACKEND", "no").lower()) != "no":
        raise ValueError(
            f"accelerate asks for torch.compile by {backend} (ACCELERATE_DYNAMO_BACKEND): it is "
            "--training.compile"
        )
    for name in _OTHER:
        if _is_set(f"ACCELERATE_USE_{name}"):
            raise ValueError(
                f"accelerate asks for {name} (ACCELERATE_USE_{name}): feller trains data parallel, "
                "or sharded by --training.sharding fsdp"
            )
    asked = os.environ.get("ACCELERATE_MIXED_PRECISION", "").lower()
    if asked not in ("", "no", recipe.training.mixed_precision):
        raise ValueError(
            f"accelerate asks for mixed precision {asked} (ACCELERATE_MIXED_PRECISION), the recipe "
            f"for {recipe.training.mixed_precision}: it is --training.mixed-precision"
        )


def _is_set(variable: str) -> bool:
    return os.environ.get(variable, "").lower() in _YES
