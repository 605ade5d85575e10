"""Couplings: which source sample belongs to which data point in a batch.

A coupling joins the rows of two batches. Any coupling whose two marginals are the source and the
data gives a valid path. Pairs are made within a micro-batch: the more micro-batches and processes
share a step, the fewer rows a plan is of. Transport plans are in
`feller.core.couplings.transport`, couplings of product states in `feller.core.couplings.factors`.

Given a condition, most couplings change the source: p_0 is then not what sampling starts from.
Training with conditions takes the independent one, given pairs, or one that depends on the
condition (`feller.core.couplings.ConditionalOT`).

What a flow learns is right for every coupling: on the way from x_0 to z its velocity is a function
of (x_t, z). So is the jump of a mixture path, from x_0 to z at the hazard, and everything on a
bridge, which is conditioned on both ends. On the other paths all else about p_t(x | z) holds for
the independent coupling alone, where x_0 given z is still p_0: scores, noise added to a flow, jumps
of a Gaussian path, evidence bounds. A model therefore says which coupling it was trained with, in
`coupling`; one that says nothing is independent.

Source: Tong et al., arXiv 2302.00482, section 3; Albergo et al., arXiv 2310.03725.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn

from feller.core.conditions import rows_of
from feller.core.config import tagged
from feller.core.generators.base import is_kind
from feller.core.pairs import Pair, PairBatch, is_pair
from feller.core.typing import Rng

__all__ = [
    "Coupling",
    "GivenPairs",
    "IndependentCoupling",
    "Rows",
    "check_independent",
    "check_score",
    "couple",
    "coupling_of",
    "set_coupling",
]


@dataclass(frozen=True)
class Rows:
    """The indices of the rows that form pairs.

    Attributes:
        of_0: Indices of source samples, one per pair; None for all in order.
        of_1: Indices of data points; None for all in order.
    """

    of_0: Tensor | None = None
    of_1: Tensor | None = None


class Coupling(ABC):
    """A rule that pairs the rows of two batches.

    Attributes:
        independent: Whether source samples are independent of their data points.
        joins_rows: Whether a pair depends on the other rows of its micro-batch.
        respects_condition: Whether the source given a condition stays the source.
        takes_pairs: Whether the data must be pairs already.
    """

    independent: ClassVar[bool] = False
    joins_rows: ClassVar[bool] = True
    respects_condition: ClassVar[bool] = False
    takes_pairs: ClassVar[bool] = False

    @abstractmethod
    def rows(self, x_0: Tensor, x_1: Tensor, rng: Rng, condition: Any) -> Rows:
        """Return which rows of two batches `(b, *event)` make pairs.

        Args:
            x_0: Source samples.
            x_1: Data points.
            rng: Where randomness comes from.
            condition: The condition of each data point.
        """

    def __call__(
        self, x_0: Tensor, x_1: Tensor, rng: Rng = None, condition: Any = None
    ) -> PairBatch:
        """Return the pairs, and the condition of each.

        Raises:
            ValueError: When the batches differ in shape or cannot be paired, or there is a
                condition that the coupling ignores.
        """
        if condition is not None and not self.respects_condition:
            raise ValueError(
                f"{type(self).__name__} is for training without conditions, given which it would "
                "change the source: use ConditionalOT"
            )
        rows = self.rows(x_0, x_1, rng, condition)
        if rows.of_0 is not None:
            x_0 = x_0[rows.of_0]
        if rows.of_1 is not None:
            x_1 = x_1[rows.of_1]
            condition = rows_of(condition, rows.of_1)
        return PairBatch(Pair(self.placed(x_0, x_1), x_1), condition)

    def placed(self, x_0: Tensor, x_1: Tensor) -> Tensor:
        """Return the source samples of pairs, moved by symmetries of the source if it has any."""
        return x_0

    def check_kinds(self, path: Any, head: Any) -> None:
        """Refuse to train what is wrong for pairs that depend on each other.

        Args:
            path: The path.
            head: A head or a model, whose `kinds` are asked.

        Raises:
            ValueError: When they are none of the path's `coupled_kinds`.
        """
        right = getattr(path, "coupled_kinds", None)
        wrong = [k.__name__ for k in getattr(head, "kinds", ()) if right and not is_kind(k, right)]
        if right and wrong and not self.independent:
            names = " or ".join(kind.__name__ for kind in right)
            raise ValueError(
                f"{type(self).__name__} trains the {names} of a {type(path).__name__}; the model's "
                f"{', '.join(sorted(wrong))} is of independent pairs"
            )

    def of_factors(
        self,
        x_0: Mapping[str, Tensor],
        x_1: Mapping[str, Tensor],
        rng: Rng = None,
        condition: Any = None,
    ) -> Mapping[str, Tensor]:
        """Return the source samples of data points that are product states.

        Raises:
            ValueError: For a coupling of tensors.
        """
        raise ValueError(
            f"{type(self).__name__} pairs tensors, not product states: use a ProductCoupling"
        )


@tagged("independent")
@dataclass(frozen=True)
class IndependentCoupling(Coupling):
    """Source samples and data points paired as drawn, independently."""

    independent: ClassVar[bool] = True
    joins_rows: ClassVar[bool] = False
    respects_condition: ClassVar[bool] = True

    def rows(self, x_0: Tensor, x_1: Tensor, rng: Rng, condition: Any) -> Rows:
        """Leave all rows as they are."""
        return Rows()

    def of_factors(
        self,
        x_0: Mapping[str, Tensor],
        x_1: Mapping[str, Tensor],
        rng: Rng = None,
        condition: Any = None,
    ) -> Mapping[str, Tensor]:
        """Return the source samples as drawn."""
        return x_0


@tagged("given_pairs")
@dataclass(frozen=True)
class GivenPairs(Coupling):
    """Pairs that come with the data: translations, or pairs from a model (`feller.core.pair_data`).

    Attributes:
        source: Where they come from, such as the name of the model that made them.
    """

    source: str = ""
    joins_rows: ClassVar[bool] = False
    respects_condition: ClassVar[bool] = True
    takes_pairs: ClassVar[bool] = True

    def rows(self, x_0: Tensor, x_1: Tensor, rng: Rng, condition: Any) -> Rows:
        """Leave all rows as they are."""
        return Rows()


def couple(
    path: Any, coupling: Coupling, z: Any, rng: Rng = None, condition: Any = None
) -> PairBatch:
    """Return the pairs of a batch of training data.

    A path is asked with `z = path.given(pair.x_0, pair.x_1)` and `path.sample(z, t, x_0=pair.x_0)`.

    Args:
        path: The path, from whose source samples are drawn where the data are not pairs.
        coupling: How both are joined; two sets that belong together row by row are `GivenPairs`.
        z: Data points, or a `Pair`.
        rng: Where randomness comes from.
        condition: The condition of each data point.

    Raises:
        ValueError: When the coupling needs pairs and the data are not pairs, or the other way
            round.

    Example:
        >>> import torch
        >>> from feller.core.paths import GaussianPath
        >>> couple(GaussianPath(), IndependentCoupling(), torch.ones(2, 1)).pair.x_1.flatten()
        tensor([1., 1.])
    """
    given = is_pair(z)
    pair = z if given else Pair(path.sample_source(z.shape, rng, like=z), z)
    if coupling.takes_pairs and not given:
        raise ValueError(f"{type(coupling).__name__} is of data that are pairs; these are not")
    if given and coupling.independent and not is_pair(path.given(pair.x_0, pair.x_1)):
        raise ValueError(
            "the data are pairs, and the coupling says independent: choose GivenPairs, or a bridge"
        )
    return coupling(pair.x_0, pair.x_1, rng, condition)


def coupling_of(model: Any) -> Coupling:
    """Return the coupling that a model was trained with; independent if it does not say.

    Example:
        >>> coupling_of(nn.Identity())
        IndependentCoupling()
    """
    found = getattr(model, "coupling", None)
    return IndependentCoupling() if found is None else found


def set_coupling(model: nn.Module, coupling: Coupling) -> None:
    """Record in a model, and the model it wraps, which coupling it is trained with.

    Raises:
        ValueError: When what it learns is wrong for pairs that depend on each other.
    """
    if coupling.independent:
        return
    coupling.check_kinds(getattr(model, "path", None), model)
    for module in model.modules():
        if module is model or hasattr(module, "path"):
            module.coupling = coupling  # pyright: ignore[reportArgumentType]


def check_independent(model: Any, what: str) -> None:
    """Reject a model whose distribution of x_t given z is not that of its path.

    Args:
        model: A model.
        what: What asks for it, such as `evidence_bound`.

    Raises:
        ValueError: When its pairs depend on each other.
    """
    coupling = coupling_of(model)
    if not coupling.independent:
        raise ValueError(
            f"{what} holds for independent pairs of source and data; this model was trained with "
            f"{type(coupling).__name__}"
        )


def check_score(model: Any, what: str) -> None:
    """Reject a model whose velocity does not determine its score.

    It does on a Gaussian path whose source is Gaussian and independent of the data: the path is
    asked, and the coupling.

    Args:
        model: A model with a path.
        what: What asks for the score, such as `Noised`.

    Raises:
        ValueError: When the path does not determine it, or its pairs depend on each other.
    """
    path = getattr(model, "path", None)
    if path is None:
        raise ValueError(f"{what} takes the score from a velocity, and the model has no path")
    path.check_score(what)
    check_independent(model, what)
