"""Exact posteriors p(z | x_t): marginal generators with no network.

For data that are finitely many points, or a mixture of normals, the posterior has a closed form,
and with it every marginal generator (Generator Matching, arXiv 2410.20587, proposition 1). A solver
driven by one of these models must return the distribution of the data: they are the ground truth
of every test.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from feller.core.algebra import Model
from feller.core.checks import check_times, readable
from feller.core.generators import Flow, Generator, Product
from feller.core.pairs import Pair
from feller.core.paths import GaussianPath, ProductPath
from feller.core.solutions import solution
from feller.core.spaces import StateSpace
from feller.core.times import expand_time, factor_times
from feller.core.typing import Time

__all__ = ["FiniteData", "FiniteProductData", "NormalMixture"]


@dataclass(frozen=True)
class FiniteData(Model):
    """The marginal generator for data that are finitely many points, or pairs.

    Attributes:
        path: A path with a `log_density`.
        kind: The kind of generator.
        points: The data, `(k, *event)`; on a bridge a `Pair` of source samples and data.
        weights: Their probabilities, `(k,)`; uniform if None.
        backward: Whether the generator solves the KFE of reversed time, for correctors.
        width: On a mixture path of continuous data, which has an atom at each data value, a state
            within half of this of a value counts as at it: the posterior is that of cells. A
            process that only approaches the data, a diffusion, needs cells as wide as its last
            steps; if the data are levels with this spacing, the posterior is exact.

    Example:
        >>> model = FiniteData(GaussianPath(), Flow, torch.tensor([[-2.0], [2.0]]))
        >>> model(torch.zeros(1, 1), 0.5).velocity
        tensor([[0.]])
    """

    path: Any
    kind: type[Generator]
    points: Tensor | Pair
    weights: Float[Tensor, " k"] | None = None
    backward: bool = False
    width: float = 1e-5

    def __post_init__(self) -> None:
        """Check that points have a leading axis, and weights their number."""
        _check_points(self.points, self.weights, self.path.space)

    @property
    def kinds(self) -> frozenset[type[Generator]]:
        """The kinds of generator the model returns."""
        return frozenset({self.kind})

    def posterior(self, x: Tensor, t: Time) -> Float[Tensor, "b k"]:
        """Return the probability of each data point given x_t."""
        likelihood = _log_likelihood(self.path, x, t, self.points, self.width)
        return _posterior(likelihood, self.weights)

    def __call__(self, x: Tensor, t: Time, condition: None = None) -> Generator:
        """Return the posterior mean of the conditional generators."""
        posterior = self.posterior(x, t)
        if self.path.has_atoms:
            x = _snap(x, self.points, self.width, self.space)
        conditional = solution(self.path, self.kind, backward=self.backward)
        each = conditional(self.path, x[:, None], _beside_points(t), self.points[None])
        return each.average(posterior)


@dataclass(frozen=True)
class FiniteProductData(Model):
    """The marginal generator for data that are finitely many points of a product space.

    Every factor's generator sees all factors: they share one posterior.

    Attributes:
        path: A product of paths with a `log_density` each.
        kind_of: The kind of generator of each factor.
        points: The data, a dict of `(k, *event)`.
        weights: Their probabilities, `(k,)`; uniform by default.
    """

    path: ProductPath
    kind_of: Mapping[str, type[Generator]]
    points: Mapping[str, Tensor]
    weights: Float[Tensor, " k"] | None = None
    kinds: ClassVar[frozenset[type[Generator]]] = frozenset({Product})

    def __post_init__(self) -> None:
        """Check that points have a leading axis, and weights their number."""
        for name, path in self.path.factors.items():
            _check_points(self.points[name], self.weights, path.space)

    def posterior(self, x: Mapping[str, Tensor], t: Any) -> Float[Tensor, "b k"]:
        """Return the probability of each data point given all factors of x_t."""
        clocks = factor_times(t, x)
        likelihoods = [
            _log_likelihood(path, x[name], clocks[name], self.points[name])
            for name, path in self.path.factors.items()
        ]
        return _posterior(torch.stack(likelihoods).sum(0), self.weights)

    def __call__(self, x: Mapping[str, Tensor], t: Any, condition: None = None) -> Product:
        """Return the posterior mean of the conditional generators, factor by factor."""
        clocks = factor_times(t, x)
        each = {
            name: solution(path, self.kind_of[name])(
                path, x[name][:, None], _beside_points(clocks[name]), self.points[name][None]
            )
            for name, path in self.path.factors.items()
        }
        return Product(each).average(self.posterior(x, t))


def _check_points(points: Any, weights: Tensor | None, space: StateSpace) -> None:
    if points.ndim <= space.event_dim:
        raise ValueError(f"points are (k, *event) on {space}, not of shape {tuple(points.shape)}")
    if not len(points):
        raise ValueError("there is no point: no data have no distribution")
    if weights is None:
        return
    if weights.shape != (len(points),):
        raise ValueError(f"{len(points)} points have a weight each, not {tuple(weights.shape)}")
    if readable(weights) and not bool((weights >= 0).all()):
        raise ValueError(f"weights are at least 0, not {float(weights.min()):.3g}")


def _log_likelihood(
    path: Any, x: Tensor, t: Time, points: Any, width: float = 1e-5
) -> Float[Tensor, "b k"]:
    """Return log p_t(x | z) of each data point, summed over the elements of a state."""
    check_times(t)
    if x.shape[1:] != points.shape[1:]:
        raise ValueError(
            f"a state is {tuple(x.shape[1:])}, where a data point is {tuple(points.shape[1:])}"
        )
    beside = (x[:, None], _beside_points(t), points[None])
    log_density = path.log_mass(*beside, width) if path.has_atoms else path.log_density(*beside)
    axes = tuple(range(2, log_density.ndim))  # a path of elements gives a density of each
    return log_density.sum(axes) if axes else log_density


def _posterior(log_likelihood: Tensor, weights: Tensor | None) -> Float[Tensor, "b k"]:
    """Return the probabilities of data points from their likelihoods and their weights.

    Where no data point explains a state, as after a solver's error, the likelihood says nothing.
    """
    lost = (log_likelihood == -torch.inf).all(1, keepdim=True)
    log_likelihood = log_likelihood.masked_fill(lost, 0.0)
    return (log_likelihood if weights is None else log_likelihood + weights.log()).softmax(1)


def _snap(x: Tensor, points: Any, width: float, space: StateSpace) -> Tensor:
    """Move each number within half a width of a data value of its element to that value."""
    if space.is_discrete or space.element_dim:
        return x
    gap, nearest = (x[:, None] - points).abs().min(1)
    values = points.expand(len(x), *points.shape).gather(1, nearest[:, None])[:, 0]
    return torch.where(gap <= width / 2, values, x)


def _beside_points(t: Time) -> Time:
    """Return a time with an axis for the data points after that of the batch."""
    return t[:, None] if isinstance(t, Tensor) and t.ndim else t


@dataclass(frozen=True)
class NormalMixture(Model):
    """The marginal flow for data that are a mixture of isotropic normals, on the Gaussian path.

    Attributes:
        path: The Gaussian path, with vectors as states.
        means: The centres, `(k, d)`.
        stds: The standard deviations, `(k,)`.
        weights: The probabilities, `(k,)`.
    """

    path: GaussianPath
    means: Float[Tensor, "k d"]
    stds: Float[Tensor, " k"]
    weights: Float[Tensor, " k"]
    kinds: frozenset[type[Generator]] = frozenset({Flow})

    def __post_init__(self) -> None:
        """Reject a path from a source that is not Gaussian."""
        self.path.check_source("a mixture of normals")

    def x_1(self, x: Float[Tensor, "b d"], t: Time) -> Float[Tensor, "b d"]:
        """Return the posterior mean of the data given x_t."""
        check_times(t)
        t = expand_time(t, x).expand_as(x)[:, None]
        alpha, sigma = self.path.schedule.alpha(t), self.path.schedule.sigma(t)
        variances = self.stds[:, None] ** 2
        variance = alpha**2 * variances + sigma**2
        residual = x[:, None] - alpha * self.means
        squares = (residual**2 / variance + variance.log()).sum(-1)
        posterior = (self.weights.log() - 0.5 * squares).softmax(1)
        gain = alpha * variances / variance
        return torch.einsum("bk,bkd->bd", posterior, self.means + gain * residual)

    def __call__(self, x: Tensor, t: Time, condition: None = None) -> Flow:
        """Return the marginal flow: the conditional velocity is affine in the data."""
        conditional: Callable[..., Any] = solution(self.path, Flow)
        return conditional(self.path, x, t, self.x_1(x, t))
