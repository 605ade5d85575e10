"""feller's own solvers, by the names of its command line."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from problems import Manifolds, Points, Sequences
from sampler import Sampler
from torch import Tensor

from feller.core.discrete.models import Ids, TokenModel
from feller.core.discrete.parametrizations import TokenParametrization
from feller.core.discrete.solvers import Adaptive as ByCertainty
from feller.core.discrete.solvers import (
    Ancestral,
    FirstHitting,
    Leap,
    PredictorCorrector,
    Remasking,
    TokenSolver,
)
from feller.core.generators import Diffusion, Flow, Generator, Jump
from feller.core.grids import logarithmic_grid, uniform_grid
from feller.core.models import Model
from feller.core.paths import GaussianPath, GeodesicPath, MixturePath
from feller.core.posteriors import FiniteData
from feller.core.schedules import CondOT, VariancePreserving
from feller.core.solutions import solution
from feller.core.solvers import named_solver, simulate
from feller.core.sources import Masked, UniformBox, UniformSphere, UniformTokens
from feller.core.spaces import Sphere, Tokens, Torus

__all__ = ["manifolds", "samplers"]

SETTINGS = (
    # solver, kind of generator, schedule, grid
    ("euler", Flow, CondOT(), uniform_grid),
    ("midpoint", Flow, CondOT(), uniform_grid),
    ("heun", Flow, CondOT(), uniform_grid),
    ("rk4", Flow, CondOT(), uniform_grid),
    ("ddim", Flow, VariancePreserving(), uniform_grid),
    ("ddpm", Flow, VariancePreserving(), uniform_grid),
    ("dpm++", Flow, VariancePreserving(), uniform_grid),
    ("euler_maruyama", Diffusion, CondOT(), logarithmic_grid),
    ("stochastic_heun", Diffusion, CondOT(), logarithmic_grid),
    ("euler", Jump, CondOT(), logarithmic_grid),
)


@dataclass(frozen=True)
class Counted(Model):
    """A model whose calls a problem counts."""

    model: Any
    problem: Any

    def __getattr__(self, name: str) -> Any:
        return getattr(self.model, name)

    @property
    def path(self) -> Any:
        """The path of the model."""
        return self.model.path

    @property
    def kinds(self) -> Any:
        """The kinds of generator of the model."""
        return self.model.kinds

    def __call__(self, x: Any, t: Any, condition: None = None) -> Any:
        """Return the generator, and count."""
        self.problem.calls += 1
        return self.model(x, t)


@dataclass(frozen=True)
class PlaneModel(Model):
    """The exact flow, or diffusion, of the points of the plane."""

    problem: Points
    path: GaussianPath
    kind: type[Generator]

    @property
    def kinds(self) -> Any:
        """The kind of generator."""
        return frozenset({self.kind})

    def __call__(self, x: Tensor, t: Any, condition: None = None) -> Generator:
        """Return the generator, which is affine in the data."""
        time = torch.as_tensor(t, dtype=torch.float64)
        alpha, sigma = self.path.schedule.alpha(time), self.path.schedule.sigma(time)
        mean = self.problem.mean(x, alpha, sigma)
        return solution(self.path, self.kind)(self.path, x, t, mean)


@dataclass
class SequenceModel(TokenModel):
    """The exact posterior of the sequences as a token model."""

    problem: Sequences
    source: str
    path: MixturePath = field(init=False)
    vocabulary: Ids = field(init=False)
    parametrization: TokenParametrization = "posterior"

    def __post_init__(self) -> None:
        """Choose the path."""
        masked, size = self.source == "mask", self.problem.tokens
        source = Masked(size) if masked else UniformTokens(size)
        self.path = MixturePath(Tokens(size + masked), source)
        self.vocabulary = Ids(size + masked, size, size if masked else None)

    def logits(
        self, x: Tensor, kappa: Any, condition: Any = None, *, where: Tensor | None = None
    ) -> Tensor:
        """Return the log of the posterior; the rows share one kappa."""
        level = float(torch.as_tensor(kappa).flatten()[0]) if self.source != "mask" else 0.0
        found = self.problem.posterior(x, level, self.source).log()
        return found if where is None else found[where]


def samplers() -> Iterator[Sampler]:
    """Yield every solver with each kind of generator that it takes."""
    yield from point_samplers()
    yield from token_samplers()
    for problem, model in manifolds():
        where = "torus" if problem.torus else "sphere"
        for name in ("euler", "midpoint", "rk4"):
            draw = partial(_simulate, Counted(model, problem), problem, name, uniform_grid)
            yield Sampler("feller-core", f"{name}, flow, {where}", problem, draw, most=2048)


def point_samplers() -> Iterator[Sampler]:
    """Yield the solvers on points of the plane."""
    problem = Points()
    points, weights = problem.points.float(), problem.weights.float()
    for name, kind, schedule, grid in SETTINGS:
        path = GaussianPath(schedule=schedule)
        model = PlaneModel(problem, path, kind)
        if kind is Jump:
            model = Counted(FiniteData(path, kind, points, weights), problem)
        draw = partial(_simulate, model, problem, name, grid)
        yield Sampler("feller-core", f"{name}, {kind.__name__.lower()}", problem, draw)
    flow, jump = (FiniteData(GaussianPath(), kind, points, weights) for kind in (Flow, Jump))
    half = Counted(0.5 * flow + 0.5 * jump, problem)
    draw = partial(_simulate, half, problem, "euler", logarithmic_grid)
    yield Sampler("feller-core", "euler, half flow and half jump", problem, draw)
    plane = PlaneModel(problem, GaussianPath(), Flow)
    adaptive = partial(_simulate, plane, problem, "dopri5", _ends)
    yield Sampler("feller-core", "dopri5, flow", problem, adaptive)


def token_samplers() -> Iterator[Sampler]:
    """Yield the solvers of tokens."""
    problem = Sequences()
    chains: dict[str, Callable[[], TokenSolver]] = {
        "leap": Leap,
        "ancestral": Ancestral,
        "corrected": lambda: PredictorCorrector(Leap()),
    }
    for source in ("mask", "uniform"):
        for name, build in chains.items():
            draw = partial(_reveal, SequenceModel(problem, source), build, uniform_grid)
            yield Sampler("feller-core", f"{name}, {source}", problem, draw)
    masked = SequenceModel(problem, "mask")
    draw = partial(_reveal, masked, Remasking, uniform_grid)
    yield Sampler("feller-core", "remask, mask", problem, draw)
    orders: dict[str, Callable[[], TokenSolver]] = {
        "events": FirstHitting,
        "confidence": lambda: ByCertainty("confidence"),
        "margin": lambda: ByCertainty("margin"),
        "entropy": lambda: ByCertainty("entropy"),
    }
    for name, build in orders.items():
        draw = partial(_reveal, masked, build, None)
        yield Sampler("feller-core", f"{name}, mask", problem, draw)


def manifolds() -> Iterator[tuple[Manifolds, FiniteData]]:
    """Yield the problems on the sphere and the torus, with their exact models."""
    rng = torch.Generator().manual_seed(1)
    on_sphere = torch.nn.functional.normalize(torch.randn(6, 3, generator=rng), dim=-1)
    on_torus = (torch.rand(6, 2, generator=rng) * 2 - 1) * torch.pi
    sphere = GeodesicPath(Sphere(), UniformSphere())
    torus = GeodesicPath(Torus(), UniformBox(-torch.pi, torch.pi))
    for path, points in ((sphere, on_sphere), (torus, on_torus)):
        problem = Manifolds(points, lambda x, t: x, path is torus)
        model = FiniteData(path, Flow, points, problem.weights.float())
        problem.flow = partial(_velocity, model)
        yield problem, model


def _velocity(model: FiniteData, x: Tensor, t: float) -> Tensor:
    return model(x, t).velocity


def _ends(steps: int) -> Tensor:
    return torch.tensor([0.0, 0.9999])


def _simulate(
    model: Model,
    problem: Any,
    name: str,
    grid: Callable[[int], Tensor],
    samples: int,
    steps: int,
) -> Tensor:
    x_0 = model.path.sample_source((samples, *problem.states().shape[1:]), None)
    return simulate(model, x_0, grid(steps), named_solver(name)).state


def _reveal(
    model: TokenModel,
    build: Callable[[], TokenSolver],
    grid: Callable[[int], Tensor] | None,
    samples: int,
    steps: int,
) -> Tensor:
    x_0 = model.path.sample_source((samples, Sequences.length), None)
    return simulate(model, x_0, None if grid is None else grid(steps), build()).state
