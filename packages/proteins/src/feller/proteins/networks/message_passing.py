r"""Messages between neighbours of a backbone: the network of ProteinMPNN.

A residue has five atoms, N, CA, C, O and an ideal CB, and looks at those with the nearest CA. An
edge is embedded by the distances of all pairs of their atoms, through 16 bumps from 2 to 22
Angstrom, and by how far apart the two are in the chain. An encoder passes messages along edges; a
decoder also shows a residue those of its neighbours that it may see. Lengths are in Angstrom.

Source: Dauparas et al., Science 378 (2022), supplementary methods.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from feller.core.checks import check_sizes
from feller.core.config import tagged
from feller.proteins.structure.chain import UNKNOWN

__all__ = ["Encoded", "MessageNetwork", "MessageNetworkConfig"]

BUMPS, FIRST, LAST = 16, 2.0, 22.0
FAR = 32
"""Steps in the chain beyond which residues are as far apart as any."""
SCALE = 30.0
"""Divides sums of messages."""

N, CA, C, OX, CB = range(5)
# The atom of a residue and that of its neighbour, in the order of the first weights.
PAIRS = (
    *((CA, CA), (N, N), (C, C), (OX, OX), (CB, CB), (CA, N), (CA, C), (CA, OX), (CA, CB)),
    *((N, C), (N, OX), (N, CB), (CB, C), (CB, OX), (OX, C), (N, CA), (C, CA), (OX, CA)),
    *((CB, CA), (C, N), (OX, N), (CB, N), (C, CB), (OX, CB), (C, OX)),
)


class Encoded(NamedTuple):
    """A backbone, encoded.

    Attributes:
        nodes: A vector for each residue.
        edges: One for each of its neighbours.
        near: The numbers of these.
        valid: Whether all of a residue's atoms are known.
    """

    nodes: Float[Tensor, "n d"]
    edges: Float[Tensor, "n k d"]
    near: Int[Tensor, "n k"]
    valid: Bool[Tensor, " n"]


@tagged("proteins/message_network")
@dataclass(frozen=True, kw_only=True)
class MessageNetworkConfig:
    """What a `MessageNetwork` is made of.

    Attributes:
        dim: Size of a vector.
        depth: Layers of the encoder.
        decoder_depth: Layers of the decoder.
        neighbours: How many a residue looks at, itself among them.
    """

    dim: int = 128
    depth: int = 3
    decoder_depth: int = 3
    neighbours: int = 48

    def __post_init__(self) -> None:
        """Check that sizes are at least 1."""
        check_sizes(self, "dim", "neighbours")

    def build(self) -> "MessageNetwork":
        """Make a network with fresh weights."""
        return MessageNetwork(self)


class MessageNetwork(nn.Module):
    """Backbones to logits of residues, each given those that it may see."""

    def __init__(self, config: MessageNetworkConfig) -> None:
        super().__init__()
        self.config = config
        dim, letters = config.dim, UNKNOWN + 1
        self.embed_offset = nn.Linear(2 * FAR + 2, BUMPS)
        self.embed_edge = nn.Linear(BUMPS * (1 + len(PAIRS)), dim, bias=False)
        self.norm = nn.LayerNorm(dim)
        self.edge = nn.Linear(dim, dim)
        self.embed_residue = nn.Embedding(letters, dim)
        self.encoder = nn.ModuleList(_Encoder(dim) for _ in range(config.depth))
        self.decoder = nn.ModuleList(_Layer(dim, 4) for _ in range(config.decoder_depth))
        self.head = nn.Linear(dim, letters)

    def encode(
        self, atoms: Float[Tensor, "n 4 3"], index: Int[Tensor, " n"], valid: Bool[Tensor, " n"]
    ) -> Encoded:
        """Encode the backbone of a chain.

        Args:
            atoms: N, CA, C and O in Angstrom, any finite numbers where they are not known.
            index: Residue numbers.
            valid: Which residues are known.
        """
        atoms = torch.cat([atoms, _beta(atoms)[:, None]], dim=1)
        near = _nearest(atoms[:, CA], valid, self.config.neighbours)
        offset = (index[:, None] - index[near] + FAR).clamp(0, 2 * FAR)
        waves = [self.embed_offset(F.one_hot(offset, 2 * FAR + 2).to(atoms.dtype))]
        for one, other in PAIRS:
            apart = atoms[:, None, one] - atoms[near, other]
            waves.append(_bumps((apart.square().sum(-1) + 1e-6).sqrt()))
        edges = self.edge(self.norm(self.embed_edge(torch.cat(waves, -1))))
        nodes = edges.new_zeros(len(atoms), self.config.dim)
        both = (valid[:, None] & valid[near])[..., None]
        for layer in self.encoder:
            nodes, edges = layer(nodes, edges, near, both, valid)
        return Encoded(nodes, edges, near, valid)

    def forward(
        self, encoded: Encoded, residues: Int[Tensor, "b n"], sees: Bool[Tensor, "b n n"]
    ) -> Float[Tensor, "b n letters"]:
        """Return logits of each residue.

        Args:
            encoded: The backbone.
            residues: The residues; those that nobody sees are not read.
            sees: Which residue (the last axis) each one sees.
        """
        rows = torch.arange(len(encoded.near), device=encoded.near.device)[:, None]
        seen = sees[:, rows, encoded.near][..., None]
        edges = encoded.edges.expand(len(residues), -1, -1, -1)
        letters = torch.where(seen, self.embed_residue(residues)[:, encoded.near], 0.0)
        nodes = encoded.nodes.expand(len(residues), -1, -1)
        blind, valid = nodes[:, encoded.near], encoded.valid[..., None]
        for layer in self.decoder:
            others = torch.where(seen, nodes[:, encoded.near], blind)
            given = torch.cat([edges, letters, others], -1) * valid[..., None]
            nodes = layer(nodes, given) * valid
        return self.head(nodes)


class _Layer(nn.Module):
    """A message from each neighbour, summed, and a perceptron."""

    def __init__(self, dim: int, parts: int) -> None:
        super().__init__()
        self.message = _messages(dim, parts)
        self.norm_message, self.norm_mlp = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.mlp = nn.Sequential(nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim))

    def forward(self, nodes: Tensor, given: Tensor, counts: Tensor | None = None) -> Tensor:
        message = self.message(_beside(nodes, given))
        if counts is not None:
            message = message * counts
        nodes = self.norm_message(nodes + message.sum(-2) / SCALE)
        return self.norm_mlp(nodes + self.mlp(nodes))


class _Encoder(nn.Module):
    """A layer that also renews the edges."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.layer = _Layer(dim, 3)
        self.renewal = _messages(dim, 3)
        self.norm_edge = nn.LayerNorm(dim)

    def forward(
        self, nodes: Tensor, edges: Tensor, near: Tensor, both: Tensor, valid: Tensor
    ) -> tuple[Tensor, Tensor]:
        nodes = self.layer(nodes, torch.cat([edges, nodes[near]], -1), both) * valid[:, None]
        renewed = self.renewal(_beside(nodes, torch.cat([edges, nodes[near]], -1)))
        return nodes, self.norm_edge(edges + renewed)


