"""Protein models: a network read as a process on positions, rotations and residues.

Positions follow the Gaussian path of the core, rotations their own path on which they flow, jump,
or do both with weights, and residues the mask chain of the core: three factors of one product
state, each with its own clock, per residue if necessary.
"""

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import feller.proteins.inverse_folding  # noqa: F401  (registers the type of its models)
from feller.core.checks import check_weights
from feller.core.config import tagged
from feller.core.generators import Generator, Product
from feller.core.heads import FlowHead, Kinds, PosteriorHead, ProductHead
from feller.core.models import GeneratorModel, Model
from feller.core.paths import GaussianPath, MixturePath
from feller.core.schedules import CondOT, Schedule
from feller.core.sources import Masked
from feller.core.spaces import Tokens
from feller.core.training import ModelConfig
from feller.core.weights import WeightLike
from feller.core.wrapped_heads import LangevinHead, TemperedHead
from feller.proteins.codec import ProteinCodec, consecutive
from feller.proteins.design.conditioning import Given, nothing
from feller.proteins.design.page import Chains
from feller.proteins.networks import FrameTransformerConfig
from feller.proteins.networks.heads import FrameHeads, Prediction, RotationHead
from feller.proteins.paths import FramePath
from feller.proteins.so3.paths import FisherPath, HeatKernelPath
from feller.proteins.structure.chain import UNKNOWN, Chain
from feller.proteins.times import residue_clocks

__all__ = ["MASK", "ProteinModel", "ProteinModelConfig"]

MASK = UNKNOWN
"""The id of a residue that is not known."""


@tagged("proteins/model")
@dataclass(frozen=True, kw_only=True)
class ProteinModelConfig(ModelConfig):
    """What a `ProteinModel` is made of.

    Attributes:
        network: Its network.
        rotation: The path of rotations.
        residue: The schedule of residues.
        modes: Number of Fisher modes in the predicted distribution of a data rotation.
        flow: Default weight of the flow of rotations in sampling, 0 to 1.
        jump: Default weight of their jump, 0 to 1.
        noise: Default Langevin noise of positions, in nm^2 per unit time.
        rotation_noise: Default Langevin noise of rotations, in units of their path's variance.
        noise_scale: Default factor on all noise, up to t = 1/2.
        final_noise_scale: Default factor at t = 1, reached linearly from t = 1/2; `noise_scale` if
            None.
        repulsion: Default weight of the repulsion of residues that overlap, 0 for none.
        sequence: Whether it is trained on residues; otherwise samples have unknown residues.
        codec: Converts between atoms and frames.
    """

    network: FrameTransformerConfig = field(default_factory=FrameTransformerConfig)
    rotation: FisherPath | HeatKernelPath = field(default_factory=FisherPath)
    residue: Schedule = field(default_factory=CondOT)
    modes: int = 4
    flow: float = 1.0
    jump: float = 0.0
    noise: float = 0.0
    rotation_noise: float = 0.0
    noise_scale: float = 1.0
    final_noise_scale: float | None = None
    repulsion: float = 0.0
    sequence: bool = True
    codec: ProteinCodec = field(default_factory=ProteinCodec)

    def __post_init__(self) -> None:
        """Check weights, noise, repulsion and the number of modes."""
        check_weights("flow and jump", (self.flow, self.jump))
        for name in ("noise", "rotation_noise", "noise_scale", "final_noise_scale", "repulsion"):
            if not 0 <= (getattr(self, name) or 0.0) < math.inf:
                raise ValueError(f"{name} is at least 0 and finite, not {getattr(self, name)}")
        if self.modes < 1:
            raise ValueError(f"modes is at least 1, not {self.modes}")

    @property
    def path(self) -> FramePath:
        """The conditional path of the state."""
        return FramePath(
            {
                "translation": GaussianPath(),
                "rotation": self.rotation,
                "residue": MixturePath(Tokens(MASK + 1), Masked(MASK), self.residue),
            }
        )

    def head(
        self,
        *,
        noise: float = 0.0,
        rotation_noise: float = 0.0,
        noise_scale: WeightLike = 1.0,
        temperature: float = 1.0,
        flow: WeightLike | None = None,
        jump: WeightLike | None = None,
    ) -> ProductHead:
        """Return how the network's output is read, without noise unless it is asked for.

        Args:
            noise: Langevin noise of positions; its variance is noise (1 - t) / (t + 0.05) nm^2 per
                unit time.
            rotation_noise: That of rotations, in units of their path's own variance.
            noise_scale: What noise is multiplied by, also a function of time: below 1 samples are
                more typical, and less diverse, than the distribution.
            temperature: Of residues; towards 0 they are the most likely ones.
            flow: The weight of the flow of rotations, also a function of time; its own if None.
            jump: That of their jump.
        """
        flow, jump = self.flow if flow is None else flow, self.jump if jump is None else jump
        position, residue = FlowHead("x_1"), PosteriorHead(MASK)
        rotation = RotationHead(self.modes, flow, jump, rotation_noise, noise_scale)
        moved = LangevinHead(position, lambda t: noise * (1 - t) / (t + 0.05), noise_scale)
        return ProductHead(
            {
                "translation": moved if noise else position,
                "rotation": rotation,
                "residue": TemperedHead(residue, temperature),
            }
        )

    def build(self) -> "ProteinModel":
        """Make the model with fresh weights."""
        return ProteinModel(self)


