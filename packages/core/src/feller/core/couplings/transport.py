r"""Transport plans: couplings that are drawn from a plan, and those that depend on a condition.

The entropic plan of two batches minimises :math:`\sum_{ij} \pi_{ij} |x_0^i - x_1^j|^2 + \epsilon
KL(\pi \| \text{independent})`. Alternating updates of two potentials find it (Sinkhorn), here of
their logarithms, which neither overflow nor vanish however small epsilon is. Unbalanced transport
replaces the constraints on both marginals by penalties.

Own code, not that of a library: of the kept ones, POT adds 33 MB and over a second at its first
import, for a plan of 256 rows that takes it as long or longer.

Source: Cuturi, arXiv 1306.0895; Chizat et al., arXiv 1607.05816 (unbalanced); Tong et al., arXiv
2307.03672 (entropic plans for bridges).
"""

import math
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor

from feller.core import random
from feller.core.config import tagged
from feller.core.couplings.base import Coupling, Rows
from feller.core.pairs import Pair
from feller.core.typing import Rng

__all__ = ["ConditionalOT", "EntropicOT", "MinibatchOT", "UnbalancedOT", "features", "sinkhorn"]

ROUNDS = 10_000
TOLERANCE = 1e-2
"""How far a row's part of the plan may be off: far less than draws of partners vary."""


@tagged("minibatch_ot")
@dataclass(frozen=True)
class MinibatchOT(Coupling):
    """The pairing of least total squared distance within the batch: exact optimal transport.

    Every row is used once. Source: Pooladian et al., arXiv 2304.14772; Tong et al., arXiv
    2302.00482.

    Example:
        >>> x = torch.arange(4.0)[:, None]
        >>> MinibatchOT()(x.flip(0), x).pair.x_0.flatten()
        tensor([0., 1., 2., 3.])
    """

    def rows(self, x_0: Tensor, x_1: Tensor, rng: Rng, condition: Any) -> Rows:
        """Return the order of `x_0` that minimises the sum of |x_0 - x_1|^2.

        Raises:
            ValueError: When the batches have other shapes, or are not of finite numbers.
        """
        from scipy.optimize import linear_sum_assignment

        # The squared norms are the same for every permutation: only the inner products count.
        ends = features(self, x_0, x_1)
        score = (ends.x_1 @ ends.x_0.T).cpu().numpy()
        _, order = linear_sum_assignment(score, maximize=True)
        return Rows(torch.from_numpy(order).to(x_0.device))


def features(coupling: Coupling, x_0: Tensor, x_1: Tensor) -> Pair:
    """Return two batches as rows of numbers, whose distances a plan is made of.

    Raises:
        ValueError: When the batches have other shapes, or are not of finite numbers.
    """
    name = type(coupling).__name__
    if x_0.shape != x_1.shape:
        shapes = f"{tuple(x_0.shape)} and {tuple(x_1.shape)}"
        raise ValueError(f"{name} pairs two batches of one shape, not of {shapes}")
    for x in (x_0, x_1):
        if not x.is_floating_point():
            raise ValueError(f"{name} pairs numbers by their distance, not {x.dtype}")
    wide = torch.promote_types(x_0.dtype, torch.float32)  # ties are rounding in half of it
    ends = Pair(x_0, x_1).map(lambda x: x.detach().flatten(1).to(wide))
    if not bool((ends.x_0.isfinite() & ends.x_1.isfinite()).all()):
        raise ValueError(f"{name} pairs finite numbers; the batches hold others")
    return ends


