"""Tensors of which each process has some rows (torch's `DTensor`), and others, alike."""

from typing import Any

from torch import Tensor

__all__ = ["full", "is_sharded", "is_shared", "local", "split_like"]


def is_sharded(tensor: Tensor) -> bool:
    """Return whether other processes have other rows of a tensor."""
    return hasattr(tensor, "full_tensor")


def is_shared(model: Any) -> bool:
    """Return whether processes share a model's weights, and so have to call it equally often.

    One that calls it more often than the others waits for them forever.
    """
    return hasattr(model, "set_reshard_after_backward")


def local(tensor: Tensor) -> Tensor:
    """Return the rows of a tensor that this process has: all of one that is not sharded.

    Example:
        >>> import torch
        >>> local(torch.ones(2))
        tensor([1., 1.])
    """
    sharded: Any = tensor
    return sharded.to_local() if is_sharded(tensor) else tensor


def full(tensor: Tensor) -> Tensor:
    """Return all rows of a tensor; every process calls it for one that is sharded."""
    sharded: Any = tensor
    return sharded.full_tensor() if is_sharded(tensor) else tensor


def split_like(tensor: Tensor, like: Tensor) -> Tensor:
    """Return a tensor that every process has, as sharded as another of its shape."""
    if not is_sharded(like):
        return tensor
    from torch.distributed.tensor import distribute_tensor

    sharded: Any = like
    return distribute_tensor(
        tensor, sharded.device_mesh, sharded.placements, src_data_rank=None
    )  # every process has it: none sends
