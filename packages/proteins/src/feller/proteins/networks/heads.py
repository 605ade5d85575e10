r"""What a protein network says of each residue, and the generator it stands for.

- The **place** :math:`E[x_1 | x_t]`, and so the velocity of places.
- The **law of the data rotation** as a mixture of isotropic Fishers about centres relative to the
  frame: a global rotation of the input rotates the law. One centre is the rotation of the predicted
  frame. The marginal jump draws R_1 from the law (`feller.proteins.so3.jumps`).
- The **velocity of rotations**, learnt by itself: that of a point estimate is not the mean
  velocity. It is learnt as a correction to the velocity towards the predicted rotation.
- The **logits of residues**.
"""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor, nn

from feller.core.generators import Mixture
from feller.proteins.networks import FrameOutput
from feller.proteins.so3.destinations import Isotropic
from feller.proteins.so3.fisher import FISHER
from feller.proteins.so3.rotations import angle, exp, relative

__all__ = ["FrameHeads", "Prediction"]

_RANGE = (0.02, 3000.0)


@dataclass(frozen=True)
class Prediction:
    """Of each residue.

    Attributes:
        translation: The mean of the data, in nanometres.
        rotation: The rotation of the predicted frame.
        turn: What is added to the velocity towards it: a body vector, rad per unit time.
        shares: Log-shares of the modes, unnormalised.
        centres: Their centres.
        concentrations: Their Fisher concentrations.
        residue: Logits of the 20 residues.
    """

    translation: Float[Tensor, "b n 3"]
    rotation: Float[Tensor, "b n 3 3"]
    turn: Float[Tensor, "b n 3"]
    shares: Float[Tensor, "b n m"]
    centres: Float[Tensor, "b n m 3 3"]
    concentrations: Float[Tensor, "b n m"]
    residue: Float[Tensor, "b n 20"]

    def to(self, dtype: torch.dtype) -> "Prediction":
        """Return it in another precision."""
        return replace(self, **{name: value.to(dtype) for name, value in vars(self).items()})

    @property
    def law(self) -> Mixture:
        """The law of the data rotations."""
        return Mixture(
            self.shares.softmax(-1), Isotropic(self.centres, self.concentrations, FISHER)
        )

    def log_density(self, z: Float[Tensor, "b n 3 3"]) -> Float[Tensor, "b n"]:
        """Return the log density of data rotations in nats, by Haar measure of mass 1."""
        away = angle(relative(self.centres, z[..., None, :, :]))
        each = FISHER.log_density(away, self.concentrations)
        return torch.logsumexp(self.shares.log_softmax(-1) + each, -1)


class FrameHeads(nn.Module):
    """Linear maps from a residue's channels to its `Prediction`."""

    def __init__(self, dim: int, modes: int) -> None:
        super().__init__()
        self.modes = modes
        self.sizes = (3, modes, 3 * modes, modes, 20)
        self.norm = nn.LayerNorm(dim)
        self.linear = nn.Linear(dim, sum(self.sizes))
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)
        # Centres apart at first, for modes that are alike learn alike; the first is the frame's.
        rng = torch.Generator().manual_seed(0)
        start = 1.5 * torch.randn(modes, 3, generator=rng)
        start[0] = 0
        self.register_buffer("start", start)

    def forward(self, output: FrameOutput) -> Prediction:
        """Return the prediction, in float32."""
        numbers = self.linear(self.norm(output.hidden)).float()
        turn, shares, away, narrow, residue = numbers.split(self.sizes, dim=-1)
        away = away.unflatten(-1, (self.modes, 3)) + self.start
        # The first centre is where the frame is predicted: it gets no correction of its own.
        away = torch.cat([torch.zeros_like(away[..., :1, :]), away[..., 1:, :]], dim=-2)
        rotation = output.rotation.float()
        return Prediction(
            translation=output.translation.float(),
            rotation=rotation,
            turn=3 * turn,
            shares=shares,
            centres=rotation[..., None, :, :] @ exp(away),
            concentrations=(3 * narrow).exp().clamp(*_RANGE),
            residue=residue,
        )