@tagged("entropic_ot")
@dataclass(frozen=True)
class EntropicOT(Coupling):
    """Partners drawn from the entropic plan of the batch: data keep their order.

    With epsilon twice the squared scale of a `BrownianNoise` the bridge's diffusion is the
    Schroedinger bridge, as far as a batch shows it.

    Attributes:
        epsilon: The weight of the entropy, in units of squared distance; towards 0 the coupling is
            `MinibatchOT`, towards infinity independent.

    Example:
        >>> x = torch.arange(4.0)[:, None]
        >>> EntropicOT(0.01)(x.flip(0), x).pair.x_0.flatten()
        tensor([0., 1., 2., 3.])
    """

    epsilon: float = 2.0

    def __post_init__(self) -> None:
        """Check that epsilon is positive and finite."""
        _check_positive(epsilon=self.epsilon)

    def rows(self, x_0: Tensor, x_1: Tensor, rng: Rng, condition: Any) -> Rows:
        """Return a partner of each data point.

        Raises:
            ValueError: When the batches have other shapes or are not of finite numbers.
        """
        plan = sinkhorn(_cost(self, x_0, x_1), self.epsilon)
        u = random.uniform((len(plan),), rng).to(plan)
        return Rows(_draw(plan.T, u).to(x_0.device))


