"""The alphabet of feller: the types and axis letters that every signature uses.

Axis letters in shape annotations:

| letter | axis |
| --- | --- |
| `b` | batch |
| `*event` | the axes of one state |
| `c h w` | channels, height, width |
| `n` | elements of a sequence: tokens, residues |
| `k` | vocabulary, bins, or points of a finite data set |
| `d` | features |

A **time** is a float (one clock for all), a tensor of shape `(b,)` (a clock per sample) or a tensor
whose axes are the leading axes of the state (a clock per element: what is known sits at t = 1 and
stays).

A **rng** is a `torch.Generator`, or one `torch.Generator` per row of the batch, so that a row's
sample does not depend on its neighbours.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

__all__ = ["Ragged", "Rng", "State", "Time"]

State = Tensor | dict[str, Tensor]
Time = float | Float[Tensor, "..."]


@dataclass(frozen=True)
class Ragged:
    """The generators of rows that hold different numbers of draws, laid end to end."""

    generators: Sequence[torch.Generator]
    counts: Sequence[int]


Rng = torch.Generator | Sequence[torch.Generator] | Ragged | None