class ProteinModel(nn.Module, Model):
    """A model of backbones and their residues.

    Example:
        >>> model = ProteinModelConfig().build()
        >>> chains = model.sample(2, length=12, steps=3)
        >>> len(chains), chains[0].atoms.shape
        (2, (12, 4, 3))
    """

    kinds: Kinds = frozenset({Product})

    def __init__(self, config: ProteinModelConfig) -> None:
        super().__init__()
        self.config, self.codec, self.path = config, config.codec, config.path
        self.network = config.network.build()
        self.heads = FrameHeads(config.network.dim, config.modes)

    def weighted(self, *, flow: float, jump: float) -> "ProteinModel":
        """Return the model with other weights of rotations' flow and jump; weights are shared.

        Example:
            >>> ProteinModelConfig().build().weighted(flow=0.5, jump=0.5).config.jump
            0.5
        """
        twin = copy.copy(self)
        twin.config = replace(self.config, flow=flow, jump=jump)
        return twin

    def forward(
        self,
        x: Any,
        t: Any,
        condition: Any = None,
        *,
        previous: Tensor | None = None,
        predict: bool = False,
    ) -> Generator | Prediction:
        """Return the generator at the states `x` and the clocks `t`.

        Args:
            x: States: a dict of the three factors.
            t: One time, or a time for each factor: one number, one a sample, or one a residue.
            condition: The index of the residues; consecutive if None. Or a dict of what the network
                are its conditions by name, and of the `index`.
            previous: Positions predicted before, `(b, n, 3)`, not a number in rows without any; for
                a network with self-conditioning.
            predict: Whether to return the prediction instead. Losses pass through `forward`, where
                data parallel training looks.
        """
        if predict:
            return self._predict(x, t, condition, previous)
        return GeneratorModel(self.by_factor, self.path, self.config.head())(x, t, condition)

    def by_factor(
        self, x: Any, t: Any, condition: Any = None, previous: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Return the numbers of each factor that `ProteinModelConfig.head` reads."""
        return self._predict(x, t, condition, previous).by_factor()

    def _predict(self, x: Any, t: Any, condition: Any, previous: Tensor | None) -> Prediction:
        clocks = residue_clocks(x, t)
        named = dict(condition) if isinstance(condition, Mapping) else {"index": condition}
        given = named.pop("index", None)
        index = consecutive(x["residue"].shape, x["residue"]) if given is None else given
        found = self.heads(self.network(x, clocks, index, previous, *([named] if named else [])))
        known = (clocks["translation"] == 1).any(1, keepdim=True)[..., None]
        # Data are centred, but for those about a motif, which knows where it is.
        centred = found.translation - found.translation.mean(1, keepdim=True)
        return replace(found, translation=torch.where(known, found.translation, centred))

    def sample(
        self,
        n: int,
        *,
        length: int = 80,
        given: Given | None = None,
        seed: int = 0,
        **sampling: Any,
    ) -> list[Chain]:
        """Sample backbones with residues, which a notebook shows in three dimensions.

        Args:
            n: How many.
            length: Residues of each, if nothing is given.
            given: What is known of them: see `feller.proteins.design.conditioning`.
            seed: Chain i depends on the seed and on i, not on `n`.
            sampling: Fields of `feller.proteins.sampling.Sampling`: steps, flow, jump, batch_size,
                and so on.
        """
        from feller.proteins.drawing import draw
        from feller.proteins.sampling import Sampling

        given = nothing(length) if given is None else given
        drawing = draw(self, n, given, Sampling(**sampling), seed=seed)
        return Chains(given.restored(chain) for chain in self.codec.decode(drawing.state))

    def preview(self, stem: Path) -> None:
        """Write four samples and how sound they are."""
        from feller.proteins.structure.writing import write_chains

        write_chains(self.sample(4, length=64, steps=50), stem)
