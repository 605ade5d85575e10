r"""The transformer on frames: residues to hidden states, and frames to an estimate of the data's.

Blocks come in groups. A group looks at the frames as they are, through what no motion of the world
changes (`features`): pairs bias attention, and the neighbours in the chain, whose bonds are the
first thing to get right, are shown directly, with the strain of these bonds. At its end it moves
each frame in its own coordinates,

.. math:: x \leftarrow x + R \, s_t \, d, \qquad R \leftarrow R \exp(\hat{w}),

with (d, w) six numbers of each residue, zero in a fresh network. Rotating and shifting the world
rotates and shifts what comes out, exactly; hidden states do not change.

On the path x_t = t x_1 + (1 - t) x_0 of translations, x_1 - x_t = (1 - t)(x_1 - x_0): the length
s_t is 0.5 nm times 1 - t, and no less than a tenth of that. Where a factor's clock stands at 1 the
frame is known, and is not moved in that factor.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import torch
import tyro
from jaxtyping import Float, Int
from torch import Tensor, nn

from feller.core.config import tagged
from feller.core.nn.conditions import Conditions
from feller.core.nn.modes import without_autocast
from feller.proteins.networks.blocks import (
    ChainEmbedding,
    ClockEmbedding,
    EndEmbedding,
    FrameBlock,
    Modulated,
    PairBias,
)
from feller.proteins.networks.features import (
    ATOMS,
    GEOMETRY,
    LINKS,
    SURROUNDINGS,
    atom_distances,
    geometry,
    links,
    surroundings,
)
from feller.proteins.so3.rotations import exp

__all__ = ["FrameOutput", "FrameTransformer", "FrameTransformerConfig"]

_LENGTH = 0.5  # nanometres
_RESIDUES = 21

# A slice of a batch: the features of so many pairs stay in the cache of a core. Products of
# matrices with fewer residues than that may round otherwise, and samples would depend on slices.
_PAIRS, _FEWEST = 50_000, 400


@tagged("proteins/frame_transformer")
@dataclass(frozen=True, kw_only=True)
class FrameTransformerConfig:
    """Size and options of a `FrameTransformer`.

    Attributes:
        dim: Channels of a residue.
        pair: Channels of a pair of residues.
        depth: Number of blocks.
        num_heads: Heads of attention.
        updates: Number of frame updates: one after every `depth / updates` blocks.
        points: Points per attention head (invariant point attention); 0 for none.
        atom_distances: Whether pairs include the distances between CB and CB and between O and N:
            which side chains touch, and where hydrogen bonds are.
        self_conditioning: Whether the network sees the distances of its previous estimate.
        dropout: Probability of dropping a value at the end of a branch, in training.
        conditions: Named conditions of a chain.
    """

    dim: int = 96
    pair: int = 32
    depth: int = 4
    num_heads: int = 4
    updates: int = 2
    points: int = 0
    atom_distances: bool = False
    self_conditioning: bool = False
    dropout: float = 0.0
    conditions: Annotated[Conditions | None, tyro.conf.Fixed] = None

    def __post_init__(self) -> None:
        """Reject sizes that do not divide, and conditions that are images."""
        if self.conditions:
            self.conditions.check_vectors("frames")
        if self.updates < 1 or self.depth < 1 or self.depth % self.updates:
            raise ValueError(f"{self.updates} updates cannot share {self.depth} blocks equally")
        if self.dim % self.num_heads:
            raise ValueError(f"{self.num_heads} heads cannot share {self.dim} channels equally")

    def build(self) -> "FrameTransformer":
        """Make a network with fresh weights."""
        return FrameTransformer(self)


@dataclass(frozen=True)
class FrameOutput:
    """What a network on frames returns.

    Attributes:
        hidden: Numbers of each residue that no motion of the world changes.
        translation: Estimated positions in the data, in nanometres.
        rotation: Estimated rotations in the data.
    """

    hidden: Float[Tensor, "b n d"]
    translation: Float[Tensor, "b n 3"]
    rotation: Float[Tensor, "b n 3 3"]


class FrameTransformer(nn.Module):
    """Frames, residues and clocks to hidden states and an estimate of the data's frames.

    Args:
        config: Size and options.

    Example:
        >>> from feller.proteins.so3.rotations import exp
        >>> network = FrameTransformerConfig(dim=32, depth=2, num_heads=4).build()
        >>> rotation, residue = exp(torch.randn(1, 7, 3)), torch.full((1, 7), 20)
        >>> x = {"translation": torch.randn(1, 7, 3), "rotation": rotation, "residue": residue}
        >>> clocks = {name: torch.zeros(1, 7) for name in x}
        >>> network(x, clocks, torch.arange(7)[None]).hidden.shape
        torch.Size([1, 7, 32])
    """

    def __init__(self, config: FrameTransformerConfig) -> None:
        super().__init__()
        self.config = config
        self.residue = nn.Embedding(_RESIDUES, config.dim)
        self.ends = EndEmbedding(config.dim)
        self.clocks = ClockEmbedding(config.dim)
        self.chain = ChainEmbedding(config.pair, self_conditioning=config.self_conditioning)
        self.groups = nn.ModuleList(_Group(config) for _ in range(config.updates))
        if config.conditions:
            self.embed_condition = config.conditions.build(config.dim)

    def forward(
        self,
        x: dict[str, Tensor],
        clocks: dict[str, Tensor],
        index: Int[Tensor, "b n"],
        previous: Float[Tensor, "b n 3"] | None = None,
        condition: Mapping[str, Tensor | None] | None = None,
    ) -> FrameOutput:
        """Apply the network.

        Args:
            x: `translation` (b, n, 3) in nanometres, `rotation` (b, n, 3, 3) and `residue` (b, n),
                ids of which 20 is the mask.
            clocks: The times of each, (b, n). One number a sample, expanded to (b, n) and not
                copied, makes the network up to a fifth cheaper.
            index: Numbers of residues.
            previous: An earlier estimate of the translations; None, or not a number, where there
                is none.
            condition: The conditions of each chain by name; None for none.

        Raises:
            ValueError: When a network without self-conditioning is given an earlier estimate, or
                one without conditions is given some.
        """
        if condition and not self.config.conditions:
            raise ValueError("conditions were given to a network without any (conditions=None)")
        if previous is not None and not self.config.self_conditioning:
            raise ValueError("a network with self_conditioning=False takes no earlier estimate")
        slices = 1 if self.training else _slices(x["residue"])
        if slices == 1:
            return self._output(x, clocks, index, previous, condition)
        parts = zip(
            _sliced(x, slices),
            _sliced(clocks, slices),
            index.tensor_split(slices),
            [None] * slices if previous is None else previous.tensor_split(slices),
            [None] * slices if not condition else _sliced(_told(condition), slices),
            strict=True,
        )
        outputs = [vars(self._output(*part)) for part in parts]
        return FrameOutput(**{k: torch.cat([found[k] for found in outputs]) for k in outputs[0]})

    def _output(
        self,
        x: dict[str, Tensor],
        clocks: dict[str, Tensor],
        index: Tensor,
        previous: Tensor | None,
        condition: Any,
    ) -> FrameOutput:
        """Apply the network to all rows at once."""
        hidden, embedding = self.residue(x["residue"]) + self.ends(index), self.clocks(clocks)
        if self.config.conditions:
            embedding = embedding + self.embed_condition(condition, batch=len(index))[:, None]
        chain = self.chain(index, previous)
        frames = x["translation"], x["rotation"]
        seen = hidden
        for group in self.groups:
            hidden, seen, change = group(hidden, embedding, chain, frames, index)
            frames = _moved(frames, change, clocks)
        return FrameOutput(seen, *frames)


def _slices(residue: Tensor) -> int:
    """Return in how many slices a batch costs least; accelerators take it whole."""
    b, n = residue.shape
    if residue.device.type != "cpu" or not n:
        return 1
    rows = max(_PAIRS // n**2, math.ceil(_FEWEST / n))
    return max(1, b // rows)


def _told(condition: Mapping[str, Tensor | None]) -> dict[str, Tensor]:
    return {name: value for name, value in condition.items() if value is not None}


def _sliced(values: dict[str, Tensor], slices: int) -> list[dict[str, Tensor]]:
    parts = zip(*(value.tensor_split(slices) for value in values.values()), strict=True)
    return [dict(zip(values, part, strict=True)) for part in parts]


class _Group(nn.Module):
    """Blocks that see the frames as they are, and how to move these."""

    def __init__(self, config: FrameTransformerConfig) -> None:
        super().__init__()
        depth = config.depth // config.updates
        self.look = nn.Linear(SURROUNDINGS + LINKS, config.dim)
        self.sees_atoms = config.atom_distances
        seen = GEOMETRY + ATOMS * self.sees_atoms
        self.pairs = PairBias(config.dim, config.pair, depth * config.num_heads, seen)
        self.blocks = nn.ModuleList(
            FrameBlock(config.dim, config.num_heads, config.points, config.dropout)
            for _ in range(depth)
        )
        self.norm = Modulated(config.dim)
        self.move = nn.Linear(config.dim, 6)
        nn.init.zeros_(self.move.weight)
        nn.init.zeros_(self.move.bias)

    def forward(
        self,
        x: Tensor,
        embedding: Tensor,
        chain: Tensor,
        frames: tuple[Tensor, Tensor],
        index: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return the residues, their norm as the clocks modulate it, and (d, w)."""
        with without_autocast(x):
            position, rotation = frames
            position = position - position.mean(1, keepdim=True)
            here = position, rotation, index
            around = torch.cat([surroundings(*here), links(*here)], dim=-1)
            seen = geometry(position, rotation)
            if self.sees_atoms:
                seen = torch.cat([seen, atom_distances(*here)], dim=-1)
        x = x + self.look(around.to(self.look.weight.dtype))
        biases, taken = self.pairs(x, chain, seen)
        x = x + taken
        for block, bias in zip(self.blocks, biases.chunk(len(self.blocks), dim=1), strict=True):
            x = block(x, embedding, bias, position, rotation)
        (normed,) = self.norm(x, embedding)
        return x, normed, self.move(normed)


def _moved(
    frames: tuple[Tensor, Tensor], change: Tensor, clocks: dict[str, Tensor]
) -> tuple[Tensor, Tensor]:
    """Move frames in their own coordinates, where they are not known."""
    translation, rotation = frames
    with without_autocast(translation):
        change = change.to(translation.dtype)
        t = clocks["translation"][..., None].to(translation.dtype)
        length = torch.where(t < 1, _LENGTH * (1 - t).clamp_min(0.1), 0.0)
        step = rotation @ (length * change[..., :3])[..., None]
        turned = rotation @ exp(change[..., 3:])
        known = clocks["rotation"][..., None, None] == 1
        return translation + step[..., 0], torch.where(known, rotation, turned)
