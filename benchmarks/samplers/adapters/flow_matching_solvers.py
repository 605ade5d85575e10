"""flow_matching's three solvers. Time runs from 0 (noise) to 1 (data); a model is called (x, t)."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from flow_matching.path import MixtureDiscreteProbPath
from flow_matching.path.scheduler import CondOTScheduler
from flow_matching.solver import MixtureDiscreteEulerSolver, ODESolver, RiemannianODESolver
from flow_matching.utils import ModelWrapper
from flow_matching.utils.manifolds import FlatTorus, Sphere
from problems import Manifolds, Points, Sequences
from sampler import Sampler
from torch import Tensor, nn

from adapters.feller_core import manifolds

__all__ = ["samplers"]


class Answer(ModelWrapper):
    """A function of (x, t) as the package's model."""

    def __init__(self, answer: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__(nn.Identity())
        self.answer = answer

    def forward(self, x: Tensor, t: Tensor, **extras: Any) -> Tensor:
        """Return the answer."""
        return self.answer(x, t)


def samplers() -> Iterator[Sampler]:
    """Yield the solvers."""
    for method in ("euler", "midpoint", "heun2", "rk4"):
        problem = Points()
        like = f"{'heun' if method == 'heun2' else method}, flow"
        draw = partial(flow, problem, method)
        yield Sampler("flow-matching", f"ODESolver, {method}", problem, draw, like)
    problem = Points()
    draw = partial(adaptive, problem)
    yield Sampler("flow-matching", "ODESolver, dopri5", problem, draw, "dopri5, flow")
    for problem, _ in manifolds():
        where = "torus" if problem.torus else "sphere"
        for method in ("euler", "midpoint", "rk4"):
            name, draw = f"RiemannianODESolver, {method}, {where}", partial(curve, problem, method)
            like = f"{method}, flow, {where}"
            yield Sampler("flow-matching", name, problem, draw, like, most=2048)
    for source, extra in (("mask", 0.0), ("uniform", 0.0), ("uniform", 1.0)):
        problem = Sequences()
        name = f"MixtureDiscreteEulerSolver, {source}" + (", div_free 1" if extra else "")
        draw = partial(tokens, problem, source, extra)
        like = f"{'corrected' if extra else 'leap'}, {source}"
        yield Sampler("flow-matching", name, problem, draw, like)


def flow(problem: Points, method: str, samples: int, steps: int) -> Tensor:
    """Solve from t = 0 to 1 in steps of a fixed size."""
    solver = ODESolver(velocity_model=Answer(problem.velocity))
    return solver.sample(torch.randn(samples, 2), step_size=1 / steps, method=method)


def adaptive(problem: Points, samples: int, steps: int) -> Tensor:
    """Solve from t = 0 to 1 with the default tolerances; the number of steps does not count."""
    solver = ODESolver(velocity_model=Answer(problem.velocity))
    return solver.sample(torch.randn(samples, 2), step_size=None, method="dopri5")


def curve(problem: Manifolds, method: str, samples: int, steps: int) -> Tensor:
    """Solve on the sphere or the torus."""
    solver = RiemannianODESolver(
        FlatTorus() if problem.torus else Sphere(), Answer(problem.velocity)
    )
    width = problem.points.shape[1]
    start = torch.rand(samples, width) * 2 * torch.pi - torch.pi
    if not problem.torus:
        start = nn.functional.normalize(torch.randn(samples, width), dim=-1)
    return solver.sample(start, step_size=1 / steps, method=method)


def tokens(problem: Sequences, source: str, div_free: float, samples: int, steps: int) -> Tensor:
    """Simulate the token chain; a divergence-free part begins after t = 0, where it is infinite."""

    def answer(x: Tensor, t: Tensor) -> Tensor:
        found = problem.posterior(x, float(t[0]), source)
        return nn.functional.pad(found, (0, size - problem.tokens))

    masked = source == "mask"
    size = problem.tokens + masked
    start = torch.full((samples, problem.length), problem.mask)
    if not masked:
        start = torch.randint(problem.tokens, (samples, problem.length))
    solver = MixtureDiscreteEulerSolver(
        Answer(answer),
        MixtureDiscreteProbPath(CondOTScheduler()),
        vocabulary_size=size,
        source_distribution_p=torch.full((size,), 1 / size) if div_free else None,
    )
    extra = (lambda t: div_free * float(t > 0)) if div_free else 0.0
    return solver.sample(start, step_size=1 / steps, div_free=extra)
