"""How far drawn images are from real ones, in the eyes of one feature network."""

from dataclasses import dataclass

from jaxtyping import Float, UInt8
from torch import Tensor

from feller.core.cards import Metric
from feller.core.intervals import Estimate
from feller.images.metrics.features import FeatureNetwork
from feller.images.metrics.frechet import (
    frechet_distance,
    frechet_estimate,
    images_needed,
    unbiased_frechet,
)
from feller.images.metrics.kid import kernel_distance
from feller.images.metrics.neighbours import neighbours
from feller.images.metrics.splits import some_of

__all__ = ["Distances", "metric"]

Images = UInt8[Tensor, "n h w c"]
NEAREST = 5


def metric(name: str, estimate: Estimate, protocol: str) -> Metric:
    """Return a figure with its interval and how it was measured."""
    return Metric(name=name, **estimate._asdict(), protocol=protocol)


@dataclass(frozen=True)
class Distances:
    """Distances to real images.

    Attributes:
        network: What images are compared by.
        words: What it is, for protocols.
        real: The features of the test images.
        same: Those of training images, as many as are drawn: what a perfect model would have.
    """

    network: FeatureNetwork
    words: str
    real: Float[Tensor, "m d"]
    same: Float[Tensor, "k d"]

    def of(self, images: Images, how: str, suffix: str = "") -> list[Metric]:
        """Return KID, FID, precision, recall, density and coverage.

        The Fréchet distance is too high by what the training images say; without that bias it is
        the next figure, where images are enough to extrapolate it. Balls of nearest
        neighbours are of equally many images of each set.

        Args:
            images: The drawn images.
            how: How they were drawn.
            suffix: What the names of the figures end in.
        """
        seen = self.network.embed(images)
        alike = f"{how}; {self.words}; to these, where {len(self.same)} training images have"
        own = kernel_distance(self.same, self.real)
        found = [metric(f"KID{suffix}", kernel_distance(seen, self.real), f"{alike} {own}")]
        floor = f"{alike} {frechet_distance(self.same, self.real):.4g}, the bias at this n"
        found.append(metric(f"FID{suffix}", frechet_estimate(seen, self.real), floor))
        found += self._unbiased(seen, how, suffix)
        n = min(map(len, (seen, self.same, self.real)))
        if n <= NEAREST:
            return found
        drawn, same, real = (some_of(x, n, 0) for x in (seen, self.same, self.real))
        balls = neighbours(drawn, same, k=NEAREST)
        usual = neighbours(real, same, k=NEAREST)
        protocol = f"{how}; {self.words}; {NEAREST} neighbours among {n} training images"
        return found + [
            metric(
                f"{name}{suffix}",
                balls._asdict()[name],
                f"{protocol}, where test images have {usual._asdict()[name].value:.4g}",
            )
            for name in balls._fields
        ]

    def _unbiased(self, seen: Float[Tensor, "n d"], how: str, suffix: str) -> list[Metric]:
        """Return the Fréchet distance without its bias, where images are enough."""
        if min(map(len, (seen, self.same, self.real))) < images_needed(seen.shape[1]):
            return []
        usual = unbiased_frechet(self.same, self.real)
        protocol = (
            f"{how}; {self.words}; extrapolated to infinitely many images, where "
            f"{len(self.same)} training images have {usual}"
        )
        return [metric(f"FID infinity{suffix}", unbiased_frechet(seen, self.real), protocol)]
