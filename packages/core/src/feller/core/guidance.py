r"""Guidance: one model, asked with and without its condition.

With scale w the guided model goes w times as far from the unconditional model to the conditional
one: in the velocity, u_0 + w (u_c - u_0) (Ho and Salimans, arXiv 2207.12598); in the log rate of a
jump, :math:`R_c^w R_0^{1-w}` (Nisonoff et al., arXiv 2406.01572); in the log-probabilities of a
posterior (Schiff et al., arXiv 2412.10193). On an interval of time: Kynkäänniemi et al., arXiv
2404.07724.
"""

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from feller.core.generators import (
    Atoms,
    Binned,
    Categorical,
    Diffusion,
    Flow,
    FromPosterior,
    Generator,
    Jump,
    Superposition,
)
from feller.core.heads import Kinds
from feller.core.models import Model
from feller.core.times import expand_time
from feller.core.typing import Time

__all__ = ["Guided", "guide"]

Scale = float | Tensor


@dataclass(frozen=True)
class Guided:
    """A model guided to its condition.

    Scale 0 is the unconditional model, 1 the conditional one, above 1 guided. Papers that write
    (1 + w) u_c - w u_0 have scale = 1 + w.

    Attributes:
        model: A model that takes `condition=None` for unconditional.
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
    def space(self) -> Any:
        """The space of the model."""
        return self.model.space

    @property
    def path(self) -> Any:
        """The path of the model."""
        return getattr(self.model, "path", None)

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
        return guide(self.model(x, t, None), conditional, self._scale_at(x, t))

    def _scale_at(self, x: Tensor, t: Time) -> Scale:
        if not isinstance(t, Tensor):
            return self.scale
        low, high = self.interval
        acts = (t >= low) & (t <= high)
        return expand_time(torch.where(acts, self.scale, 1.0), x)

    def _is_outside(self, t: Time) -> bool:
        low, high = self.interval
        return not isinstance(t, Tensor) and not low <= t <= high


def guide(unconditional: Any, conditional: Any, scale: Scale) -> Generator:
    """Go `scale` times as far from one generator to another of its kind.

    Args:
        unconditional: A generator.
        conditional: A generator of the same kind, in the same form.
        scale: A number, or a tensor that broadcasts against the state.

    Raises:
        ValueError: When the kinds differ, or guidance of the kind is not known.

    Example:
        >>> guide(Flow(torch.zeros(1, 1)), Flow(torch.ones(1, 1)), 2.0).velocity
        tensor([[2.]])
    """
    kinds = type(unconditional), type(conditional)
    if kinds == (Flow, Flow):
        return Flow(torch.lerp(unconditional.velocity, conditional.velocity, scale))
    if kinds == (Diffusion, Diffusion):
        drift = torch.lerp(unconditional.drift, conditional.drift, scale)
        return Diffusion(drift, conditional.covariance)
    if kinds == (Jump, Jump):
        return _guide_jump(unconditional, conditional, scale)
    if kinds == (FromPosterior, FromPosterior):
        start, end = (_normalised(g.posterior) for g in (unconditional, conditional))
        logits = _further(start, end, scale[..., None] if isinstance(scale, Tensor) else scale)
        return replace(conditional, posterior=replace(conditional.posterior, logits=logits))
    if kinds == (Superposition, Superposition):
        pairs = zip(unconditional.parts, conditional.parts, strict=True)
        return Superposition(
            tuple(replace(c, generator=guide(u.generator, c.generator, scale)) for u, c in pairs)
        )
    names = " and ".join(kind.__name__ for kind in kinds)
    raise ValueError(f"guidance between {names} is not known")


def _guide_jump(unconditional: Jump, conditional: Jump, scale: Scale) -> Jump:
    """Return the jump whose rate into each cell is R_c^scale R_0^(1 - scale)."""
    start, end = (
        jump.intensity.log()[..., None] + _normalised(jump.destination)
        for jump in (unconditional, conditional)
    )
    log_rates = _further(start, end, scale[..., None] if isinstance(scale, Tensor) else scale)
    # Where neither jumps, the difference of two infinities says nothing: nothing jumps there.
    log_rates = log_rates.nan_to_num(nan=-torch.inf, neginf=-torch.inf)
    destination: Any = conditional.destination
    return Jump(
        log_rates.logsumexp(-1).exp(), replace(destination, logits=log_rates), conditional.clock
    )


def _normalised(law: Any) -> Tensor:
    if not isinstance(law, Atoms | Binned | Categorical):
        raise ValueError(f"guidance of a jump to a {type(law).__name__} is not known")
    return law.logits.log_softmax(-1)


def _further(start: Tensor, end: Tensor, scale: Scale) -> Tensor:
    # Not torch.lerp, which makes infinities of a log rate that is minus infinity at the start.
    return start + scale * (end - start)
