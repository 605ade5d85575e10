r"""Moving averages of a model's weights, exponential and of power functions.

After step t, theta_ema = d_t theta_ema + (1 - d_t) theta. A constant d forgets at one rate. With
d_t = (1 - 1/t)^(gamma + 1) the average after T steps is

    sum over k of theta(k) (k^(gamma + 1) - (k - 1)^(gamma + 1)) / T^(gamma + 1),

a power function of k, which holds the same fraction of a run however long it is. Its width is the
standard deviation of its profile, as a fraction of the run. Source: Karras et al., arXiv
2312.02696, section 3.1.
"""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import torch
from torch import Tensor, nn

from feller.core.nn.shards import local

__all__ = ["EMA", "Decay", "PowerFunction"]

NOTHING: Mapping[str, "Decay"] = MappingProxyType({})
_PREFIX = "others/"


@dataclass(frozen=True)
class PowerFunction:
    """The decay of an average whose profile is a power function.

    Attributes:
        width: The standard deviation of the profile as a fraction of the run, in (0, 0.28]; 0.1 is
            about as wide as the last third of a run.

    Raises:
        ValueError: When the width is none of a power function.

    Example:
        >>> round(PowerFunction(0.1).exponent, 2), PowerFunction(0.1).at(1)
        (6.94, 0.0)
    """

    width: float

    def __post_init__(self) -> None:
        """Check that the widths are possible."""
        if not 0 < self.width <= 0.28:
            raise ValueError(f"the width of an average is in (0, 0.28], not {self.width}")

    @property
    def exponent(self) -> float:
        """The exponent gamma: width^2 = (gamma + 1) / ((gamma + 2)^2 (gamma + 3))."""
        inverse = self.width**-2
        roots = np.roots([1, 7, 16 - inverse, 12 - inverse])
        return float(roots.real[np.abs(roots.imag) < 1e-9].max())

    def at(self, step: int) -> float:
        """Return the decay of step number `step`, the first being 1."""
        return (1 - 1 / step) ** (self.exponent + 1)


Decay = float | PowerFunction
"""A decay after warm-up, or a power function."""


class EMA:
    """A copy of a model that follows it slowly: theta_ema = d theta_ema + (1 - d) theta.

    A constant decay warms up as min(decay, (1 + step) / (10 + step)): without it, a decay of 0.9999
    would after 5,000 steps still hold 61% of the initial weights.

    Averages of half-precision weights that are trained are kept in single precision, and rounded
    into the averaged model: the change of one step is too small for half precision.

    Args:
        model: The model to follow; it is copied.
        decay: The decay.
        others: Further averages, each a copy more, by name.

    Attributes:
        model: The averaged model.
        others: The further averages.

    Example:
        >>> model = nn.Linear(1, 1)
        >>> ema = EMA(model, 0.999, others={"0.9": 0.9})
        >>> ema.update(model, step=1)
        >>> torch.equal(ema.model.weight, model.weight)
        True
    """

    def __init__(
        self, model: nn.Module, decay: Decay, *, others: Mapping[str, Decay] = NOTHING
    ) -> None:
        if not isinstance(decay, PowerFunction) and not 0 <= decay < 1:
            raise ValueError(f"decay is in [0, 1), not {decay}")
        self.decay = decay
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        self.others = {name: EMA(model, other) for name, other in others.items()}
        trained = (name for name, p in model.named_parameters() if p.requires_grad and _is_half(p))
        self._half = frozenset(trained)
        self._exact: dict[str, Tensor] = {}

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Take in the model's weights after step number `step`, the first being 1."""
        if isinstance(self.decay, PowerFunction):
            decay = self.decay.at(step)
        else:
            decay = min(self.decay, (1 + step) / (10 + step))
        weights = dict(self.model.named_parameters()) | self._single()
        kept = [local(p) for p in weights.values()]
        pairs = zip(kept, model.parameters(), strict=True)
        fresh = [local(p).to(old.dtype) if _is_half(p) else local(p) for old, p in pairs]
        # One kernel for all weights; torch has it under this name only.
        torch._foreach_lerp_(kept, fresh, 1 - decay)  # pyright: ignore
        for old, new in zip(self.model.buffers(), model.buffers(), strict=True):
            old.copy_(new)
        self._round()
        for other in self.others.values():
            other.update(model, step)

    def settle(self) -> None:
        """Update the averaged models after the tensors of `state_dict` were written to."""
        self._round()
        for other in self.others.values():
            other.settle()

    def state_dict(self) -> dict[str, Tensor]:
        """Return the averaged weights, those of further averages as `others/NAME/WEIGHT`."""
        state = self.model.state_dict() | self._single()
        for name, other in self.others.items():
            state |= {f"{_PREFIX}{name}/{key}": v for key, v in other.state_dict().items()}
        return state

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Take averaged weights back; names and shapes must match."""
        self.model.load_state_dict({k: v for k, v in state.items() if not k.startswith(_PREFIX)})
        for name, weight in self._single().items():
            weight.copy_(state[name])
        for name, other in self.others.items():
            own = f"{_PREFIX}{name}/"
            other.load_state_dict(
                {k.removeprefix(own): v for k, v in state.items() if k.startswith(own)}
            )

    def _single(self) -> dict[str, Tensor]:
        """Return the averages of half-precision weights in single precision, sharded as these."""
        if not self._exact:  # made late: a model is sharded after it was copied
            weights = self.model.named_parameters()
            self._exact = {name: p.float() for name, p in weights if name in self._half}
        return self._exact

    @torch.no_grad()
    def _round(self) -> None:
        for name, weight in self._single().items():
            local(self.model.get_parameter(name)).copy_(local(weight))


def _is_half(weight: Tensor) -> bool:
    return weight.dtype in (torch.float16, torch.bfloat16)
