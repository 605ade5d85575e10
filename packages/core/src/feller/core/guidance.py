r"""Guidance: one model, asked with and without its condition.

With scale w the guided model goes w times as far from the unconditional model to the conditional
one: in the velocity, u_0 + w (u_c - u_0) (Ho and Salimans, arXiv 2207.12598); in the log rate of a
jump, :math:`R_c^w R_0^{1-w}` (Nisonoff et al., arXiv 2406.01572); in the log-probabilities of a
posterior (Schiff et al., arXiv 2412.10193). Instead of the unconditional model there may be any
that is worse (autoguidance). On an interval of time: Kynkäänniemi et al., arXiv 2404.07724.
"""

from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from feller.core.algebra import Model
from feller.core.derived import DerivedModel
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
from feller.core.times import expand_time, factor_times, is_shared

__all__ = ["Guided", "extrapolate", "guide"]

Scale = float | Tensor


@dataclass(frozen=True)
class Guided(DerivedModel):
    """A model guided towards its condition, or away from a worse model.

    Scale 0 is the unconditional (or worse) model, 1 the conditional one, above 1 guided. Papers
    that write (1 + w) u_c - w u_0 have scale = 1 + w.

    Jumps: at scales 0 and 1 samples have the distribution of the one model or the other. At other
    scales no process is known with p_0^(1 - w) p_c^w at each time; but guided rates that are in
    detailed balance with p_0 and p_c, such as a jump and its reverse in equal parts, are in
    detailed balance with this product, too, so that correctors approach it.

    Attributes:
        model: The model; its `unconditional` returns what stands for no condition.
        scale: The guidance scale: one number for all samples, which becomes a float, or a tensor
            `(b,)` of one for each.
        interval: The times between which guidance acts; outside, the model is conditional.
        rescale: How far a guided velocity is rescaled to the standard deviation, over each sample,
            of the conditional one: 0 not at all, 1 fully (Lin et al., arXiv 2305.08891, equations
            15 and 16).
        weak: A worse model on the same path, smaller or trained for less, used instead of the
            unconditional one: autoguidance (Karras et al., arXiv 2406.02507). It gets the
            condition, and also guides without one.
    """

    model: Model
    scale: Scale = 2.0
    interval: tuple[float, float] = (0.0, 1.0)
    rescale: float = 0.0
    weak: Model | None = None
    _idle: bool = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Reject a scale that is no finite number, and an interval that is not one."""
        object.__setattr__(self, "scale", _finite(self.scale))
        object.__setattr__(self, "_idle", bool((torch.as_tensor(self.scale) == 1).all()))
        low, high = self.interval
        if not 0 <= low < high <= 1:
            raise ValueError(f"interval is 0 <= low < high <= 1, not {self.interval}")
        if not 0 <= self.rescale <= 1:
            raise ValueError(f"rescale is in [0, 1], not {self.rescale}")
        if self.weak is not None and self.weak.path != self.model.path:
            raise ValueError(
                f"the weak model is on the path of the other, {self.model.path}, not on "
                f"{self.weak.path}"
            )

    @property
    def finite_at_end(self) -> bool:
        """Whether the model's generators are finite at t = 1."""
        return self.model.finite_at_end

    @property
    def takes_next(self) -> bool:
        """Whether the model takes the time at which the step ends."""
        return self.model.takes_next

    def network_calls(self, t: Any, condition: Any = None) -> int:
        """Return the model's calls, and where guidance acts those of what it guides from."""
        calls = self.model.network_calls(t, condition)
        if not self._acts(t, condition):
            return calls
        return calls + (self.weak or self.model).network_calls(t, condition)

    def __call__(self, x: Any, t: Any, condition: Any = None, s: Any = None) -> Generator:
        """Return the guided generator.

        Raises:
            ValueError: When the kinds of the generators are not known to guide, or to rescale.
        """
        conditional = _ask(self.model, x, t, condition, s)
        if not self._acts(t, condition):
            return conditional
        plain = condition if self.weak else self.model.unconditional(condition)
        start = _ask(self.weak or self.model, x, t, plain, s)
        if "" in conditional.by_factor():
            scale = self._scale_at(x, t)
        else:
            clocks = factor_times(t, x)
            scale = {name: self._scale_at(x[name], clocks[name]) for name in x}
        guided = guide(start, conditional, scale)
        return _rescaled(guided, conditional, self.rescale) if self.rescale else guided

    def _acts(self, t: Any, condition: Any) -> bool:
        """Return whether there is anything to guide from, at any of the times."""
        if condition is None and self.weak is None:
            return False
        return not (self._idle or self._is_outside(t))

    def _scale_at(self, x: Tensor, t: Any) -> Scale:
        if self._is_outside(t):
            return 1.0
        if is_shared(t) and is_shared(self.scale):
            return self.scale
        double = x.dtype == torch.float64
        scale = expand_time(self.scale, x).to(torch.float64 if double else torch.float32)
        low, high = self.interval
        if is_shared(t):
            return scale
        return torch.where(expand_time((t >= low) & (t <= high), x), scale, 1.0)

    def _is_outside(self, t: Any) -> bool:
        low, high = self.interval
        clocks = factor_times(t, ("",)).values()
        return not any(isinstance(clock, Tensor) or low <= clock <= high for clock in clocks)


