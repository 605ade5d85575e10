"""The contract of solvers: the samples of an exact oracle, on any clock, each row for itself."""

from typing import Any

import torch
from torch import Tensor

from feller.core import random
from feller.core.generators import Diffusion, Flow, Generator, Jump
from feller.core.generators.base import is_kind
from feller.core.grids import logarithmic_grid
from feller.core.paths import GaussianPath, MixturePath
from feller.core.posteriors import FiniteData
from feller.core.solvers import Solver, simulate
from feller.core.sources import Masked
from feller.core.spaces import Tokens
from feller.core.testing.demands import LEAST_P, demand, fit_p_value, table_p_value

__all__ = ["check_solver"]

WEIGHTS = (0.3, 0.7)


def check_solver(
    solver: Solver,
    *,
    kind: type[Generator] | None = None,
    model: FiniteData | None = None,
    steps: int = 150,
    samples: int = 40_000,
) -> None:
    """Check a solver.

    Driven by the exact marginal generator of two data points of probabilities .3 and .7 it returns
    them, on the Gaussian path (by jumps also at t = .5, where a wrong speed shows) or, for a solver
    of the mixture path, as masked tokens; where a clock stands still so does the state; a row with
    its own rng does not depend on its neighbours, and a row on its own clock is that row alone;
    each step asks the model at least once; and the solver can be used again.

    Args:
        solver: The solver.
        kind: The kind of generator; the first that it takes of flow, diffusion and jump by
            default.
        model: The exact model of two single numbers of probabilities .3 and .7 on a path with a
            `log_density`, for a solver of another path.
        steps: Steps of the simulation, uniform in log(1 - t).
        samples: How many; 40,000 detect jumps that are 10 percent too fast.

    Raises:
        AssertionError: When one of these does not hold.

    Example:
        >>> from feller.core.solvers import HEUN, RungeKutta
        >>> check_solver(RungeKutta(HEUN), steps=40)
    """
    name = type(solver).__name__
    kinds = [k for k in (Flow, Diffusion, Jump) if is_kind(k, solver.takes)]
    demand(bool(kinds), f"{name} takes neither flows, diffusions nor jumps")
    kind = kinds[0] if kind is None else kind
    model = _oracle(solver, kind) if model is None else model
    _check_distribution(solver, model, name, (steps, samples))
    x_0 = _start(model, 6, 3)
    times = torch.tensor([0.0, 0.2, 0.5, 0.8])
    rng = torch.Generator()
    first, again = (simulate(model, x_0, times, solver, rng.manual_seed(1)) for _ in range(2))
    demand(torch.equal(first.state, again.state), f"{name} does not forget an earlier simulation")
    demand(first.nfe >= 1, f"{name} asks the model {first.nfe} times in 3 steps")
    if not solver.shares_clock:
        together = simulate(model, x_0, _clocks(times, 6), solver, random.rows(0, 0, 6)).state
        part = simulate(model, x_0[4:], _clocks(times, 2), solver, random.rows(0, 4, 6)).state
        close = torch.allclose(together[4:].double(), part.double(), atol=1e-5)
        demand(close, f"a row of {name} with its own rng depends on other rows")
        _check_clocks(solver, model, x_0, name)


def _oracle(solver: Solver, kind: type[Generator]) -> FiniteData:
    """Return the exact model of two data points."""
    weights = torch.tensor(WEIGHTS)
    gaussian = not solver.paths or issubclass(GaussianPath, solver.paths)
    if gaussian:
        points = torch.tensor([[-2.0], [2.0]])
        return FiniteData(GaussianPath(), kind, points, weights)
    points = torch.tensor([[0], [1]])
    return FiniteData(MixturePath(Tokens(3), Masked(2)), kind, points, weights)


def _start(model: FiniteData, b: int, seed: int) -> Tensor:
    rng = torch.Generator().manual_seed(seed)
    return model.path.sample_source((b, 1), rng, like=model.points)


def _check_distribution(
    solver: Solver, model: FiniteData, name: str, size: tuple[int, int]
) -> None:
    numbers = (0.5, 0.9) if model.kind is Jump else (0.9,)
    for end in (0.9999,) if model.space.is_discrete else numbers:
        _check_distribution_at(end, solver, model, name, size)


def _check_distribution_at(
    end: float, solver: Solver, model: FiniteData, name: str, size: tuple[int, int]
) -> None:
    steps, samples = size
    rng = torch.Generator().manual_seed(0)
    times = logarithmic_grid(steps, end=end)
    x = simulate(model, _start(model, samples, 0), times, solver, rng).state
    demand(bool(x.isfinite().all()), f"{name} returns states that are not finite")
    masses = torch.tensor(WEIGHTS, dtype=torch.float64)
    t = float(times[-1])
    if model.space.is_discrete:
        p = table_p_value(x, torch.cat([t * masses, torch.tensor([1 - t])]))
    else:

        def log_density(x: Tensor) -> Tensor:
            points: Any = model.points
            each = model.path.log_density(x[:, None, None], t, points[None].double())
            return torch.logsumexp(each.reshape(len(x), -1) + masses.log(), 1)

        p, _ = fit_p_value(x.flatten(), log_density)
    what = f"two points of weights {WEIGHTS} at t = {t:.4g}"
    kind = model.kind.__name__
    demand(
        p > LEAST_P, f"{name} does not return the distribution of {what}, by a {kind}: p = {p:.2g}"
    )


def _clocks(times: Tensor, b: int) -> Tensor:
    return times[:, None].expand(-1, b)


def _check_clocks(solver: Solver, model: FiniteData, x_0: Tensor, name: str) -> None:
    known: Any = model.points[torch.arange(6) % 2]
    times = torch.tensor([0.1, 0.4, 0.7])[:, None].repeat(1, 6)
    times[:, 3:] = 1.0  # data points: they stay
    times[:, 2] = 0.4  # a clock that stands still before the end
    x_0 = torch.cat([x_0[:3], known[3:]])
    x = simulate(model, x_0, times, solver, random.rows(0, 0, 6)).state
    demand(torch.equal(x[3:], x_0[3:]), f"{name} moves a state whose clock is at t = 1")
    demand(torch.equal(x[2:3], x_0[2:3]), f"{name} moves a state whose clock stands still")
    alone = simulate(model, x_0[:1], times[:, :1], solver, random.rows(0, 0, 1)).state
    close = torch.allclose(x[:1].double(), alone.double(), atol=1e-5)
    demand(close, f"a row of {name} beside rows on other clocks is not what it is alone")
