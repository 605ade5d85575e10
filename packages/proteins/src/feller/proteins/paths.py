"""The path of whole proteins: translations, rotations and residues, each on a path of its own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from feller.core.paths import ConditionalPath, ProductPath
from feller.core.spaces import ProductSpace
from feller.core.times import factor_times
from feller.core.typing import Rng, Time

__all__ = ["FramePath"]


@dataclass(frozen=True)
class FramePath:
    """A product path, but that the source of positions stands about what is known of them.

    Around a motif there is no other middle: sampling starts at noise about that of the known
    residues. Data keep their own, so that noise is shifted here:
    t z + (1 - t) (x_0 + m) = [t (z - m) + (1 - t) x_0] + m.

    Example:
        >>> import torch
        >>> from feller.core.paths import GaussianPath
        >>> path = FramePath({"translation": GaussianPath()})
        >>> z = {"translation": torch.tensor([[[5.0, 0, 0], [7, 0, 0]]])}
        >>> t = {"translation": torch.tensor([[1.0, 0.0]])}
        >>> x_0 = {"translation": torch.zeros(1, 2, 3)}
        >>> path.sample(z, t, x_0=x_0)["translation"][0]
        tensor([[5., 0., 0.],
                [5., 0., 0.]])
    """

    factors: Mapping[str, ConditionalPath]

    @property
    def space(self) -> ProductSpace:
        """The product of the factors' spaces."""
        return ProductPath(self.factors).space

    def sample_source(
        self, shapes: Mapping[str, Sequence[int]], rng: Rng, *, like: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """Draw x_0, factor by factor, where nothing is known."""
        return ProductPath(self.factors).sample_source(shapes, rng, like=like)

    def sample(
        self,
        z: Mapping[str, Tensor],
        t: Time | Mapping[str, Time],
        rng: Rng = None,
        *,
        x_0: Mapping[str, Tensor] | None = None,
    ) -> dict[str, Tensor]:
        """Draw x_t given z; `t` is one clock for all factors or a clock for each."""
        clock, position = factor_times(t, self.factors)["translation"], z["translation"]
        if isinstance(clock, Tensor) and clock.ndim > 1:
            if x_0 is None:
                x_0 = self.sample_source({k: v.shape for k, v in z.items()}, rng, like=z)
            known = (clock == 1).to(position)[..., None]
            middle = (known * position).sum(1, keepdim=True) / known.sum(1, keepdim=True).clamp_min(
                1
            )
            x_0 = {**x_0, "translation": x_0["translation"] + middle}
        return ProductPath(self.factors).sample(z, t, rng, x_0=x_0)
