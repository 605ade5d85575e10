r"""Isotropic distributions on SO(3), which depend on the angle to a centre alone.

With w that angle and f the density with respect to Haar measure of mass 1, the angle has density
:math:`h(w) = f(w) (1 - \cos w) / \pi` on [0, pi], and the axis is uniform. A **family** of such
distributions has a parameter s. As s moves

- mass comes and goes at the **rise** :math:`\partial_s \log f`, which changes its sign once, at the
  **edge**: inside of it mass gathers as the distribution narrows, outside of it mass is lost;
- the radial velocity :math:`g(w) = -\int_0^w \partial_s h / h(w)` carries the distribution, and so
  does the monotone map between angles of the same probability below: x_0 moves along its axis to
  the angle with as much of the distribution below it.

Angles are worked out in float64 and returned in the dtype that was given.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from feller.core.generators.rows import gauss_points

__all__ = ["Radial", "RadialDistribution", "inverse", "uniform_cdf"]

Angles = Float[Tensor, "*batch"]
Radial = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class RadialDistribution:
    """A family of isotropic distributions: functions of the angle w and the parameter s.

    Attributes:
        log_density: log f.
        score: The slope of log f in w; times the axis it is the gradient of log f.
        rise: The slope of log f in s.
        velocity: g, the speed away from the centre for a unit of s.
        edge: Where the rise is 0, from s.
        reach: An angle from s, at most pi, beyond which there is less than 1e-15 of the
            distribution.
    """

    log_density: Radial
    score: Radial
    rise: Radial
    velocity: Radial
    edge: Callable[[Tensor], Tensor]
    reach: Callable[[Tensor], Tensor]

    def angle_density(self, w: Angles, s: Tensor) -> Angles:
        """Return h, the density of the angle on [0, pi]."""
        return self.log_density(w, s).exp() * torch.sin(w / 2) ** 2 * (2 / math.pi)

    def cdf(self, w: Angles, s: Tensor) -> Angles:
        """Return the probability of an angle below `w`."""
        wide, s = w.double(), s.double()
        end = torch.minimum(wide, self.reach(s))  # beyond it the nodes would miss the peak
        column = s[..., None]
        mass = integral(lambda v: self.angle_density(v, column), torch.zeros_like(end), end)
        return mass.to(w.dtype)

    def quantile(self, u: Angles, s: Tensor) -> Angles:
        """Return the angle with probability `u` below it."""
        wide, s = u.double(), s.double().expand(u.shape)
        end = self.reach(s)
        return inverse(self.angle_density, s, wide, (torch.zeros_like(end), end)).to(u.dtype)

    def landing(self, u: Angles, s: Tensor, *, inside: bool) -> Angles:
        """Return the angle below which lies a fraction `u` of where mass gathers, or is lost.

        Args:
            u: Fractions in [0, 1).
            s: The parameter.
            inside: Whether it is inside of the edge or outside.
        """
        wide, one = u.double(), s.double()
        edge, end = self.edge(one).expand(u.shape), self.reach(one).expand(u.shape)
        span = (torch.zeros_like(edge), edge) if inside else (edge, torch.maximum(edge, end))
        s = one.expand(u.shape)

        def change(w: Tensor, s: Tensor) -> Tensor:
            return self.angle_density(w, s) * self.rise(w, s).abs()

        return inverse(change, s, wide, span).to(u.dtype)


def uniform_cdf(w: Angles) -> Angles:
    """Return the probability of an angle below `w` under Haar measure: (w - sin w) / pi."""
    wide = w.double()
    small = wide < 0.05
    near = wide**3 / 6 * (1 - wide**2 / 20 * (1 - wide**2 / 42))
    far = torch.where(small, 1.0, wide)
    return torch.where(small, near, far - far.sin()) / math.pi


def inverse(
    density: Radial, s: Tensor, u: Tensor, span: tuple[Tensor, Tensor], *, cells: int = 32
) -> Tensor:
    """Return the angle below which lies a fraction `u` of the mass between two angles.

    A table of trapezes gives the cell and a first guess, and three steps of Newton within the cell
    and its neighbours the digits; the last one also gives the right slopes in `u` and `s`.

    Args:
        density: Not negative.
        s: The parameter of the density.
        u: Fractions in [0, 1].
        span: The two angles.
        cells: How many cells the table has.
    """
    low, high = span
    width, column = (high - low) / cells, s[..., None]
    steps = torch.arange(cells + 1, dtype=low.dtype, device=low.device)
    heights = density(low[..., None] + width[..., None] * steps, column)
    mass = torch.nn.functional.pad(((heights[..., 1:] + heights[..., :-1]) / 2).cumsum(-1), (1, 0))
    aim = (u * mass[..., -1])[..., None].detach()
    cell = (torch.searchsorted(mass.detach(), aim, right=True) - 1).clamp(0, cells - 1)
    below, above = mass.gather(-1, cell), mass.gather(-1, cell + 1)
    part = ((aim - below) / (above - below).clamp_min(1e-300)).clamp(0, 1)
    part, cell = part[..., 0], cell[..., 0]
    # In the first cell the mass grows like the volume of a ball, or from an edge like a square.
    start = torch.where(low == 0, part ** (1 / 3), part.sqrt())
    part = torch.where(cell == 0, start, part)
    w = low + width * (cell + part)
    ends = low + width * (cell - 1).clamp_min(0), low + width * (cell + 2).clamp_max(cells)
    total = integral(lambda v: density(v, column), low, high)
    for _ in range(3):
        w = w.maximum(ends[0]).minimum(ends[1])
        slope = density(w, s)
        excess = integral(lambda v: density(v, column), low, w) - u * total
        w = w - torch.where(slope > 0, excess / torch.where(slope > 0, slope, 1.0), 0.0)
    return w.maximum(ends[0]).minimum(ends[1])


def integral(f: Callable[[Tensor], Tensor], low: Tensor, high: Tensor) -> Tensor:
    """Integrate a smooth function between two angles, by 32 Gauss points."""
    nodes, weights = gauss_points(32, low)
    span = (high - low)[..., None]
    return (f(low[..., None] + span * nodes) * span) @ weights
