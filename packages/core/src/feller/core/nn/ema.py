"""The exponential moving average of a model's weights."""

import copy

import torch
from torch import Tensor, nn

from feller.core.nn.shards import local

__all__ = ["EMA"]


class EMA:
    """A copy of a model that follows it slowly: theta_ema = d theta_ema + (1 - d) theta.

    The decay warms up as min(decay, (1 + step) / (10 + step)): without it, a decay of 0.9999 would
    after 5,000 steps still hold 61% of the initial weights.

    Args:
        model: The model to follow; it is copied.
        decay: The decay after warm-up.

    Example:
        >>> model = nn.Linear(1, 1)
        >>> ema = EMA(model, 0.999)
        >>> ema.update(model, step=1)
        >>> torch.equal(ema.model.weight, model.weight)
        True
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        if not 0 <= decay < 1:
            raise ValueError(f"decay is in [0, 1), not {decay}")
        self.decay = decay
        self.model = copy.deepcopy(model).eval().requires_grad_(False)

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Take in the model's weights after step number `step`, the first being 1."""
        decay = min(self.decay, (1 + step) / (10 + step))
        kept, fresh = ([local(p) for p in m.parameters()] for m in (self.model, model))
        # One kernel for all weights; torch has it under this name only.
        torch._foreach_lerp_(kept, fresh, 1 - decay)  # pyright: ignore
        for old, new in zip(self.model.buffers(), model.buffers(), strict=True):
            old.copy_(new)

    def state_dict(self) -> dict[str, Tensor]:
        """Return the averaged weights."""
        return self.model.state_dict()

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Take averaged weights back; names and shapes must match."""
        self.model.load_state_dict(state)