def _messages(dim: int, parts: int) -> nn.Sequential:
    return nn.Sequential(
        *(nn.Linear(parts * dim, dim), nn.GELU(), nn.Linear(dim, dim), nn.GELU()),
        nn.Linear(dim, dim),
    )


def _beside(nodes: Tensor, given: Tensor) -> Tensor:
    """Return what is given of each neighbour, with the residue's own vector before it."""
    own = nodes[..., None, :].expand(*given.shape[:-1], nodes.shape[-1])
    return torch.cat([own, given], -1)


def _beta(atoms: Tensor) -> Tensor:
    """Return the ideal position of CB."""
    b, c = atoms[:, CA] - atoms[:, N], atoms[:, C] - atoms[:, CA]
    a = torch.linalg.cross(b, c)
    return -0.58273431 * a + 0.56802827 * b - 0.54067466 * c + atoms[:, CA]


def _nearest(ca: Tensor, valid: Tensor, count: int) -> Tensor:
    """Return the residues with the nearest CA; those that are not known come last."""
    both = valid[:, None] & valid
    apart = ((ca[:, None] - ca).square().sum(-1) + 1e-6).sqrt() * both
    farthest = apart.amax(-1, keepdim=True)
    return torch.where(both, apart, farthest).topk(min(count, len(ca)), largest=False).indices


def _bumps(distance: Tensor) -> Tensor:
    middles = torch.linspace(FIRST, LAST, BUMPS, device=distance.device, dtype=distance.dtype)
    return torch.exp(-(((distance[..., None] - middles) / ((LAST - FIRST) / BUMPS)) ** 2))
