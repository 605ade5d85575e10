r"""The Gaussian path: :math:`x_t = \alpha_t z + \sigma_t x_0` with :math:`x_0 \sim N(0, I)`.

Flow matching, rectified flow and every denoising diffusion train on it; they differ in the
schedule. DDPM is the variance-preserving schedule with time reversed.
"""

import math
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from feller.core.checks import check_times
from feller.core.config import tagged
from feller.core.parametrizations import Parametrization, convert
from feller.core.paths.base import ConditionalPath, Drawn, check_parts
from feller.core.schedules import CondOT, Schedule
from feller.core.sources import Gaussian, Source
from feller.core.spaces import Euclidean
from feller.core.times import expand_time
from feller.core.typing import Rng, Time

__all__ = ["GaussianPath"]


@tagged("gaussian_path")
@dataclass(frozen=True)
class GaussianPath(ConditionalPath):
    """Normals of mean alpha_t z and standard deviation sigma_t.

    Example:
        >>> import torch
        >>> path = GaussianPath()
        >>> path.sample(torch.ones(2, 1), 0.25, x_0=torch.zeros(2, 1)).flatten()
        tensor([0.2500, 0.2500])
    """

    space: Euclidean = field(default_factory=Euclidean)
    schedule: Schedule = field(default_factory=CondOT)
    source: ClassVar[Source] = Gaussian()

    def __post_init__(self) -> None:
        """Reject a schedule that does not start at the source.

        Raises:
            ValueError: When sigma is not 1 at t = 0, but for a twentieth, as it is not where
                variances explode.
        """
        check_parts(self)
        start = float(self.schedule.sigma(torch.zeros((), device="cpu")))
        if not abs(start - 1) <= 0.05:
            raise ValueError(
                f"a Gaussian path starts with deviation 1, and {type(self.schedule).__name__} with "
                f"{start:.3g}: divide alpha and sigma by sqrt(alpha^2 + sigma^2)"
            )

    def sample(self, z: Tensor, t: Time, rng: Rng = None, *, x_0: Tensor | None = None) -> Tensor:
        """Return alpha_t z + sigma_t x_0."""
        check_times(t)
        x_0 = self.sample_source(z.shape, rng, like=z) if x_0 is None else x_0
        t = expand_time(t, z)
        return torch.addcmul(self.schedule.alpha(t) * z, self.schedule.sigma(t), x_0)

    def draw(self, z: Tensor, t: Time, rng: Rng = None, *, x_0: Tensor | None = None) -> Drawn:
        """Return x_t, and alpha_dot z + sigma_dot x_0."""
        check_times(t)
        x_0 = self.sample_source(z.shape, rng, like=z) if x_0 is None else x_0
        alpha, sigma, alpha_dot, sigma_dot = self.schedule.coefficients(expand_time(t, z))
        way = torch.addcmul(alpha_dot * z, sigma_dot, x_0)
        return Drawn(torch.addcmul(alpha * z, sigma, x_0), way)

    def check_source(self, what: str) -> None:
        """Reject a source that is not Gaussian, of which only the velocity is known.

        Raises:
            ValueError: When a subclass has one.
        """
        if self.source != Gaussian():
            raise ValueError(f"{what} is of a Gaussian source, not of {self.source}")

    check_score = check_source  # that pairs are independent is asked of the model

    def score(self, x: Tensor, t: Time, z: Tensor) -> Tensor:
        """Return the gradient of log p_t(x | z): -(x - alpha z) / sigma^2."""
        self.check_source("a score")
        t = expand_time(t, x)
        return -(x - self.schedule.alpha(t) * z) / self.schedule.sigma(t) ** 2

    def noise_variance(self, t: Tensor) -> Tensor:
        """Return -2 sigma sigma_dot, the rate at which the variance of the noise falls."""
        return -2 * self.schedule.sigma(t) * self.schedule.sigma_dot(t)

    def noise_width(self, t: Tensor) -> Tensor:
        """Return sigma."""
        return self.schedule.sigma(t)

    def convert(
        self, value: Tensor, known: Parametrization, asked: Parametrization, x: Tensor, t: Time
    ) -> Tensor:
        """Turn one parametrization into another: each is affine in any other, given (x, t)."""
        return convert(value, (known, asked), self.schedule, x, t)

    def log_density(self, x: Tensor, t: Time, z: Tensor) -> Tensor:
        """Return log p_t(x | z) in nats, summed over an event; `x` and `z` broadcast.

        Elements at t = 1 are known: they count 0 where they are those of z, else minus infinity.
        """
        self.check_source("a density on the Gaussian path")
        t = expand_time(t, x)
        mean, sigma = self.schedule.alpha(t) * z, self.schedule.sigma(t)
        density = -0.5 * ((x - mean) / sigma) ** 2 - sigma.log() - 0.5 * math.log(2 * math.pi)
        density = torch.where(sigma > 0, density, torch.where(x == mean, 0.0, -torch.inf))
        return density.flatten(-self.space.event_dim).sum(-1)