@tagged("unbalanced_ot")
@dataclass(frozen=True)
class UnbalancedOT(Coupling):
    """Pairs drawn from an unbalanced plan: rows far from all others are used less, on both sides.

    So the model learns to move samples that have a counterpart: the marginals of the pairs are not
    those of source and data, but closer to each other. Source: Eyring et al., arXiv 2311.15100.

    Attributes:
        epsilon: The weight of the entropy, in units of squared distance.
        penalty: The weight of each marginal's divergence, in the same units; infinite for
            `EntropicOT`.
    """

    epsilon: float = 2.0
    penalty: float = 10.0

    def __post_init__(self) -> None:
        """Check that weights are positive and finite."""
        _check_positive(epsilon=self.epsilon, penalty=self.penalty)

    def rows(self, x_0: Tensor, x_1: Tensor, rng: Rng, condition: Any) -> Rows:
        """Return as many pairs as there are rows.

        Raises:
            ValueError: When the batches have other shapes or are not of finite numbers.
        """
        plan = sinkhorn(_cost(self, x_0, x_1), self.epsilon, self.penalty)
        u = random.uniform((len(plan),), rng).to(plan)
        drawn = torch.searchsorted(plan.flatten().cumsum(0), u * plan.sum())
        drawn = drawn.clamp_max(plan.numel() - 1).to(x_0.device)
        return Rows(drawn // len(plan), drawn % len(plan))


@tagged("conditional_ot")
@dataclass(frozen=True)
class ConditionalOT(Coupling):
    """A coupling that depends on the condition: the source given a condition stays the source.

    A source sample is drawn together with a condition, and keeps it. Rows are paired only within
    one condition, which is exact. If conditions are numbers that few rows share, a source sample
    may instead go to a data point of another condition at a cost: the source given a condition is
    then preserved only approximately, better for a larger cost. Rows whose condition was dropped
    are paired among themselves. Source: Cheng and Schwing, arXiv 2503.10636.

    Attributes:
        coupling: How rows are paired.
        weight: The cost of a change of the condition, in squared distances per squared unit (for
            labels: per change); None allows no change.
    """

    coupling: Coupling = field(default_factory=MinibatchOT)
    weight: float | None = None
    respects_condition: ClassVar[bool] = True

    @property
    def joins_rows(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Whether the coupling of rows does."""
        return self.coupling.joins_rows

    def __post_init__(self) -> None:
        """Check that the weight is positive and finite."""
        if self.weight is not None:
            _check_positive(weight=self.weight)

    def rows(self, x_0: Tensor, x_1: Tensor, rng: Rng, condition: Any) -> Rows:
        """Return the rows of the inner coupling, condition by condition.

        Raises:
            ValueError: When the condition is not a tensor, batch first.
        """
        if condition is None:
            return self.coupling.rows(x_0, x_1, rng, None)
        if not torch.is_tensor(condition) or condition.shape[:1] != x_1.shape[:1]:
            raise ValueError(
                "ConditionalOT takes a condition that is a tensor with one for each row"
            )
        if self.weight is None:
            return self._within(_numbered(condition), x_0, x_1, rng)
        ends = features(self, x_0, x_1)
        extra = _one_hot(condition) if not condition.is_floating_point() else condition
        extra = math.sqrt(self.weight) * extra[:, None].flatten(1).to(ends.x_0)
        unknown = extra.isnan().all(1)  # of rows that say nothing no distance is known
        wide = ends.map(lambda x: torch.cat([x, extra.masked_fill(unknown[:, None], 0)], 1))
        return self._within(unknown.long(), wide.x_0, wide.x_1, rng)

    def _within(self, group: Tensor, x_0: Tensor, x_1: Tensor, rng: Rng) -> Rows:
        """Return the rows of the inner coupling, group by group."""
        of_0 = torch.arange(len(x_0), device=x_0.device)
        of_1 = of_0.clone()
        for each in group.unique():
            here = group == each
            index = here.nonzero()[:, 0]
            rows = self.coupling.rows(x_0[here], x_1[here], random.ragged(rng, here), None)
            of_0[index] = index if rows.of_0 is None else index[rows.of_0]
            of_1[index] = index if rows.of_1 is None else index[rows.of_1]
        return Rows(of_0, of_1)


def sinkhorn(cost: Tensor, epsilon: float, penalty: float = math.inf) -> Tensor:
    """Return the entropic plan of two batches of even weights, `(b, b)`.

    Args:
        cost: The cost of each pair.
        epsilon: The weight of the entropy, relative to even independent pairs.
        penalty: The weight of each marginal's divergence; infinite for plans with even marginals.

    Raises:
        ValueError: When the plan is not found in 10,000 rounds: epsilon is too small.

    Example:
        >>> sinkhorn(torch.tensor([[0.0, 9.0], [9.0, 0.0]]), 1.0).round(decimals=3).tolist()
        [[0.5, 0.0], [0.0, 0.5]]
    """
    if not len(cost):
        return cost.double()
    damping = 1.0 if penalty == math.inf else penalty / (penalty + epsilon)
    even = -math.log(len(cost))
    log_kernel = -cost.double() / epsilon
    f, g = (torch.zeros(len(cost)).to(log_kernel) for _ in range(2))
    for _ in range(ROUNDS):
        last = f
        f = -damping * (log_kernel + g + even).logsumexp(1)
        g = -damping * (log_kernel + f[:, None] + even).logsumexp(0)
        if bool((f - last).abs().max() < TOLERANCE):
            return (log_kernel + f[:, None] + g + 2 * even).exp()
    raise ValueError(
        f"no plan was found in {ROUNDS:,} rounds: epsilon {epsilon:g} is small beside distances "
        "squared; use a larger one, or MinibatchOT"
    )


def _cost(coupling: Coupling, x_0: Tensor, x_1: Tensor) -> Tensor:
    ends = features(coupling, x_0, x_1)
    ends = ends.map(lambda x: x.double().cpu())
    return torch.cdist(ends.x_0, ends.x_1) ** 2


def _draw(weights: Tensor, u: Tensor) -> Tensor:
    """Return an index of each row of weights, in proportion to them, by a uniform each."""
    running = weights.cumsum(-1)
    found = torch.searchsorted(running, u[:, None] * running[:, -1:])
    return found.reshape(len(weights)).clamp_max(weights.shape[-1] - 1)


def _one_hot(labels: Tensor) -> Tensor:
    """Return labels as corners that are one unit apart."""
    return torch.nn.functional.one_hot(_numbered(labels)).double() / math.sqrt(2)


def _numbered(condition: Tensor) -> Tensor:
    """Return the number of each row's condition, `(b,)`; to say nothing is one of them."""
    flat = condition[:, None].flatten(1)
    unknown = flat.isnan()
    known = torch.cat([flat.masked_fill(unknown, 0), unknown.to(flat)], 1)
    return known.unique(dim=0, return_inverse=True)[1]


def _check_positive(**weights: float) -> None:
    for name, weight in weights.items():
        if not 0 < weight < math.inf:
            raise ValueError(f"{name} is positive and finite, not {weight}")
