"""Guidance: one model, asked with and without its condition.

Source: Ho and Salimans, arXiv 2207.12598; guidance on an interval of time, Kynkäänniemi et al.,
arXiv 2404.07724.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from feller.core.generators import Flow, Generator
from feller.core.heads import Kinds
from feller.core.models import Model
from feller.core.spaces import StateSpace
from feller.core.times import expand_time
from feller.core.typing import Time

__all__ = ["Guided"]


@dataclass(frozen=True)
class Guided:
    """A flow model whose velocity is u_0 + scale (u_c - u_0): classifier-free guidance.

    Scale 0 is the unconditional model, 1 the conditional one, above 1 guided. Papers that write
    (1 + w) u_c - w u_0 have scale = 1 + w.

    Attributes:
        model: A flow model that takes `condition=None` for unconditional.
        scale: The guidance scale.
        interval: The times between which guidance acts; outside, the model is conditional.
    """

    model: Model
    scale: float = 2.0
    interval: tuple[float, float] = (0.0, 1.0)

    def __post_init__(self) -> None:
        """Refuse an interval that is not one."""
        low, high = self.interval
        if not 0 <= low < high <= 1:
            raise ValueError(f"interval is 0 <= low < high <= 1, not {self.interval}")

    @property
    def space(self) -> StateSpace:
        """The space of the model."""
        return self.model.space

    @property
    def kinds(self) -> Kinds:
        """The kinds of the model."""
        return self.model.kinds

    def network_calls(self, t: Time, condition: Any = None) -> int:
        """Return 2 where guidance acts, else 1."""
        return 1 if condition is None or self.scale == 1 or self._is_outside(t) else 2

    def __call__(self, x: Tensor, t: Time, condition: Any = None) -> Generator:
        """Return the guided generator."""
        conditional = self.model(x, t, condition)
        if self.network_calls(t, condition) == 1:
            return conditional
        if not isinstance(conditional, Flow):
            raise ValueError(f"guidance of a {type(conditional).__name__} is not known; use a Flow")
        unconditional = self.model(x, t, None)
        assert isinstance(unconditional, Flow)
        guided = torch.lerp(unconditional.velocity, conditional.velocity, self.scale)
        if not isinstance(t, Tensor):
            return Flow(guided)
        low, high = self.interval
        acts = expand_time((t >= low) & (t <= high), x)
        return Flow(torch.where(acts, guided, conditional.velocity))

    def _is_outside(self, t: Time) -> bool:
        low, high = self.interval
        return not isinstance(t, Tensor) and not low <= t <= high
