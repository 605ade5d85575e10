"""The model: positions on a Gaussian path, elements on a chain of masks, one equivariant network.

The network reads distances alone, and moves atoms along the lines between them: turned, mirrored,
moved or reordered states give outputs that are so, too (Satorras et al., arXiv 2102.09844). Pairs
of atoms have a state of their own, which biases the attention of atoms and is read by it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import layer_norm, silu

from feller.core.codec import Codec
from feller.core.config import tagged
from feller.core.grids import power_grid
from feller.core.heads import FlowHead, PosteriorHead, ProductHead
from feller.core.models import GeneratorModel
from feller.core.nn.embeddings import sinusoids
from feller.core.paths import GaussianPath, MixturePath, ProductPath
from feller.core.solvers import EndWithEstimate, Euler, simulate
from feller.core.sources import Masked
from feller.core.spaces import Euclidean, Tokens
from feller.core.times import expand_time
from feller.core.training import Completed, ModelConfig

SCALE = 1.4  # Angstrom in one unit: the spread of positions in QM9
MASK = 5  # the token of an element that is not known yet
RADII = 24  # distances are seen by so many bumps, narrow where bonds are

State = Mapping[str, Tensor]


@tagged("molecules/codec")
@dataclass(frozen=True)
class MoleculeCodec(Codec):
    """Positions in Angstrom against positions about their centre, in units of `SCALE`."""

    def encode(self, raw: State, rng: Any = None) -> tuple[State, None]:
        place = raw["position"]
        return {**raw, "position": (place - place.mean(1, keepdim=True)) / SCALE}, None

    def decode(self, z: State) -> list[State]:
        rows = zip(SCALE * z["position"], z["element"], strict=True)
        return [{"position": place, "element": element} for place, element in rows]

    def drop(self, condition: Any, where: Tensor) -> Any:
        raise ValueError("molecules have no condition to drop")


@tagged("molecules/model")
@dataclass(frozen=True, kw_only=True)
class MoleculeConfig(ModelConfig):
    """Sizes of the network, and how many molecules of each size, from 0, the data have."""

    dim: int = 128
    pair: int = 40
    depth: int = 5
    heads: int = 8
    sizes: tuple[int, ...] = ()
    codec: MoleculeCodec = field(default_factory=MoleculeCodec)

    def completed(self, recipe: Any, data: Any) -> Completed:
        counts = tuple(torch.bincount(data.groups).tolist())
        return Completed(replace(recipe, model=replace(self, sizes=counts)), data)

    def build(self) -> "MoleculeModel":
        return MoleculeModel(self)


class MoleculeModel(GeneratorModel):
    """What a recipe trains, `load` loads and molecules are drawn of."""

    def __init__(self, config: MoleculeConfig) -> None:
        elements = MixturePath(Tokens(MASK + 1), Masked(MASK))
        path = ProductPath({"position": GaussianPath(Euclidean(2)), "element": elements})
        head = ProductHead({"position": FlowHead("x_1"), "element": PosteriorHead(MASK)})
        super().__init__(Network(config), path, head)
        self.config, self.codec = config, config.codec

    @torch.no_grad()
    def sample(self, n: int, *, steps: int = 50, seed: int = 0, batch: int = 100) -> list[State]:
        """Draw molecules, each of as many atoms as one of the data; rows of one size together."""
        rng, drawn = torch.Generator().manual_seed(seed), []
        weights = torch.tensor(self.config.sizes, dtype=torch.float64)
        sizes = torch.multinomial(weights, n, replacement=True, generator=rng)
        for size in sizes.unique().tolist():
            for rows in sizes[sizes == size].split(batch):
                shapes = {"position": (len(rows), size, 3), "element": (len(rows), size)}
                x_0 = self.path.sample_source(shapes, rng, like={"position": torch.zeros(1)})
                grid, solver = power_grid(steps, 1.5), EndWithEstimate(Euler())
                drawn += self.codec.decode(simulate(self, x_0, grid, solver, rng).state)
        return drawn


class Network(nn.Module):
    """Where atoms end up, and logits of their elements, from states and the time."""

    def __init__(self, config: MoleculeConfig) -> None:
        super().__init__()
        dim, pair = config.dim, config.pair
        self.element = nn.Embedding(MASK + 1, dim)
        self.size = nn.Embedding(64, dim)
        self.clock = nn.Sequential(nn.Linear(64, dim), nn.SiLU(), nn.Linear(dim, dim))
        self.blocks = nn.ModuleList(Block(dim, pair, config.heads) for _ in range(config.depth))
        self.leave = nn.Linear(dim, MASK)

    def forward(self, x: State, t: State, condition: None = None) -> dict[str, Tensor]:
        place, clock = x["position"], t["position"]
        alpha = expand_time(clock, place)
        spread = (alpha**2 + (1 - alpha) ** 2).sqrt()  # of states: what is seen is of one size
        start = y = (place - place.mean(1, keepdim=True)) / spread
        now = self.clock(sinusoids(1000 * clock, 64))[:, None]
        atoms = self.element(x["element"]) + self.size.weight[place.shape[1]] + now
        pairs = None
        for block in self.blocks:
            atoms, pairs, y = block(atoms, pairs, y, now)
        # The best guess that knows no chemistry, and what is learnt, of one size at all times.
        end = alpha / spread * start + (1 - alpha) / spread * (y - start)
        end = end - end.mean(1, keepdim=True)  # as data are centred
        return {"position": end, "element": self.leave(layer_norm(atoms, atoms.shape[-1:]))}


class Block(nn.Module):
    """Pairs see their atoms and distance; atoms see atoms and pairs, and move along the lines."""

    def __init__(self, dim: int, pair: int, heads: int) -> None:
        super().__init__()
        self.heads, self.splits = heads, (pair, heads, 1)
        self.shift = nn.Linear(dim, 4 * dim)
        self.radial = nn.Linear(RADII, pair, bias=False)
        self.carry = nn.Linear(pair, pair, bias=False)
        self.ends = nn.Linear(dim, 2 * pair)
        self.mix = nn.Linear(pair, sum(self.splits))
        self.qkv = nn.Linear(dim, 3 * dim)
        self.out = nn.Linear(dim + heads * pair, dim)
        self.mlp = nn.Sequential(nn.Linear(dim, 3 * dim), nn.SiLU(), nn.Linear(3 * dim, dim))
        self.register_buffer("centres", torch.linspace(0, 1, RADII), persistent=False)
        for layer in (self.shift, self.out, self.mlp[2]):
            nn.init.zeros_(layer.weight)  # pyright: ignore[reportArgumentType]
        nn.init.normal_(self.mix.weight, std=0.02)

    def forward(self, atoms: Tensor, pairs: Tensor | None, y: Tensor, now: Tensor) -> Any:
        a, b, c, d = self.shift(silu(now)).chunk(4, -1)
        seen = layer_norm(atoms, atoms.shape[-1:]) * (1 + a) + b
        here = y.detach()  # each block learns its own step: gradients through distances are wild
        away = (here[:, :, None] - here[:, None]).square().sum(-1).sqrt()
        near = torch.exp(-((torch.exp(-away)[..., None] - self.centres) * RADII).square())
        left, right = self.ends(seen).chunk(2, -1)
        known = self.radial(near) if pairs is None else self.radial(near) + self.carry(pairs)
        hidden = silu(known + left[:, :, None] + right[:, None])
        more, bias, pull = self.mix(hidden).split(self.splits, -1)
        q, k, v = self.qkv(seen).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        weight = (q @ k.mT * q.shape[-1] ** -0.5 + bias.permute(0, 3, 1, 2)).softmax(-1)
        mixed = (weight @ v).transpose(1, 2).flatten(2)
        of_pairs = (weight.transpose(1, 2) @ hidden).flatten(2)
        atoms = atoms + self.out(torch.cat([mixed, of_pairs], -1))
        seen = layer_norm(atoms, atoms.shape[-1:]) * (1 + c) + d
        force = pull.squeeze(-1) / (1 + away) / y.shape[1] ** 0.5
        y = y + force.sum(-1, keepdim=True) * here - force @ here
        return atoms + self.mlp(seen), more if pairs is None else pairs + more, y
