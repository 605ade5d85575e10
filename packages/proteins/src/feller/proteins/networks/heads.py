r"""What a protein network says of each residue, and the rotations' generator that it stands for.

- The **position** :math:`E[x_1 | x_t]`, and so the velocity of positions.
- The **distribution of the data rotation** as a mixture of isotropic Fishers about centres relative
  to the frame: a global rotation of the input rotates it. One centre is the rotation of the
  predicted frame. The marginal jump draws R_1 from it (`feller.proteins.so3.jumps`).
- The **velocity of rotations**, learnt by itself: that of a point estimate is not the mean
  velocity. It is learnt as a correction to the velocity towards the predicted rotation.
- The **logits of residues**.
"""

from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from feller.core.generators import Flow, Generator, Mixture, Point, Superposition, stationary
from feller.core.heads import Head, Kinds
from feller.core.times import expand_time
from feller.core.typing import Time
from feller.core.weights import WeightLike, weight_of
from feller.proteins.networks import FrameOutput
from feller.proteins.so3.destinations import Isotropic
from feller.proteins.so3.diffusion import RotationDiffusion
from feller.proteins.so3.fisher import FISHER
from feller.proteins.so3.jumps import PosteriorJump
from feller.proteins.so3.paths import FisherPath, IsotropicPath
from feller.proteins.so3.rotations import exp, hat, relative, vee
from feller.proteins.so3.solutions import fisher_langevin, isotropic_flow

__all__ = ["FrameHeads", "Prediction", "RotationHead", "check_noise"]

_RANGE = (0.02, 3000.0)


@dataclass(frozen=True)
class Prediction:
    """Of each residue.

    Attributes:
        translation: The mean of the data, in nanometres.
        rotation: The rotation of the predicted frame.
        turn: What is added to the velocity towards it: a body vector, rad per unit time.
        weights: Log-weights of the modes, unnormalised.
        centres: Their centres.
        concentrations: Their Fisher concentrations.
        residue: Logits of the 20 residues.
    """

    translation: Float[Tensor, "b n 3"]
    rotation: Float[Tensor, "b n 3 3"]
    turn: Float[Tensor, "b n 3"]
    weights: Float[Tensor, "b n m"]
    centres: Float[Tensor, "b n m 3 3"]
    concentrations: Float[Tensor, "b n m"]
    residue: Float[Tensor, "b n 20"]

    def to(self, dtype: torch.dtype) -> "Prediction":
        """Return it in another precision."""
        return replace(self, **{name: value.to(dtype) for name, value in vars(self).items()})

    def by_factor(self) -> dict[str, Tensor]:
        """Return one tensor for each factor; `RotationHead` reads that of rotations."""
        rotations = (self.rotation, self.turn, self.weights, self.centres, self.concentrations)
        return {
            "translation": self.translation,
            "rotation": torch.cat([part.flatten(2) for part in rotations], -1),
            "residue": self.residue,
        }

    def velocity(
        self, path: IsotropicPath, x: Float[Tensor, "b n 3 3"], t: Float[Tensor, "b n"]
    ) -> Float[Tensor, "b n 3"]:
        """Return the velocity of rotations `x`, a body vector in rad per unit time."""
        return _velocity(path, x, t, self.rotation, self.turn)

    @property
    def posterior(self) -> Mixture:
        """The distribution of the data rotations; its density is by Haar measure of mass 1."""
        return _posterior(self.weights, self.centres, self.concentrations)

    def log_density(self, z: Float[Tensor, "b n 3 3"]) -> Float[Tensor, "b n"]:
        """Return the log density of data rotations: the posterior's, with slopes at any weights."""
        each = self.posterior.components.log_prob(z[..., None, :, :])
        return torch.logsumexp(self.weights.log_softmax(-1) + each, -1)