def _finite(scale: Scale) -> Scale:
    """Return a scale as a float, or as a tensor of one for each sample."""
    scales = torch.as_tensor(scale)
    if scales.ndim > 1:
        shape = (*scales.shape,)
        raise ValueError(f"scale is a number, or one for each sample, not of shape {shape}")
    if not bool(scales.isfinite().all()):
        raise ValueError(f"scale is a finite number, not {scale}")
    return scales if scales.ndim else float(scales)


def _ask(model: Model, x: Any, t: Any, condition: Any, s: Any) -> Generator:
    step_end = {"s": s} if model.takes_next else {}
    return model(x, t, condition, **step_end)


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
        names = " and ".join(type(g).__name__ for g in (unconditional, conditional))
        raise ValueError(f"guidance between {names} is not known")
    return guided(conditional, unconditional, scale)


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
    masses = _both_masses(unconditional.destination, conditional.destination)
    start, end = (
        jump.intensity.log()[..., None] + mass
        for jump, mass in zip((unconditional, conditional), masses, strict=True)
    )
    log_rates = extrapolate(start, end, scale)
    destination: Any = conditional.destination
    there = destination.with_logits(log_rates)
    return Jump(log_rates.logsumexp(-1).exp(), there, conditional.cumulative)


@_GUIDES.register(FromPosterior)
def _guide_posterior(
    conditional: FromPosterior, unconditional: FromPosterior, scale: Scale
) -> FromPosterior:
    start, end = _both_masses(unconditional.posterior, conditional.posterior)
    posterior: Any = conditional.posterior
    guided = posterior.with_logits(extrapolate(start, end, scale))
    return replace(conditional, posterior=guided)


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


_RESCALES = ByKind()


def _rescaled(guided: Any, conditional: Any, fraction: float) -> Generator:
    """Return a guided generator with velocities closer to the conditional standard deviation."""
    rescale = _RESCALES.find(type(guided))
    if rescale is None:
        raise ValueError(f"a {type(guided).__name__} has no velocity to rescale")
    return rescale(guided, conditional, fraction)


@_RESCALES.register(Flow)
def _rescale_flow(guided: Flow, conditional: Flow, fraction: float) -> Flow:
    if guided.velocity[0].numel() < 2:
        raise ValueError("rescale is of states of two numbers or more")
    std, wanted = (g.velocity.flatten(1).std(1) for g in (guided, conditional))
    factor = fraction * wanted / std.clamp_min(torch.finfo(std.dtype).tiny) + 1 - fraction
    return Flow(expand_time(factor, guided.velocity) * guided.velocity)


@_RESCALES.register(Superposition)
def _rescale_sum(
    guided: Superposition, conditional: Superposition, fraction: float
) -> Superposition:
    """Return the sum with its flows rescaled; of its other parts none has a velocity alone."""
    pairs = zip(guided.parts, conditional.parts, strict=True)
    parts = (
        replace(g, generator=_rescaled(g.generator, c.generator, fraction))
        if _RESCALES.find(type(g.generator))
        else g
        for g, c in pairs
    )
    return Superposition(tuple(parts))


def _both_masses(start: Any, end: Any) -> tuple[Tensor, Tensor]:
    for destination in (start, end):
        if destination.cells is None:
            raise ValueError(f"guidance of a jump to a {type(destination).__name__} is not known")
    if start.cells.count != end.cells.count:
        raise ValueError(
            f"guidance needs the same cells, not {start.cells.count} and {end.cells.count}"
        )
    return start.log_masses(), end.log_masses()


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
