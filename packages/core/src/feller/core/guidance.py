r"""Guidance: one model, asked with and without its condition.

With scale w the guided model goes w times as far from the unconditional model to the conditional
one: in the velocity, u_0 + w (u_c - u_0) (Ho and Salimans, arXiv 2207.12598); in the log rate of a
jump, :math:`R_c^w R_0^{1-w}` (Nisonoff et al., arXiv 2406.01572); in the log-probabilities of a
posterior (Schiff et al., arXiv 2412.10193). On an interval of time: Kynkäänniemi et al., arXiv
2404.07724.
"""

import math
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from feller.core.algebra import DerivedModel, Model
from feller.core.generators import (
    Diffusion,
    Flow,
    FromPosterior,
    Generator,
    Jump,
    LangevinDiffusion,
    Product,
    Superposition,
)
from feller.core.generators.by_kind import ByKind
from feller.core.times import expand_time, factor_times

__all__ = ["Guided", "extrapolate", "guide"]

Scale = float | Tensor


@dataclass(frozen=True)
class Guided(DerivedModel):
    """A model guided to its condition.

    Scale 0 is the unconditional model, 1 the conditional one, above 1 guided. Papers that write
    (1 + w) u_c - w u_0 have scale = 1 + w.

    Attributes:
        model: A model that takes `condition=None` for unconditional.
        scale: The guidance scale: one number for all samples, which becomes a float.
        interval: The times between which guidance acts; outside, the model is conditional.
    """

    model: Model
    scale: Scale = 2.0
    interval: tuple[float, float] = (0.0, 1.0)

    def __post_init__(self) -> None:
        """Refuse a scale that is no finite number, and an interval that is not one."""
        try:
            scale = float(self.scale)
        except (TypeError, ValueError, RuntimeError):
            raise ValueError(f"scale is one number for all samples, not {self.scale}") from None
        if not math.isfinite(scale):
            raise ValueError(f"scale is a finite number, not {scale}")
        object.__setattr__(self, "scale", scale)
        low, high = self.interval
        if not 0 <= low < high <= 1:
            raise ValueError(f"interval is 0 <= low < high <= 1, not {self.interval}")

    @property
    def finite_at_end(self) -> bool:
        """Whether the model's generators are finite at t = 1."""
        return self.model.finite_at_end

    @property
    def takes_next(self) -> bool:
        """Whether the model is told the time at which the step ends."""
        return self.model.takes_next

    def network_calls(self, t: Any, condition: Any = None) -> int:
        """Return 2 of the model's calls where guidance acts, else 1."""
        one = condition is None or self.scale == 1 or self._is_outside(t)
        return (1 if one else 2) * self.model.network_calls(t, condition)

    def __call__(self, x: Any, t: Any, condition: Any = None, s: Any = None) -> Generator:
        """Return the guided generator."""
        told = {"s": s} if self.takes_next else {}
        conditional = self.model(x, t, condition, **told)
        if condition is None or self.scale == 1 or self._is_outside(t):
            return conditional
        if "" in conditional.by_factor():
            return guide(self.model(x, t, None, **told), conditional, self._scale_at(x, t))
        clocks = factor_times(t, x)
        scales = {name: self._scale_at(x[name], clocks[name]) for name in x}
        return guide(self.model(x, t, None, **told), conditional, scales)

    def _scale_at(self, x: Tensor, t: Any) -> Scale:
        if not isinstance(t, Tensor):
            return 1.0 if self._is_outside(t) else self.scale
        low, high = self.interval
        acts = (t >= low) & (t <= high)
        scale = expand_time(torch.where(acts, self.scale, 1.0), x)
        return scale.to(x.dtype) if x.is_floating_point() else scale

    def _is_outside(self, t: Any) -> bool:
        low, high = self.interval
        clocks = factor_times(t, ("",)).values()
        return not any(isinstance(clock, Tensor) or low <= clock <= high for clock in clocks)


