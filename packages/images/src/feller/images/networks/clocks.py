"""Times of pixels, for networks that take one time for an image."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

__all__ = ["OfClocks"]


class OfClocks(nn.Module):
    """A network that is given the time of each pixel, as one more channel.

    The time that it embeds is the least of an image, that of the pixels which still move.

    Args:
        network: Called with images of a channel more `(b, c + 1, h, w)`, a time `(b,)` and the
            condition.

    Example:
        >>> network = OfClocks(lambda x, t, condition: x[:, -1:] + t[:, None, None, None])
        >>> network(torch.zeros(1, 3, 1, 2), torch.tensor([[[[0.25, 1.0]]]])).flatten()
        tensor([0.5000, 1.2500])
    """

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network

    def forward(
        self, x: Float[Tensor, "b c h w"], t: Float[Tensor, "b *pixels"], condition: Any = None
    ) -> Tensor:
        """Apply the network; `t` is `(b,)`, one time for all pixels, or `(b, 1, h, w)`."""
        of_pixels = t.reshape(*t.shape, *(1,) * (4 - t.ndim)).expand(len(x), 1, *x.shape[2:])
        moving = t.flatten(1).amin(1) if t.ndim > 1 else t
        return self.network(torch.cat([x, of_pixels.to(x.dtype)], 1), moving, condition)
