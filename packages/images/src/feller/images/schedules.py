r"""A schedule from a table: that of a diffusion of N discrete steps, without error.

Such a diffusion (DDPM, arXiv 2006.11239) has :math:`\bar\alpha_k`, the square of its data
coefficient, at steps k = 0 ... N - 1 of growing noise, and data without noise before them. At
:math:`t = 1 - (k + 1) / N` it is our schedule: :math:`\alpha_t = \sqrt{\bar\alpha_k}` and
:math:`\sigma_t = \sqrt{1 - \bar\alpha_k}`, so that t = 1 is the data and t = 0 the last step.
Between these times :math:`\log \alpha` is a monotone cubic.
"""

import math
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor

from feller.core.config import tagged
from feller.core.schedules import Schedule

__all__ = ["Tabulated"]

Times = Float[Tensor, "*time"]


@tagged("tabulated")
@dataclass(frozen=True, repr=False)
class Tabulated(Schedule):
    """The schedule of a variance-preserving diffusion of discrete steps.

    A network that was trained at steps k sees our t with a `time_scale` of -N and a `time_offset`
    of N - 1. On a uniform grid whose steps divide N, it sees the steps it was trained at.

    Attributes:
        alphas_cumprod: What diffusers calls so: the square of the data coefficient at each step,
            first the one with least noise.

    Raises:
        ValueError: When they do not fall from below 1 to above 0.

    Example:
        >>> schedule = Tabulated((0.9, 0.5, 0.1))
        >>> schedule.alpha(torch.tensor([0.0, 1 / 3, 2 / 3, 1.0])).square()
        tensor([0.1000, 0.5000, 0.9000, 1.0000])
    """

    alphas_cumprod: tuple[float, ...]

    def __post_init__(self) -> None:
        """Reject what is not the table of a diffusion."""
        table = (1.0, *self.alphas_cumprod, 0.0)
        if len(table) < 3 or not all(a > b for a, b in pairwise(table)):
            raise ValueError("alphas_cumprod fall from below 1 to above 0, step by step")

    def __repr__(self) -> str:
        return f"Tabulated(<{len(self.alphas_cumprod)} steps>)"

    @classmethod
    def linear(cls, first: float = 1e-4, last: float = 0.02, steps: int = 1000) -> "Tabulated":
        """Return the table of noise rates that rise evenly: that of DDPM.

        Args:
            first: Fraction of the variance that is noise, in the first step.
            last: In the last step.
            steps: How many.

        Example:
            >>> f"{Tabulated.linear().alphas_cumprod[-1]:.3e}"
            '4.036e-05'
        """
        rates = torch.linspace(first, last, steps, dtype=torch.float64)
        return cls(tuple((1 - rates).cumprod(0).tolist()))

    def alpha(self, t: Times) -> Times:
        """Return the data coefficient."""
        return torch.exp(self._log_alpha(t))

    def sigma(self, t: Times) -> Times:
        """Return sqrt(1 - alpha^2) without cancellation near t = 1."""
        return torch.sqrt(-torch.expm1(2 * self._log_alpha(t)))

    def alpha_dot(self, t: Times) -> Times:
        """Return alpha times the slope of its logarithm."""
        return self.alpha(t) * self._slope(t)

    def sigma_dot(self, t: Times) -> Times:
        """Return -alpha alpha_dot / sigma, minus infinity at t = 1."""
        return -self.alpha(t) * self.alpha_dot(t) / self.sigma(t)

    def remainder(self, t: Times) -> Times:
        """Return 1 - alpha without cancellation near t = 1."""
        return -torch.expm1(self._log_alpha(t))

    @cached_property
    def _cubics(self) -> Float[Tensor, "steps 4"]:
        """The coefficients of each step's cubic, those of a Hermite spline.

        Slopes at the knots are harmonic means of those of the chords: then it is monotone. Source:
        Fritsch and Butland, SIAM J. Sci. Stat. Comput. 5 (1984).
        """
        values = [0.0, *(0.5 * math.log(a) for a in self.alphas_cumprod)]
        f = torch.tensor(values, dtype=torch.float64, device="cpu")
        chord = f.diff()
        inner = 2 * chord[1:] * chord[:-1] / (chord[1:] + chord[:-1])
        slope = torch.cat([chord[:1], inner, chord[-1:]])
        left, right = slope[:-1], slope[1:]
        square, cube = 3 * chord - 2 * left - right, left + right - 2 * chord
        return torch.stack([f[:-1], left, square, cube], dim=1)

    def _locate(self, t: Times) -> tuple[Tensor, Times]:
        """Return the cubic of each time `(*time, 4)`, and the position in its step."""
        count = len(self.alphas_cumprod)
        position = count * (1 - t)
        step = position.detach().floor().clamp(0, count - 1)
        return self._cubics.to(t)[step.long()], position - step

    def _log_alpha(self, t: Times) -> Times:
        (a, b, c, d), u = self._coefficients(t)
        return a + u * (b + u * (c + u * d))

    def _slope(self, t: Times) -> Times:
        """Return the time derivative of log alpha."""
        (_, b, c, d), u = self._coefficients(t)
        return -len(self.alphas_cumprod) * (b + u * (2 * c + u * 3 * d))

    def _coefficients(self, t: Times) -> tuple[tuple[Tensor, ...], Times]:
        cubics, u = self._locate(t)
        return cubics.unbind(-1), u
