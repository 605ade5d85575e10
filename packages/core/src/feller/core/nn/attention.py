"""Self-attention: softmax(q k^T / sqrt(d)) v for each head, by the fused kernels of PyTorch.

The fused kernels know neither forward-mode nor second derivatives; for those, call the network
under `torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH)`.
"""

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor, nn

from feller.core.nn.embeddings import rotate

__all__ = ["SelfAttention"]


class SelfAttention(nn.Module):
    """Every token of a sequence looks at every token, in several heads.

    Source: Vaswani et al., arXiv 1706.03762, section 3.2; normalized queries and keys,
    arXiv 2302.05442; rotary positions, arXiv 2104.09864.

    Args:
        dim: Channels of a token, shared equally by the heads.
        num_heads: Number of heads.
        qk_norm: Divide queries and keys by their root mean square: logits stay bounded.
        rotary: Rotate queries and keys by their position in the sequence.

    Raises:
        ValueError: When `num_heads` does not divide `dim`.

    Example:
        >>> SelfAttention(32, num_heads=4)(torch.randn(2, 10, 32)).shape
        torch.Size([2, 10, 32])
    """

    def __init__(
        self, dim: int, num_heads: int, *, qk_norm: bool = False, rotary: bool = False
    ) -> None:
        super().__init__()
        if dim % num_heads:
            raise ValueError(f"{num_heads} heads cannot share {dim} channels equally")
        self.num_heads = num_heads
        self.rotary = rotary
        self.qkv = nn.Linear(dim, 3 * dim)
        self.norm_q, self.norm_k = (
            nn.RMSNorm(dim // num_heads, eps=1e-6) if qk_norm else nn.Identity() for _ in range(2)
        )
        self.out = nn.Linear(dim, dim)

    def forward(
        self, x: Float[Tensor, "b n d"], mask: Bool[Tensor, "b n"] | None = None
    ) -> Float[Tensor, "b n d"]:
        """Mix tokens.

        Args:
            x: Tokens.
            mask: Which tokens are seen; at least one per sample. None for all.
        """
        heads = "b n (three heads d) -> three b heads n d"
        q, k, v = rearrange(self.qkv(x), heads, three=3, heads=self.num_heads)
        q, k = self.norm_q(q), self.norm_k(k)
        if self.rotary:
            dtype = torch.promote_types(x.dtype, torch.float32)
            positions = torch.arange(x.shape[1], dtype=dtype, device=x.device)
            q, k = rotate(q, positions), rotate(k, positions)
        seen = None if mask is None else rearrange(mask, "b n -> b 1 1 n")
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=seen)
        return self.out(rearrange(mixed, "b heads n d -> b n (heads d)"))