def guide(unconditional: Any, conditional: Any, scale: Any) -> Generator:
    """Go `scale` times as far from one generator to another of its kind.

    Args:
        unconditional: A generator.
        conditional: A generator of the same kind, in the same form.
        scale: A number, or a tensor that broadcasts against the state; of a product, a dict too.

    Raises:
        ValueError: When the kinds differ, or guidance of the kind is not known.

    Example:
        >>> guide(Flow(torch.zeros(1, 1)), Flow(torch.ones(1, 1)), 2.0).velocity
        tensor([[2.]])
    """
    guided = _GUIDES.find(type(conditional))
    if guided is None or guided is not _GUIDES.find(type(unconditional)):
        raise ValueError(_unknown(unconditional, conditional))
    return guided(conditional, unconditional, scale)


def _unknown(unconditional: Generator, conditional: Generator) -> str:
    names = " and ".join(type(g).__name__ for g in (unconditional, conditional))
    return f"guidance between {names} is not known"


_GUIDES = ByKind()


@_GUIDES.register(Flow)
def _guide_flow(conditional: Flow, unconditional: Flow, scale: Scale) -> Flow:
    return Flow(torch.lerp(unconditional.velocity, conditional.velocity, scale))


@_GUIDES.register(Diffusion)
def _guide_diffusion(conditional: Diffusion, unconditional: Diffusion, scale: Scale) -> Diffusion:
    drift = torch.lerp(unconditional.drift, conditional.drift, scale)
    return Diffusion(drift, conditional.covariance)


@_GUIDES.register(LangevinDiffusion)
def _guide_score(
    conditional: LangevinDiffusion, unconditional: LangevinDiffusion, scale: Scale
) -> LangevinDiffusion:
    direction = torch.lerp(unconditional.direction, conditional.direction, scale)
    return replace(conditional, direction=direction)


@_GUIDES.register(Jump)
def _guide_jump(conditional: Jump, unconditional: Jump, scale: Scale) -> Jump:
    """Return the jump whose rate into each cell is R_c^scale R_0^(1 - scale)."""
    start, end = (
        jump.intensity.log()[..., None] + _log_masses(jump.destination)
        for jump in (unconditional, conditional)
    )
    log_rates = extrapolate(start, end, scale)
    destination: Any = conditional.destination
    return Jump(
        log_rates.logsumexp(-1).exp(), replace(destination, logits=log_rates), conditional.clock
    )


@_GUIDES.register(FromPosterior)
def _guide_posterior(
    conditional: FromPosterior, unconditional: FromPosterior, scale: Scale
) -> FromPosterior:
    start, end = (_log_masses(g.posterior) for g in (unconditional, conditional))
    posterior: Any = conditional.posterior
    logits = extrapolate(start, end, scale)
    return replace(conditional, posterior=replace(posterior, logits=logits))


@_GUIDES.register(Product)
def _guide_product(conditional: Product, unconditional: Product, scale: Any) -> Product:
    scales = factor_times(scale, conditional.factors)
    pairs = ((name, unconditional.factors[name], g) for name, g in conditional.factors.items())
    return Product({name: guide(u, c, scales[name]) for name, u, c in pairs})


@_GUIDES.register(Superposition)
def _guide_sum(
    conditional: Superposition, unconditional: Superposition, scale: Scale
) -> Superposition:
    pairs = zip(unconditional.parts, conditional.parts, strict=True)
    parts = (replace(c, generator=guide(u.generator, c.generator, scale)) for u, c in pairs)
    return Superposition(tuple(parts))


def _log_masses(law: Any) -> Tensor:
    if law.cells is None:
        raise ValueError(f"guidance of a jump to a {type(law).__name__} is not known")
    return law.log_masses()


def extrapolate(start: Tensor, end: Tensor, scale: Scale) -> Tensor:
    """Return start + scale (end - start) of log-probabilities in a last axis, minus infinity known.

    What neither allows stays out; at scale 0 and 1 the ends are returned as they are; what only the
    conditional model allows has its log-probability beyond scale 1, and is out below.
    """
    scale = scale[..., None] if isinstance(scale, Tensor) else torch.as_tensor(scale, device="cpu")
    far = start + scale * (end - start)
    lone = torch.where(scale > 1, end, -torch.inf)
    far = torch.where(start.isneginf(), lone, far)
    far = torch.where(scale == 0, start, torch.where(scale == 1, end, far))
    return torch.where(start.isneginf() & end.isneginf(), -torch.inf, far)