@dataclass(frozen=True)
class RotationHead(Head):
    """Flow and jump of rotations by their weights, and Langevin diffusion beside.

    The output holds, for each residue, a predicted rotation, a turn, and the log-weights, centres
    and concentrations of modes: see `Prediction`.

    Attributes:
        modes: How many modes.
        flow: The weight of the flow: a number, or a function of time.
        jump: The weight of the jump, likewise.
        noise: How much Langevin diffusion, in units of the path's own variance.
        noise_scale: What the noise is multiplied by, also a function of time; the drift is not.
    """

    modes: int
    flow: WeightLike = 1.0
    jump: WeightLike = 0.0
    noise: float = 0.0
    noise_scale: WeightLike = 1.0

    @property
    def channels(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The numbers of a residue."""
        return sum(self._sizes)

    @property
    def kinds(self) -> Kinds:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The kinds that have a weight."""
        weights = {Flow: self.flow, PosteriorJump: self.jump, RotationDiffusion: self.noise}
        kept = (kind for kind, weight in weights.items() if not weight_of(weight).is_zero())
        return frozenset[type[Generator]](kept)

    def __call__(self, path: Any, output: Tensor, x: Tensor, t: Time) -> Superposition:
        """Return the superposition.

        Raises:
            ValueError: When the rotations of the path cannot have noise.
        """
        rotation, turn, weights, centres, concentrations = self._parts(output)
        posterior = _posterior(weights, centres, concentrations)
        t = expand_time(t, x[..., 0, 0]).expand(x.shape[:-2])
        flow, jump = weight_of(self.flow), weight_of(self.jump)
        parts = Superposition(())
        if not flow.is_zero():
            velocity = _velocity(path, x, t, rotation, turn)
            parts = parts + flow.at(x, t) * Flow(x @ hat(velocity))
        if not jump.is_zero():
            parts = parts + jump.at(x, t) * PosteriorJump(path, t, posterior)
        return parts + self._noise(path, x, t, posterior) if self.noise else parts

    def estimate(self, path: Any, output: Tensor, x: Tensor, t: Time) -> Point:
        """Return the predicted rotation."""
        return Point(self._parts(output)[0])

    def _noise(self, path: Any, x: Tensor, t: Tensor, posterior: Mixture) -> Superposition:
        langevin = fisher_langevin(check_noise(path), x, t, posterior)
        scale = weight_of(self.noise_scale).at(langevin.variance, t)
        spread = self.noise * scale**2 * langevin.variance
        return stationary(RotationDiffusion(self.noise * langevin.drift, spread))

    def _parts(self, output: Tensor) -> tuple[Tensor, ...]:
        """Return rotation, turn, weights, centres and concentrations."""
        # Strided numbers would be rounded otherwise.
        parts = [part.contiguous() for part in output.split(self._sizes, dim=-1)]
        rotation, turn, weights, centres, concentrations = parts
        centres = centres.unflatten(-1, (self.modes, 3, 3))
        return rotation.unflatten(-1, (3, 3)), turn, weights, centres, concentrations

    @property
    def _sizes(self) -> tuple[int, ...]:
        return (9, 3, self.modes, 9 * self.modes, self.modes)


def _posterior(weights: Tensor, centres: Tensor, concentrations: Tensor) -> Mixture:
    return Mixture(weights.softmax(-1), Isotropic(centres, concentrations, FISHER))


def check_noise(path: IsotropicPath) -> FisherPath:
    """Return a path whose rotations can have Langevin noise: their score is known on one alone.

    Raises:
        ValueError: On another.
    """
    if not isinstance(path, FisherPath):
        raise ValueError(f"rotation_noise is for rotations on a FisherPath, not on {path}")
    return path


def _velocity(path: IsotropicPath, x: Tensor, t: Tensor, aim: Tensor, turn: Tensor) -> Tensor:
    towards = isotropic_flow(path, x, t, aim.detach()).velocity
    return vee(relative(x, towards)) + turn


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
        turn, weights, away, narrow, residue = numbers.split(self.sizes, dim=-1)
        away = away.unflatten(-1, (self.modes, 3)) + self.start
        # The first centre is where the frame is predicted: it gets no correction of its own.
        away = torch.cat([torch.zeros_like(away[..., :1, :]), away[..., 1:, :]], dim=-2)
        rotation = output.rotation.float()
        return Prediction(
            translation=output.translation.float(),
            rotation=rotation,
            turn=3 * turn,
            weights=weights,
            centres=rotation[..., None, :, :] @ exp(away),
            concentrations=(3 * narrow).exp().clamp(*_RANGE),
            residue=residue,
        )
