"""Models of which each process holds a part (FSDP2), and what spares memory or time besides.

The weights, their gradients, their moments and their average are split by rows among processes; a
block's weights are gathered while it is at work. It is torch's `fully_shard` on every device:
accelerate has it on accelerators alone. Names of weights stay as they are.

Source: Zhao et al., arXiv 2304.11277.
"""

import copy
import functools
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from feller.core.nn.ema import EMA
from feller.core.nn.shards import full, is_sharded
from feller.core.training.config import Recipe

__all__ = [
    "blocks", "compiled", "is_split", "prepared", "recomputed", "shard", "shard_like", "whole",
]  # fmt: skip


def prepared(
    recipe: Recipe, accelerator: Accelerator, model: Any, ema: EMA, new: Collection[str] = ()
) -> tuple[Any, Any]:
    """Return a model and its optimizer, as the recipe and the processes have them.

    Args:
        recipe: What is trained.
        accelerator: Devices, processes and precision.
        model: The model, in one piece; it is changed.
        ema: Its average, which is sharded with it.
        new: The names of weights that are new.
    """
    split = is_split(recipe, accelerator)
    if recipe.training.compile:
        compiled(model)
    if recipe.training.activation_checkpointing:
        recomputed(model)
    if not split:
        return accelerator.prepare(model, recipe.optimizer.build(model, new))
    shard(model, accelerator.device)
    for average in (ema, *ema.others.values()):
        shard_like(average.model, model)
    return model, accelerator.prepare(recipe.optimizer.build(model, new))


def is_split(recipe: Recipe, accelerator: Accelerator) -> bool:
    """Return whether the processes have a part of a model each: one process has all of it."""
    return recipe.training.sharding == "fsdp" and accelerator.num_processes > 1


def blocks(model: nn.Module) -> Iterator[nn.Module]:
    """Yield the modules that a network repeats: those of its lists that have weights.

    A list inside another's module is a part of that one.

    Example:
        >>> model = nn.ModuleList([nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2)])
        >>> len(list(blocks(model)))
        2
    """
    for child in model.children():
        inside = isinstance(model, nn.ModuleList) and not isinstance(child, nn.ModuleList)
        if inside and next(child.parameters(), None) is not None:
            yield child
        else:
            yield from blocks(child)


def recomputed(model: nn.Module) -> None:
    """Let each block compute its activations again in the backward pass, and keep its input only.

    Random numbers, as of dropout, are drawn as they were.
    """
    for block in blocks(model):
        block.forward = functools.partial(checkpoint, block.forward, use_reentrant=False)


def compiled(model: nn.Module) -> None:
    """Compile each block of a network, once for all that are alike; a network without, whole.

    Blocks take tensors and return tensors, and are gathered one by one where they are sharded.
    """
    for module in list(blocks(model)) or [model]:
        module.forward = torch.compile(module.forward)


def shard(model: nn.Module, device: torch.device) -> None:
    """Split a model's weights among the processes, a group for each block and one for the rest.

    Raises:
        ValueError: When a weight is a single number, which has no rows.
    """
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    for name, weight in model.named_parameters():
        if not weight.ndim:
            raise ValueError(f"training.sharding: {name} is a number, which has no rows to split")
    for weight in model.state_dict().values():  # as of the first process, whatever the others drew
        torch.distributed.broadcast(weight, 0)
    mesh = init_device_mesh(device.type, (torch.distributed.get_world_size(),))
    for block in blocks(model):
        fully_shard(block, mesh=mesh)
    fully_shard(model, mesh=mesh)


def shard_like(model: nn.Module, sharded: nn.Module) -> None:
    """Keep of a copy of a model, weight for weight, the rows that this process has of the other."""
    from torch.distributed.tensor import DTensor

    parts: dict[int, nn.Parameter] = {}
    others = dict(sharded.named_parameters(remove_duplicate=False))
    for name, weight in [*model.named_parameters(remove_duplicate=False)]:
        other: Any = others[name]
        if id(weight) not in parts:
            rows = DTensor.from_local(
                other.to_local().detach().clone(), other.device_mesh, other.placements,
                shape=other.shape, stride=other.stride(), run_check=False,
            )  # fmt: skip
            parts[id(weight)] = nn.Parameter(rows, requires_grad=False)
        home, _, last = name.rpartition(".")
        setattr(model.get_submodule(home), last, parts[id(weight)])


def whole(model: Any, into: Any = None) -> Any:
    """Return a model with all rows of all weights; every process calls it.

    Args:
        model: The model; one that is not sharded is returned as it is.
        into: What an earlier call returned, to be filled again.
    """
    tensors = model.state_dict()
    if not any(is_sharded(value) for value in tensors.values()):
        return model
    weights = {name: full(value) for name, value in tensors.items()}
    into = _hollow(model, weights) if into is None else into
    into.load_state_dict(weights)
    return into


def _hollow(model: nn.Module, weights: Mapping[str, Tensor]) -> nn.Module:
    """Copy a model of sharded weights with whole ones in their place."""
    memo: dict[int, Any] = {}
    for name, weight in model.named_parameters():
        memo[id(weight)] = nn.Parameter(torch.empty_like(weights[name]), requires_grad=False)
    return copy.deepcopy(model, memo)
