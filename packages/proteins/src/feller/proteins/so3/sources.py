"""Sources of proteins: rotations that know nothing yet."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from feller.core import random
from feller.core.config import tagged
from feller.core.sources import Source
from feller.core.typing import Rng
from feller.proteins.so3.rotations import from_quaternion

__all__ = ["UniformRotations"]


@tagged("uniform_rotations")
@dataclass(frozen=True)
class UniformRotations(Source):
    """Rotations by Haar measure, of mass 1: every rotation alike.

    Example:
        >>> import torch
        >>> UniformRotations().sample((2, 5, 3, 3), torch.Generator().manual_seed(0)).shape
        torch.Size([2, 5, 3, 3])
    """

    def sample(self, shape: Sequence[int], rng: Rng, *, like: Tensor | None = None) -> Tensor:
        """Draw rotations of normals in four dimensions, whose directions are uniform quaternions.

        Raises:
            ValueError: When the last two axes are not those of a rotation.
        """
        if tuple(shape[-2:]) != (3, 3):
            raise ValueError(f"rotations have the shape (..., 3, 3), not {tuple(shape)}")
        q = random.normal((*shape[:-2], 4), rng, like=like)
        return from_quaternion(q / q.norm(dim=-1, keepdim=True).clamp_min(1e-30))

    def log_density(self, x: Tensor) -> Tensor:
        """Return 0 for each rotation, the log density with respect to Haar measure of mass 1."""
        return x.new_zeros(x.shape[:-2])
