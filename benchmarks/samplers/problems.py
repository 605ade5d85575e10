"""Small data whose posterior is known in closed form: what a perfect network would answer.

Each problem answers every convention from one posterior, counts how often it is asked, and says
which data point a sample is.
"""

import itertools
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

__all__ = ["Manifolds", "Points", "Problem", "Sequences"]


class Problem:
    """Finitely many data points with probabilities.

    Attributes:
        weights: The probability of each data point, float64.
        calls: How often the posterior was asked.
    """

    weights: Tensor
    calls = 0

    def exact(self, samples: int, steps: int) -> Tensor:
        """Draw data points from their distribution: what no solver can do better."""
        return self.states()[torch.multinomial(self.weights, samples, replacement=True)]

    def states(self) -> Tensor:
        """Return the data points, `(k, *event)`."""
        raise AssertionError("a problem has data points")

    def read(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return which data point is nearest to each sample, and how far; k is none."""
        raise AssertionError("a problem reads samples")


class Points(Problem):
    """Ten points in the plane of mean 0 and variance 1, behind Gaussian noise.

    The state is x = alpha z + sigma e with e standard normal.
    """

    def __init__(self) -> None:
        rng = torch.Generator().manual_seed(5)
        points = torch.randn(10, 2, generator=rng, dtype=torch.float64)
        weights = torch.rand(10, generator=rng, dtype=torch.float64) + 0.2
        self.weights = weights / weights.sum()
        points = points - self.weights @ points
        self.points = points / (self.weights @ points.square()).sqrt()

    def states(self) -> Tensor:
        """Return the points."""
        return self.points.float()

    def read(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the nearest point of each sample, and how far it is."""
        distance, index = torch.cdist(x.reshape(len(x), 2).double(), self.points).min(1)
        lost = ~distance.isfinite()
        return index.masked_fill(lost, len(self.points)), distance.masked_fill(lost, torch.inf)

    def mean(self, x: Tensor, alpha: Any, sigma: Any) -> Tensor:
        """Return the mean of the data given x = alpha z + sigma e, in the shape and type of x."""
        self.calls += 1
        flat = x.detach().reshape(len(x), 2).double()
        alpha, sigma = (_column(number, len(x)) for number in (alpha, sigma))
        ratio = alpha / sigma.clamp_min(1e-12).square()
        # log N(x; alpha z, sigma) up to what is the same for all z
        fit = torch.addmm(self.weights.log(), flat * ratio, self.points.T)
        fit = fit - (ratio * alpha / 2) * self.points.square().sum(1)
        posterior = (fit - fit.amax(1, keepdim=True)).float().softmax(1)
        return (posterior @ self.points.float()).reshape(x.shape).to(x.dtype)

    def noise(self, x: Tensor, alpha: Any, sigma: Any) -> Tensor:
        """Return the mean of e given x."""
        return (x - _like(alpha, x) * self.mean(x, alpha, sigma)) / _like(sigma, x)

    def velocity(self, x: Tensor, t: Any) -> Tensor:
        """Return the mean of z - e given x = t z + (1 - t) e.

        At t = 1 that is z, the nearest data point: x says nothing of e any more, whose mean is 0.
        """
        t = torch.as_tensor(t, dtype=torch.float64)
        if float(t.max()) > 1 - 1e-6:
            return self.mean(x, 1.0, 1e-6)
        return (self.mean(x, t, 1 - t) - x) / _like(1 - t, x)

    def score(self, x: Tensor, alpha: Any, sigma: Any) -> Tensor:
        """Return the gradient of log p(x)."""
        return -self.noise(x, alpha, sigma) / _like(sigma, x)


class Sequences(Problem):
    """Sequences of three tokens out of four, dependent on each other, behind a mask or noise.

    A token of the state is the data's with probability kappa, else a draw of the source: the mask,
    which is id 4, or any of the four alike.
    """

    length, tokens, mask = 3, 4, 4

    def __init__(self) -> None:
        rng = torch.Generator().manual_seed(2)
        ids = range(self.tokens)
        self.sequences = torch.tensor(list(itertools.product(ids, repeat=self.length)))
        weights = torch.rand(len(self.sequences), generator=rng, dtype=torch.float64) ** 4
        self.weights = weights / weights.sum()

    def states(self) -> Tensor:
        """Return all sequences."""
        return self.sequences

    def read(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the index of each sequence; the distance is how many tokens are none."""
        none = (x < 0) | (x >= self.tokens)
        base = self.tokens ** torch.arange(self.length).flip(0)
        index = (x.clamp(0, self.tokens - 1) * base).sum(1)
        return index.masked_fill(none.any(1), len(self.weights)), none.sum(1).double()

    def posterior(self, x: Tensor, kappa: float = 0.0, source: str = "mask") -> Tensor:
        """Return the probability of each token at each position given x, `(b, 3, 4)`, float64.

        With the mask source it does not depend on kappa.
        """
        self.calls += 1
        base = (self.tokens + 1) ** torch.arange(self.length).flip(0)
        return self.table(kappa, source)[(x * base).sum(1)]

    @lru_cache(maxsize=1024)  # noqa: B019  (a problem lives as long as the run)
    def table(self, kappa: float, source: str) -> Tensor:
        """Return the posterior of every state, `(125, 3, 4)`."""
        size = self.tokens + 1
        states = torch.tensor(list(itertools.product(range(size), repeat=self.length)))
        same = states[:, None] == self.sequences  # state, sequence, position
        if source == "mask":
            fits = (same | (states == self.mask)[:, None]).double()
        else:
            fits = kappa * same.double() + (1 - kappa) / self.tokens
        joint = fits.prod(-1) * self.weights
        joint = joint / joint.sum(1, keepdim=True).clamp_min(1e-300)
        shown = torch.nn.functional.one_hot(self.sequences, self.tokens).double()
        return torch.einsum("sk,klv->slv", joint, shown)

    def logits(self, x: Tensor, kappa: float = 0.0, source: str = "mask") -> Tensor:
        """Return the log of the posterior, at least -1e4, float32."""
        return self.posterior(x, kappa, source).log().clamp_min(-1e4).float()


class Manifolds(Problem):
    """Six points on the sphere or the torus, reached along geodesics from the uniform source.

    Attributes:
        flow: feller's exact velocity at (x, t).
    """

    def __init__(
        self, points: Tensor, flow: Callable[[Tensor, float], Tensor], torus: bool
    ) -> None:
        weights = torch.tensor([0.3, 0.1, 0.2, 0.05, 0.2, 0.15], dtype=torch.float64)
        self.points, self.weights, self.flow, self.torus = points, weights, flow, torus

    def states(self) -> Tensor:
        """Return the points."""
        return self.points

    def velocity(self, x: Tensor, t: Any) -> Tensor:
        """Return the mean velocity; at t = 1 that is 0: the data are reached from all sides."""
        self.calls += 1
        time = float(torch.as_tensor(t).flatten()[0])
        return self.flow(x, time) if time < 1 - 1e-6 else torch.zeros_like(x)

    def read(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the nearest point, and how far it is."""
        gap = x[:, None].double() - self.points.double()
        if self.torus:
            gap = torch.remainder(gap + torch.pi, 2 * torch.pi) - torch.pi
        distance, index = gap.norm(dim=-1).min(1)
        lost = ~distance.isfinite()
        return index.masked_fill(lost, len(self.points)), distance.masked_fill(lost, torch.inf)


def _column(number: Any, rows: int) -> Tensor:
    number = torch.as_tensor(number, dtype=torch.float64).flatten()
    return number[:, None] if len(number) == rows else number[:1, None]


def _like(number: Any, x: Tensor) -> Tensor:
    """Return a number, or one a row, so that it broadcasts against x."""
    column = _column(number, len(x))
    return column.reshape(-1, *[1] * (x.ndim - 1)).to(x.dtype)
