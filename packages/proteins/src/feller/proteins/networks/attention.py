r"""Attention between residues, biased by what each pair is to each other.

The logit of i looking at j is :math:`q_i \cdot k_j / \sqrt{c} + b_{ij}`. With points, q and k also
hold P points each in the frames of their residues; brought into the world, they add

.. math:: -\frac{w}{2} \sum_p |q_{ip} - k_{jp}|^2
    = w \sum_p q_{ip} \cdot k_{jp} - \frac{w}{2} \sum_p |k_{jp}|^2 - \frac{w}{2} \sum_p |q_{ip}|^2,

the last of which is the same for all j and drops out,
so that a few more channels of q and k do, and no array of pairs of points is made. Values have
points too, which are brought into the frame of i when they have been averaged.
Source: Jumper et al., Nature 2021, supplement, algorithm 22.
"""

import math

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from feller.core.nn.modes import without_autocast

__all__ = ["FrameAttention"]

_SOFT = 1e-3  # nanometres


class FrameAttention(nn.Module):
    """Every residue looks at every residue, in several heads.

    Args:
        dim: Channels of a residue, shared equally by the heads.
        num_heads: Number of heads.
        points: Points of a head; 0 for attention that sees frames in the bias alone.

    Raises:
        ValueError: When `num_heads` does not divide `dim`.

    Example:
        >>> attend = FrameAttention(32, num_heads=4, points=2)
        >>> position, rotation = torch.randn(1, 5, 3), torch.eye(3).expand(1, 5, 3, 3)
        >>> attend(torch.randn(1, 5, 32), torch.zeros(1, 4, 5, 5), position, rotation).shape
        torch.Size([1, 5, 32])
    """

    def __init__(self, dim: int, num_heads: int, points: int = 0) -> None:
        super().__init__()
        if dim % num_heads:
            raise ValueError(f"{num_heads} heads cannot share {dim} channels equally")
        self.num_heads = num_heads
        self.points = points
        self.qkv = nn.Linear(dim, 3 * dim)
        self.out = nn.Linear(dim + 4 * num_heads * points, dim)
        if points:
            self.place = nn.Linear(dim, 9 * num_heads * points)
            # softplus of it is 1.
            self.weight = nn.Parameter(torch.full((num_heads,), math.log(math.e - 1)))

    def forward(
        self,
        x: Float[Tensor, "b n d"],
        bias: Float[Tensor, "b heads n n"],
        position: Float[Tensor, "b n 3"],
        rotation: Float[Tensor, "b n 3 3"],
    ) -> Float[Tensor, "b n d"]:
        """Mix residues.

        Args:
            x: Residues.
            bias: What is added to the logits of i (third axis) looking at j (fourth).
            position: Positions in nanometres, with their middle near 0.
            rotation: Rotations.
        """
        heads = "b n (three heads d) -> three b heads n d"
        q, k, v = rearrange(self.qkv(x), heads, three=3, heads=self.num_heads)
        if self.points:
            mixed = self._with_points(x, (q, k, v), bias, position, rotation)
        else:
            mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=bias.to(q.dtype))
            mixed = rearrange(mixed, "b heads n d -> b n (heads d)")
        return self.out(mixed)

    def _with_points(
        self,
        x: Tensor,
        qkv: tuple[Tensor, Tensor, Tensor],
        bias: Tensor,
        position: Tensor,
        rotation: Tensor,
    ) -> Tensor:
        """Return averaged values, and averaged points as each residue sees them."""
        local = self.place(x)
        with without_autocast(x):
            local = rearrange(local.to(position.dtype), "b n (k c) -> b n k c", c=3)
            world = local @ rotation.mT + position[..., None, :]
            points = "b n (three heads p) c -> three b heads n (p c)"
            q_at, k_at, v_at = rearrange(world, points, three=3, heads=self.num_heads)
            q, k, v = (part.to(position.dtype) for part in qkv)
            weight = self._weight().to(position.dtype)
            size = k_at.square().sum(-1, keepdim=True) / -2
            q = torch.cat([q / math.sqrt(q.shape[-1]), weight * q_at, weight.expand_as(size)], -1)
            k = torch.cat([k, k_at, size], -1)
            v = torch.cat([v, v_at], -1)
            mixed = _attention(q, k, v, bias.to(position.dtype))
            values, at = mixed.split([mixed.shape[-1] - 3 * self.points, 3 * self.points], -1)
            at = rearrange(at, "b heads n (p c) -> b n (heads p) c", c=3)
            at = (at - position[..., None, :]) @ rotation
            far = (at.square().sum(-1) + _SOFT**2).sqrt()
            values = rearrange(values, "b heads n d -> b n (heads d)")
            return torch.cat([values, at.flatten(2), far], -1)

    def _weight(self) -> Tensor:
        """Return w of each head: 2 points of unit variance apart give logits of order one."""
        weight = math.sqrt(2 / (9 * self.points)) * F.softplus(self.weight)
        return rearrange(weight, "heads -> heads 1 1")


def _attention(q: Tensor, k: Tensor, v: Tensor, bias: Tensor) -> Tensor:
    """Return softmax(q k^T + bias) v."""
    if q.device.type != "cpu":
        return F.scaled_dot_product_attention(q, k, v, attn_mask=bias, scale=1.0)
    # torch's own, where the sizes of k and v differ, also looks for rows that see nobody.
    return (q @ k.mT).add_(bias).softmax(-1) @ v
