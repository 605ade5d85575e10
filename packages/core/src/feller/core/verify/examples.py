"""Examples of every path, on which each entry of the table of solutions is verified.

A new entry is verified as soon as its path has an example here; a test holds that it has. A domain
brings those of its own paths: its `Domain.examples` names the function that returns them.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from feller.core.domains import domains, resolve
from feller.core.generators import Generator
from feller.core.pairs import Pair
from feller.core.paths import (
    BridgePath,
    BrownianNoise,
    GaussianPath,
    GeodesicPath,
    GeometricPath,
    MixturePath,
    SineNoise,
)
from feller.core.schedules import CondOT, Cosine, Geometric, Polynomial, VariancePreserving
from feller.core.solutions import Solution, langevin, mixture_corrector
from feller.core.sources import Gaussian, Masked, UniformBox, UniformSphere, UniformTokens
from feller.core.spaces import Euclidean, Interval, Sphere, Tokens, Torus
from feller.core.times import expand_time
from feller.core.typing import Time
from feller.core.verify.distributions import Sums

__all__ = ["CORRECTORS", "EXAMPLES", "Example", "Examples", "brought", "correctors", "every"]


@dataclass(frozen=True)
class Example:
    """A path with data on it.

    Attributes:
        path: The path.
        points: Data points; the first alone for conditional solutions, all for marginal ones.
        kinds: The names of the kinds of generator, and correctors, it is an example of.
        marginal: Whether it has a posterior in closed form.
        sums: How its distribution is summed exactly, where the core does not know.
    """

    path: Any
    points: Any
    kinds: tuple[str, ...]
    marginal: bool = False
    sums: Sums | None = None

    def data(self) -> list[Any]:
        """Return the first point, and all of them where there is a posterior."""
        return [self.points[:1], *([self.points] if self.marginal else [])]


@dataclass(frozen=True)
class Examples:
    """The examples of the core, or those that a domain brings.

    Attributes:
        paths: By class of path, as in the table of solutions, what makes the examples.
        correctors: Stationary parts by name: for which class of path, and from (path, x, t, z) to
            what leaves p_t(. | z) alone.
    """

    paths: Mapping[type, Callable[[], list[Example]]]
    correctors: Mapping[str, tuple[type, Solution]] = field(default_factory=dict)


def _gaussian() -> list[Example]:
    kinds = ("flow", "diffusion", "jump", "langevin")
    line, space = _reals([[0.7], [-1.1]]), _reals([[-1.1, 0.4, 0.2], [0.8, -0.3, 1.0]])
    schedules = (CondOT(), Cosine(), Polynomial(), VariancePreserving(), Geometric())
    return [
        *(Example(GaussianPath(schedule=each), line, kinds, marginal=True) for each in schedules),
        Example(GaussianPath(), space, kinds, marginal=True),
    ]


def _bridge() -> list[Example]:
    kinds = ("flow", "diffusion", "langevin")
    line = Pair(_reals([[0.7], [-1.1]]), _reals([[-0.4], [1.3]]))
    space = Pair(_reals([[-1.1, 0.4, 0.2]]), _reals([[0.8, -0.3, 1.0]]))
    paths = (
        BridgePath(),
        BridgePath(schedule=Cosine(), noise=BrownianNoise(2**0.5)),
        BridgePath(schedule=Polynomial(), noise=SineNoise()),
    )
    return [
        *(Example(path, line, kinds, marginal=True) for path in paths),
        Example(BridgePath(noise=BrownianNoise(0.5)), space, kinds),
        Example(BridgePath(schedule=Cosine(), noise=None), space, ("flow",)),
    ]


def _geodesic() -> list[Example]:
    angles = UniformBox(-math.pi, math.pi)
    return [
        Example(GeodesicPath(Euclidean(), Gaussian()), _reals([[-1.1, 0.4]]), ("flow",)),
        Example(GeodesicPath(Torus(), angles, Cosine()), _reals([[-1.1, 0.4]]), ("flow",)),
        Example(
            GeodesicPath(Sphere(), UniformSphere(), Polynomial()),
            _reals([[0.6, 0.0, 0.8]]),
            ("flow",),
        ),
    ]


def _mixture() -> list[Example]:
    kinds = ("jump", "corrector")
    tokens, long = torch.tensor([[2, 0], [1, 3], [3, 3]]), torch.arange(20)[None] % 4
    masked = MixturePath(Tokens(5), Masked(4))
    uniform = MixturePath(Tokens(5), UniformTokens(5), Cosine())
    numbers = _reals([[0.7], [-0.3]])
    interval = MixturePath(Interval(), UniformBox())
    return [
        Example(masked, tokens, kinds, marginal=True),
        Example(uniform, tokens, kinds, marginal=True),
        Example(masked, long, kinds),
        Example(MixturePath(Euclidean(), Gaussian()), numbers, kinds, marginal=True),
        Example(interval, numbers, (*kinds, "diffusion"), marginal=True),
        Example(MixturePath(Sphere(), UniformSphere()), _reals([[0.6, 0.0, 0.8]]), kinds),
    ]


def _geometric() -> list[Example]:
    tokens = torch.tensor([[2, 0], [1, 3], [3, 3]])
    path = GeometricPath(Tokens(5), noise=0.1)
    return [
        Example(path, tokens, ("jump",), marginal=True),
        Example(replace(path, schedule=Cosine()), tokens[:, :1], ("jump",), marginal=True),
    ]


EXAMPLES: Mapping[type, Callable[[], list[Example]]] = MappingProxyType(
    {
        BridgePath: _bridge,
        GaussianPath: _gaussian,
        GeodesicPath: _geodesic,
        GeometricPath: _geometric,
        MixturePath: _mixture,
    }
)
"""The examples of each class of path."""


def _langevin(path: Any, x: Tensor, t: Time, z: Any) -> Generator:
    return langevin(path.score(x, t, z), path.noise_width(expand_time(t, x)) ** 2)


CORRECTORS: Mapping[str, tuple[type, Solution]] = MappingProxyType(
    {"langevin": (GaussianPath, _langevin), "corrector": (MixturePath, mixture_corrector)}
)
"""Stationary parts: for which path, and from (path, x, t, z) to what leaves p_t(. | z) alone."""


def _reals(values: list[list[float]]) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def every() -> list[Examples]:
    """Return the examples of the core and of the installed domains."""
    of_bridges = Examples({}, {"langevin": (BridgePath, _langevin)})
    return [Examples(EXAMPLES, CORRECTORS), of_bridges, *brought()]


@cache
def brought() -> tuple[Examples, ...]:
    """Return the examples that the installed domains bring."""
    return tuple(resolve(domain.examples)() for domain in domains().values() if domain.examples)


def correctors() -> dict[str, list[tuple[type, Solution]]]:
    """Return all stationary parts by name, for each class of path that has one so called."""
    named: dict[str, list[tuple[type, Solution]]] = {}
    for known in every():
        for name, entry in known.correctors.items():
            named.setdefault(name, []).append(entry)
    return named
