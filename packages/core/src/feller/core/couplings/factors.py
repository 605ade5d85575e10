"""Couplings of product states, and of points that the source treats alike."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from feller.core.config import tagged
from feller.core.couplings.base import Coupling, Rows
from feller.core.typing import Rng

__all__ = ["AlignedPoints", "ProductCoupling"]


@tagged("product_coupling")
@dataclass(frozen=True)
class ProductCoupling(Coupling):
    """A coupling for each of some factors of a product state; the others are independent.

    Attributes:
        factors: The couplings by the names of the factors.

    Example:
        >>> from feller.core.couplings import MinibatchOT
        >>> x = {"point": torch.arange(2.0)[:, None], "token": torch.zeros(2, 1)}
        >>> turned = {name: value.flip(0) for name, value in x.items()}
        >>> ProductCoupling({"point": MinibatchOT()}).of_factors(turned, x)["point"].flatten()
        tensor([0., 1.])
    """

    factors: Mapping[str, Coupling]
    respects_condition: ClassVar[bool] = True  # each factor's coupling is asked

    @property
    def joins_rows(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Whether the coupling of a factor does."""
        return any(coupling.joins_rows for coupling in self.factors.values())

    def rows(self, x_0: Tensor, x_1: Tensor, rng: Rng, condition: Any) -> Rows:
        """Reject states that are not products.

        Raises:
            ValueError: Always.
        """
        raise ValueError("a ProductCoupling pairs product states, not tensors")

    def check_kinds(self, path: Any, head: Any) -> None:
        """Refuse to train what is wrong for pairs of a factor that depend on each other.

        Raises:
            ValueError: When the head of a factor reads such a kind.
        """
        heads = getattr(getattr(head, "head", None), "heads", {})
        for name in self.factors.keys() & heads.keys():
            self.factors[name].check_kinds(path.factors[name], heads[name])

    def of_factors(
        self,
        x_0: Mapping[str, Tensor],
        x_1: Mapping[str, Tensor],
        rng: Rng = None,
        condition: Any = None,
    ) -> dict[str, Tensor]:
        """Return the source samples of the data points, factor by factor.

        Raises:
            ValueError: When there is no such factor, or a coupling moves data points, whose other
                factors stay.
        """
        if unknown := self.factors.keys() - x_1.keys():
            raise ValueError(f"states have factors {sorted(x_1)}, none is {sorted(unknown)}")
        joined = dict(x_0)
        for name, coupling in self.factors.items():
            pair = coupling(x_0[name], x_1[name], rng, condition).pair
            if pair.x_1 is not x_1[name]:
                raise ValueError(
                    f"{type(coupling).__name__} moves data points of {name!r}, whose other factors "
                    "stay: use one that moves only source samples"
                )
            joined[name] = pair.x_0
        return joined


@tagged("aligned_points")
@dataclass(frozen=True)
class AlignedPoints(Coupling):
    """Clouds of points `(b, n, d)`, each source sample reordered and turned towards its data point.

    For a source that is invariant to permutations and rotations, such as the Gaussian, and a
    network that is equivariant, or trained on data in every order and direction: up to order and
    direction, source samples are then independent of their data points. Paths are shorter and
    straighter.

    An assignment and a rotation (Kabsch), each of least squared distance, alternate. Source: Klein,
    Kraemer and Noe, arXiv 2306.15030; Song et al., arXiv 2312.07168.

    Attributes:
        rounds: How often the two alternate.

    Example:
        >>> x = torch.randn(1, 5, 3)
        >>> pair = AlignedPoints()(x.flip(1), x).pair
        >>> torch.allclose(pair.x_0, pair.x_1, atol=1e-5)
        True
    """

    rounds: int = 2
    joins_rows: ClassVar[bool] = False
    respects_condition: ClassVar[bool] = True  # up to symmetry the source stays independent

    def rows(self, x_0: Tensor, x_1: Tensor, rng: Rng, condition: Any) -> Rows:
        """Leave all rows as they are."""
        return Rows()

    def placed(self, x_0: Tensor, x_1: Tensor) -> Tensor:
        """Return the source samples, each point in the order and direction of its data point."""
        centred = x_1 - x_1.mean(1, keepdim=True)
        for _ in range(self.rounds):
            x_0 = x_0.gather(1, _order(x_0, centred)[..., None].expand_as(x_0))
            x_0 = x_0 @ _rotation(x_0 - x_0.mean(1, keepdim=True), centred)
        return x_0


def _order(x: Tensor, y: Tensor) -> Tensor:
    """Return, for each row, which point of x goes to each of y: of least squared distance."""
    from scipy.optimize import linear_sum_assignment

    scores = (y @ x.mT).detach().cpu().double().numpy()  # the norms count alike in every order
    chosen = [torch.from_numpy(linear_sum_assignment(s, maximize=True)[1]) for s in scores]
    return torch.stack(chosen).to(x.device)


def _rotation(x: Tensor, y: Tensor) -> Tensor:
    """Return R of determinant 1 for each row, of least |x R - y|^2."""
    u, _, vt = torch.linalg.svd(x.mT @ y)
    sign = torch.linalg.det(u @ vt).sign()
    flip = torch.ones_like(u[:, 0])
    flip[:, -1] = sign
    return (u * flip[:, None]) @ vt
