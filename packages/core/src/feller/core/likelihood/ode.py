r"""The log-density of a flow, by its ordinary differential equation.

Along a flow :math:`\dot x = u_t(x)` the log-density falls by the divergence, so

.. math:: \log p_1(x_1) = \log p_0(x_0) - \int_0^1 \nabla \cdot u_t(x_t) \, dt,

with the path from x_1 back to x_0. Source: Chen et al., arXiv 1806.07366, theorem 1.

On a manifold densities are per volume, in the unit of the source's, and the divergence is the
Riemannian one: the trace of the derivative of the velocity along tangent vectors (Mathieu and
Nickel, arXiv 2006.10605). A flow is followed in the space around the manifold, with its velocity at
the nearest point: no such solution leaves the manifold, so every solver keeps its order.

A superposition follows one marginal path with all its parts, so a model that has a flow among them
has the distribution of that flow alone: its probability-flow ODE. What stands beside it, a
diffusion, Langevin motion, a jump, moves samples within that distribution and does not change it,
as far as the model is exact; of a trained model this is the likelihood of its flow.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from feller.core.checks import check_no_gradient
from feller.core.generators import Flow, Generator
from feller.core.generators.base import is_kind
from feller.core.generators.parts import check_parts
from feller.core.generators.shapes import check_shapes
from feller.core.heads import Kinds
from feller.core.likelihood.trace import Estimator, ExactTrace, Trace
from feller.core.models import Model
from feller.core.solvers import Dopri5, Simulation, Solver, simulate
from feller.core.spaces import Euclidean, StateSpace
from feller.core.typing import Time

__all__ = ["LogLikelihood", "log_likelihood", "probability_flow"]


@dataclass(frozen=True)
class LogLikelihood:
    """Log-densities, with their errors and network calls.

    Attributes:
        nats: The log-density of each sample.
        error: The standard error over the probes of an estimated trace, nan for a single probe;
            None if the trace is exact. It does not include the error of the solver.
        nfe: Network calls per sample; each is followed by a backward pass per direction.
        x_0: The source samples that the data map back to, `(b, *event)`, in the space of the model.
    """

    nats: Float[Tensor, " b"]
    error: Float[Tensor, " b"] | None
    nfe: int
    x_0: Tensor


def log_likelihood(
    model: Model,
    x_1: Tensor,
    *,
    times: Sequence[float] | Tensor = (0.0, 1 - 1e-5),
    solver: Solver | None = None,
    trace: Trace | None = None,
    condition: Any = None,
) -> LogLikelihood:
    """Return the log-density of the model's flow, in nats; on a manifold, per volume.

    It is the density, at the last of the times, of a simulation that starts at the source at the
    first. Most models divide by zero at t = 1, so the times end a little before.

    Args:
        model: A model with a flow among its parts, on Euclidean space, a sphere, a torus or another
            manifold, with a `path`.
        x_1: Samples `(b, *event)`.
        times: The grid, rising. A solver with steps of its own needs no more than its ends.
        solver: Any solver of flows; `Dopri5()` if None. `WithGradient` around it gives a gradient,
            for training by maximum likelihood.
        trace: `ExactTrace()` if None, for few dimensions; `HutchinsonTrace(rng)` for many.
        condition: Passed to the model.

    Raises:
        ValueError: When the model has no flow, is not on a manifold or has no path, the
            samples are not of its space, the flow is not finite on the way or has not the shape of
            the samples, or a gradient is asked for: only `WithGradient` gives one.

    Example:
        >>> from feller.core.paths import GaussianPath
        >>> from feller.core.posteriors import NormalMixture
        >>> one = torch.ones(1)
        >>> model = NormalMixture(GaussianPath(), one[:, None], one, one)
        >>> found = log_likelihood(model, one[:, None])
        >>> bool((found.nats + 0.5 * math.log(2 * math.pi)).abs() < 1e-3)
        True

        On the sphere a flow that does not move keeps the uniform density, 1 / (4 pi).

        >>> from feller.core.models import GeneratorModel
        >>> from feller.core.paths import GeodesicPath
        >>> from feller.core.sources import UniformSphere
        >>> from feller.core.spaces import Sphere
        >>> path = GeodesicPath(Sphere(), UniformSphere())
        >>> model = GeneratorModel(lambda x, t, condition: 0 * x, path)
        >>> log_likelihood(model, torch.tensor([[0.0, 0.0, 1.0]])).nats.exp()
        tensor([0.0796])
    """
    solver = Dopri5() if solver is None else solver
    if not solver.gives_gradient:
        check_no_gradient("log_likelihood", x_1=x_1, model=model, condition=condition)
    _check(model, x_1)
    x_1 = x_1.to(torch.promote_types(x_1.dtype, torch.float32))
    trace = ExactTrace() if trace is None else trace
    reversed_ = _Reversed(model, x_1.shape[1:], trace.prepare(x_1))
    start = torch.cat([x_1.flatten(1), x_1.new_zeros(len(x_1), trace.columns)], 1)
    end = _back(reversed_, start, times, solver, condition)
    if not bool(end.state.isfinite().all()):
        raise ValueError("the flow is not finite on the way: end the times further before t = 1")
    around, growth = reversed_.unpack(end.state)
    x_0 = reversed_.manifold.project(around)
    source: Any = model.path.source
    level = source.log_density(x_0)[:, None].flatten(1).sum(1)  # a state may be one element
    error = None if trace.is_exact else _standard_error(growth)
    return LogLikelihood(level - growth.mean(1), error, end.nfe, x_0)


def probability_flow(generator: Generator) -> Tensor:
    """Return the velocity of the flow that has the marginal distribution of a generator.

    Of a superposition it is the mean of its forward flows by their weights.

    Raises:
        ValueError: When there is no flow in it, or the flows have no weight.

    Example:
        >>> flow = Flow(torch.ones(1, 1))
        >>> probability_flow(0.25 * flow + 0.25 * flow)
        tensor([[1.]])
    """
    flows: list[Any] = [
        (part.weight, part.generator.split().drift)
        for part in generator.leaves()
        if part.role == "forward" and is_kind(type(part.generator), [Flow])
    ]
    if not flows:
        raise ValueError(f"a {type(generator).__name__} without a flow has no probability flow")
    if len(flows) == 1:
        return flows[0][1]
    total: Any = sum(weight for weight, _ in flows)
    if not bool((torch.as_tensor(total) > 0).all()):
        raise ValueError("the flows of a superposition have no weight together: none is followed")
    first, *others = (weight * velocity for weight, velocity in flows)
    return sum(others, start=first) / total


class _AtDataError(ValueError):
    """Of the model at the data: its time is not that of the way back."""


@dataclass(frozen=True)
class _Reversed(Model):
    """A model whose time runs back from the data, with the integral of its divergence as state.

    States are `(b, d + columns)`: the numbers of x, then an integral for each estimate of the
    trace. The numbers are of the space around a manifold.
    """

    model: Model
    event: torch.Size
    estimate: Estimator
    kinds: ClassVar[Kinds] = frozenset({Flow})
    path: ClassVar[None] = None
    space: ClassVar[StateSpace] = Euclidean(1)  # pyright: ignore[reportIncompatibleMethodOverride]

    @property
    def manifold(self) -> Any:
        return self.model.space

    def __call__(self, x: Tensor, t: Time, condition: Any = None) -> Flow:
        manifold, point = self.manifold, self.manifold.project(self.unpack(x)[0])

        def velocity(near: Tensor) -> Tensor:
            # Of what leads off the manifold there is no derivative, so it adds none to the trace.
            x = point + manifold.project_tangent(point, near - point)
            generator = self.model(x, 1 - t, condition)
            check_shapes(generator, self.model.space, x)
            check_parts(generator.leaves())
            return probability_flow(generator)

        value, growth = self.estimate(velocity, point)
        if t == 0 and not bool(value.isfinite().all()):
            raise _AtDataError("the velocity is not finite at t = 1: end the times before")
        return Flow(torch.cat([-value.flatten(1), growth], 1))

    def unpack(self, state: Tensor) -> tuple[Tensor, Float[Tensor, "b k"]]:
        d = self.event.numel()
        return state[:, :d].unflatten(1, self.event), state[:, d:]

    def network_calls(self, t: Time, condition: Any = None) -> int:
        return self.model.network_calls(1 - t, condition)


def _back(
    model: _Reversed, start: Tensor, times: Sequence[float] | Tensor, solver: Solver, condition: Any
) -> Simulation:
    """Simulate from the data to the source; errors of a time say that it runs back."""
    clocks = _turned(times)
    try:  # steps of the solver's own end at the first of the times
        return simulate(model, start, clocks, solver.until(clocks[-1]), condition=condition)
    except _AtDataError:
        raise
    except ValueError as error:
        if "at t = " not in str(error):
            raise
        raise ValueError(f"on the way back from the data, where t is 1 - t: {error}") from error


def _turned(times: Sequence[float] | Tensor) -> list[float]:
    """Return the times since the data: 1 - t, backward.

    Solvers take a time of exactly 1 for the singular end of a path; here it is the source, which is
    not singular, so it is set one bit before.
    """
    clocks = torch.as_tensor(times, dtype=torch.float64)
    if clocks.ndim != 1:
        raise ValueError(f"times are one clock for all, not of shape {tuple(clocks.shape)}")
    if len(clocks) < 2 or not bool((clocks.diff() > 0).all()):
        raise ValueError(f"times are at least two and strictly rise, not {clocks.tolist()[:5]}")
    if clocks[0] < 0 or clocks[-1] > 1:
        raise ValueError(f"times lie in [0, 1], not {float(clocks[0])} ... {float(clocks[-1])}")
    return [min(1 - t, math.nextafter(1, 0)) for t in reversed(clocks.tolist())]


def _standard_error(estimates: Float[Tensor, "b k"]) -> Float[Tensor, " b"]:
    count = estimates.shape[1]
    if count == 1:
        return torch.full_like(estimates[:, 0], torch.nan)
    return estimates.std(1) / math.sqrt(count)


def _check(model: Model, x_1: Tensor) -> None:
    space, name = model.space, type(model).__name__
    if getattr(space, "is_discrete", False):
        raise ValueError(f"{space} is discrete and has no density: use evidence_bound")
    if not getattr(space, "is_manifold", False):
        raise ValueError(f"log_likelihood is of flows on a manifold, not on {space}")
    if not any(is_kind(kind, [Flow]) for kind in model.kinds):
        kinds = ", ".join(sorted(kind.__name__ for kind in model.kinds))
        raise ValueError(f"{name} returns {kinds} and no flow: use evidence_bound")
    if model.path is None:
        raise ValueError(f"{name} has no path to say what its source is")
    space.check(x_1)
    if x_1.ndim != space.event_dim + 1:
        raise ValueError(f"x_1 is (b, *event) of {space}, not {tuple(x_1.shape)}")
