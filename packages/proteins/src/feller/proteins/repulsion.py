r"""Repulsion: estimates of the data whose residues do not overlap.

A network's estimate of the data is a mean over folds, and may lay one segment across another.
Before a sampler moves towards it, CA nearer than :math:`d_0` = 4 Angstrom, and at least three
residues apart along the chain, are pushed apart,

.. math:: y_i \leftarrow y_i + \tfrac{w}{2} \sum_j (d_0 - r_{ij})_+ (y_i - y_j) / r_{ij},

where :math:`r_{ij} = |y_i - y_j|`: a gradient step on :math:`\frac14 \sum_{ij} (d_0 - r_{ij})_+^2`.
Two of them are made. Early estimates are blurred, so repulsion acts from t = 0.3 on. Samples then
do not follow the model's distribution: those that would overlap are moved.

Source: guidance by potentials, as in RFdiffusion, Nature 620 (2023), here of the estimate alone.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from feller.proteins.times import residue_clocks

__all__ = ["Repelled", "apart"]

NEAREST = 0.4
"""Nanometres below which two CA repel each other; native chains have 0.005 such pairs a residue."""

ALONG, START, ROUNDS = 3, 0.3, 2
_COINCIDENT = 1e-4


def apart(
    position: Float[Tensor, "b n 3"], clock: Float[Tensor, "b n"], weight: float = 1.0
) -> Float[Tensor, "b n 3"]:
    """Return positions, with those that overlap pushed apart.

    Args:
        position: Of CA, in nanometres.
        clock: The time of each; pairs before t = 0.3 are left alone.
        weight: 1 to part a lone pair in one step.

    Example:
        >>> position = torch.zeros(1, 4, 3)
        >>> position[0, :, 0] = torch.tensor([0.0, 5.0, 9.0, 0.2])
        >>> apart(position, torch.ones(1, 4))[0, :, 0]
        tensor([-0.1000,  5.0000,  9.0000,  0.3000])
    """
    index = torch.arange(position.shape[1], device=position.device)
    late = clock >= START
    pairs = ((index[:, None] - index).abs() >= ALONG) & late[:, :, None] & late[:, None]
    for _ in range(ROUNDS):
        distance = (position[:, :, None] - position[:, None]).norm(dim=-1)
        overlap = (NEAREST - distance).clamp_min(0) * pairs / distance.clamp_min(_COINCIDENT)
        push = overlap.sum(-1, keepdim=True) * position - overlap @ position
        position = position + weight / 2 * push
    return position


@dataclass(frozen=True)
class Repelled:
    """A network of proteins whose estimates of positions repel each other.

    Attributes:
        network: Called with states, times, a condition and its last output; see
            `ProteinModel.by_factor`.
        weight: Of the repulsion.
    """

    network: Callable[..., dict[str, Tensor]]
    weight: float

    def __call__(self, x: Any, t: Any, *more: Any) -> dict[str, Tensor]:
        """Return the numbers of each factor."""
        found = self.network(x, t, *more)
        clock = residue_clocks(x, t)["translation"]
        return found | {"translation": apart(found["translation"], clock, self.weight)}
