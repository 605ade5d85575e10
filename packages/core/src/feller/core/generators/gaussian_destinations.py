r"""Where jumps on a Gaussian path land, coordinate by coordinate, in closed form.

With u = (y - mean) / scale, a = -sigma_dot / sigma and c = -alpha_dot z / sigma_dot the density of
the path moves as :math:`\partial_t \log p = a (1 + c u - u^2)`. Mass grows between the roots
:math:`u_\pm = (c \pm \sqrt{c^2 + 4}) / 2`, where forward jumps land, and falls in the two tails,
where backward ones do. :math:`G(u) = (u - c) \phi(u)` has the derivative
:math:`(1 + c u - u^2) \phi(u)`, so masses and distribution functions of both are exact.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from feller.core import random
from feller.core.generators.cells import Cells
from feller.core.generators.destinations import Destination
from feller.core.generators.rows import gauss_points
from feller.core.typing import Rng

__all__ = ["NormalTails", "RatioOfNormals"]

_FAR = 12.0  # beyond so many deviations a normal has no mass, in float32 or in quadrature


@dataclass(frozen=True)
class RatioOfNormals(Destination):
    """Where mass grows on a Gaussian path: density (1 + c u - u^2) phi(u) / Z between its roots.

    Attributes:
        mean: alpha_t z.
        scale: sigma_t.
        c: -alpha_dot z / sigma_dot.
    """

    mean: Tensor
    scale: Tensor
    c: Tensor
    is_density = True
    is_bounded = True

    def map(self, change: Callable[[Tensor], Tensor]) -> "RatioOfNormals":
        """Change the parameters, broadcast first."""
        return RatioOfNormals(*map(change, torch.broadcast_tensors(self.mean, self.scale, self.c)))

    def sample(self, rng: Rng) -> Tensor:
        """Invert the distribution function by bisection."""
        low, high = (root.clamp(-_FAR, _FAR) for root in roots(self.c))
        u = random.uniform(low.shape, rng, like=low)
        target = torch.lerp(_growth(low, self.c), _growth(high, self.c), u)
        u = _bisect(lambda u: _growth(u, self.c), target, low, high)
        return self.mean + self.scale * u

    def masses(self, cells: Cells) -> Tensor:
        """Return the probability of each bin, in a last axis; it is exact."""
        low, high = (root[..., None] for root in roots(self.c))
        u = _standard(_edges(self, cells), self.mean, self.scale).clamp(low, high)
        return _growth(u, self.c[..., None]).diff(dim=-1) / self.flux()[..., None]

    def flux(self) -> Tensor:
        """Return Z: intensity on average is a Z."""
        low, high = roots(self.c)
        return _growth(high, self.c) - _growth(low, self.c)

    def log_prob(self, y: Tensor) -> Tensor:
        """Return the log-density of each number."""
        u = (y - self.mean) / self.scale
        log_slope = (1 + self.c * u - u**2).clamp_min(0).log()
        level = 0.5 * math.log(2 * math.pi) + self.flux().log() + self.scale.log()
        return log_slope - 0.5 * u**2 - level

    def quadrature(self) -> tuple[Tensor, Tensor]:
        """Return 40 Gauss points between the roots, as far out as phi counts."""
        low, high = (root[..., None].clamp(-9, 9) for root in roots(self.c))
        u, mass = _integrate(low, high, self.c[..., None])
        points = self.mean[..., None] + self.scale[..., None] * u
        return points, mass / self.flux()[..., None]


@dataclass(frozen=True)
class NormalTails(Destination):
    """Where mass falls on a Gaussian path: density (u^2 - c u - 1) phi(u) / Z outside the roots.

    Attributes:
        mean: alpha_t z.
        scale: sigma_t.
        c: -alpha_dot z / sigma_dot.
    """

    mean: Tensor
    scale: Tensor
    c: Tensor
    is_density = True

    def map(self, change: Callable[[Tensor], Tensor]) -> "NormalTails":
        """Change the parameters, broadcast first."""
        return NormalTails(*map(change, torch.broadcast_tensors(self.mean, self.scale, self.c)))

    def sample(self, rng: Rng) -> Tensor:
        """Choose a tail by its mass, then invert its distribution function by bisection."""
        left, right = self._tails()
        target = random.uniform(left.shape, rng, like=left) * (left + right)
        is_left, (low, high) = target < left, roots(self.c)
        start = torch.where(is_left, low - _FAR, high)
        # -G rises from 0 to the mass of a tail as one comes in from the far left, or goes out.
        target = torch.where(is_left, target, target - left - right)
        stop = torch.where(is_left, low, high + _FAR)
        u = _bisect(lambda u: -_growth(u, self.c), target, start, stop)
        return self.mean + self.scale * u

    def masses(self, cells: Cells) -> Tensor:
        """Return the probability of each bin, in a last axis; it is exact."""
        low, high = (root[..., None] for root in roots(self.c))
        u, c = _standard(_edges(self, cells), self.mean, self.scale), self.c[..., None]
        # Beyond 40 deviations the product of a large number and no density is none.
        far = torch.tensor(40.0).to(u)
        below = -_growth(u.minimum(low).maximum(low - far), c)
        above = -_growth(u.maximum(high).minimum(high + far), c)
        return (below + above).diff(dim=-1) / self.flux()[..., None]

    def flux(self) -> Tensor:
        """Return Z: intensity on average is a Z, as that of forward jumps is."""
        left, right = self._tails()
        return left + right

    def quadrature(self) -> tuple[Tensor, Tensor]:
        """Return 40 Gauss points in each tail, as far out as phi counts."""
        low, high = (root[..., None] for root in roots(self.c))
        c = self.c[..., None]
        u_l, mass_l = _integrate(low - 9, low, c)
        u_r, mass_r = _integrate(high, high + 9, c)
        points = self.mean[..., None] + self.scale[..., None] * torch.cat([u_l, u_r], -1)
        return points, -torch.cat([mass_l, mass_r], -1) / self.flux()[..., None]

    def _tails(self) -> tuple[Tensor, Tensor]:
        """Return the masses of the tails, times Z."""
        low, high = roots(self.c)
        return -_growth(low, self.c), _growth(high, self.c)


def roots(c: Tensor) -> tuple[Tensor, Tensor]:
    """Return the roots of 1 + c u - u^2, the lower first."""
    root = torch.sqrt(c**2 + 4)
    # The smaller root in size is -1 over the larger: no cancellation.
    large = (c.abs() + root) / 2
    high = torch.where(c >= 0, large, 1 / large)
    return -1 / high, high


def _growth(u: Tensor, c: Tensor) -> Tensor:
    return (u - c) * _phi(u)


def _phi(u: Tensor) -> Tensor:
    return torch.exp(-0.5 * u**2) / math.sqrt(2 * math.pi)


def _edges(destination: Destination, cells: Cells) -> Tensor:
    if cells.edges is None:
        raise LookupError(f"a {type(destination).__name__} has masses on bins, not on {cells}")
    return cells.edges


def _standard(edges: Tensor, mean: Tensor, scale: Tensor) -> Tensor:
    return (edges - mean[..., None]) / scale[..., None]


def _bisect(
    rising: Callable[[Tensor], Tensor], target: Tensor, low: Tensor, high: Tensor
) -> Tensor:
    for _ in range(26 if low.dtype == torch.float32 else 54):
        middle = (low + high) / 2
        below = rising(middle) < target
        low, high = torch.where(below, middle, low), torch.where(below, high, middle)
    return (low + high) / 2


def _integrate(low: Tensor, high: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    """Return 40 Gauss points between two numbers, and the rise of the density there."""
    nodes, weights = gauss_points(40, low)
    u = low + (high - low) * nodes
    return u, weights * (high - low) * (1 + c * u - u**2) * _phi(u)
