"""Products of paths: given z, each factor of a state moves by its own path and clock."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from feller.core.config import tagged
from feller.core.paths.base import ConditionalPath
from feller.core.spaces import ProductSpace
from feller.core.times import factor_times
from feller.core.typing import Rng, Time

__all__ = ["ProductPath"]


@tagged("product_path")
@dataclass(frozen=True)
class ProductPath:
    """Named conditional paths. A state and a data point are dicts of the same names.

    Source: Generator Matching, arXiv 2410.20587, proposition 4.
    """

    factors: Mapping[str, ConditionalPath]

    @property
    def space(self) -> ProductSpace:
        """The product of the factors' spaces."""
        return ProductSpace({name: path.space for name, path in self.factors.items()})

    def sample_source(
        self, shapes: Mapping[str, Sequence[int]], rng: Rng, *, like: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """Draw x_0, factor by factor."""
        return {
            name: path.sample_source(shapes[name], rng, like=like.get(name))
            for name, path in self.factors.items()
        }

    def sample(
        self,
        z: Mapping[str, Tensor],
        t: Time | Mapping[str, Time],
        rng: Rng = None,
        *,
        x_0: Mapping[str, Tensor] | None = None,
    ) -> dict[str, Tensor]:
        """Draw x_t given z; `t` is one clock for all factors or a clock for each."""
        clocks = factor_times(t, self.factors)
        sources = {} if x_0 is None else x_0
        return {
            name: path.sample(z[name], clocks[name], rng, x_0=sources.get(name))
            for name, path in self.factors.items()
        }
