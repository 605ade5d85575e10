r"""Sequences for a backbone: a chain of masks whose posterior is a message network's.

The network is autoregressive in any order: a residue sees those before it. On a chain of masks a
masked residue sees all known ones, which see each other in an order. If masks are revealed one by
one in that order, the chain is the network's own: the likelihood of a sequence is exact, a product
of conditionals, and not a bound.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from feller.core import random
from feller.core.checks import check_count, check_seed
from feller.core.config import tagged
from feller.core.discrete.categorical import Shaping
from feller.core.discrete.models import Ids, TokenModel
from feller.core.discrete.parametrizations import TokenParametrization
from feller.core.discrete.solvers import FirstHitting, follow_turns, token_state
from feller.core.nn.modes import evaluating
from feller.core.paths import MixturePath
from feller.core.solvers import Evaluation
from feller.core.sources import Masked
from feller.core.spaces import Tokens
from feller.core.training import ModelConfig
from feller.proteins.networks.message_passing import Encoded, MessageNetwork, MessageNetworkConfig
from feller.proteins.structure.chain import LETTERS, UNKNOWN, Chain
from feller.proteins.structure.frames import with_missing_oxygens

__all__ = ["InverseFoldingConfig", "InverseFoldingModel", "OnBackbone"]

IDS = Ids(size=UNKNOWN + 2, sampleable=UNKNOWN + 1, mask=UNKNOWN + 1)
"""Residues, the unknown one, and the mask."""


@tagged("proteins/inverse_folding")
@dataclass(frozen=True, kw_only=True)
class InverseFoldingConfig(ModelConfig):
    """What an `InverseFoldingModel` is made of."""

    network: MessageNetworkConfig

    def build(self) -> "InverseFoldingModel":
        """Make the model with fresh weights."""
        return InverseFoldingModel(self)


class InverseFoldingModel(nn.Module):
    """A model of the sequences of a backbone.

    Example:
        >>> config = InverseFoldingConfig(network=MessageNetworkConfig(dim=8, depth=1))
        >>> model = config.build().eval()
        >>> atoms = np.random.default_rng(0).normal(size=(6, 4, 3)).astype(np.float32)
        >>> index = np.arange(6, dtype=np.int32)
        >>> chain = Chain("x", atoms, np.full(6, UNKNOWN, dtype=np.uint8), index)
        >>> [len(sequence) for sequence in model.sample(chain, 2)]
        [6, 6]
    """

    def __init__(self, config: InverseFoldingConfig) -> None:
        super().__init__()
        self.config = config
        self.network = config.network.build()

    def given(self, chain: Chain, order: Int[Tensor, " n"] | None = None) -> "OnBackbone":
        """Return the model of tokens on one backbone.

        Oxygens that are missing are placed; a residue without N, CA or C is not seen.

        Args:
            chain: The backbone.
            order: The order in which residues see each other; that of the chain if None.
        """
        like, known = next(self.parameters()), chain.has_frame
        given = torch.from_numpy(chain.atoms), torch.from_numpy(chain.breaks)
        atoms = with_missing_oxygens(*given).to(like)
        index = torch.from_numpy(chain.positions.astype(np.int64)).to(like.device)
        valid = torch.from_numpy(known).to(like.device)
        atoms = torch.where(valid[:, None, None], atoms, 0.0)
        order = torch.arange(len(chain)) if order is None else order
        encoded = self.network.encode(atoms, index, valid)
        return OnBackbone(self.network, encoded, order.argsort().to(like.device))

    def sample(
        self,
        chain: Chain,
        n: int,
        *,
        temperature: float = 1.0,
        keep: tuple[int, ...] = (),
        seed: int = 0,
    ) -> list[str]:
        """Draw sequences, residue by residue in a random order.

        Args:
            chain: The backbone; residues without N, CA or C stay, oxygens are placed.
            n: How many.
            temperature: Divides the logits.
            keep: Residues of the chain that stay, counted from 0.
            seed: Sequence i depends on the seed and on i.

        Raises:
            ValueError: On numbers out of range.
        """
        check_count("n", n)
        check_seed(seed)
        for i in keep:
            if not 0 <= i < len(chain):
                raise ValueError(f"keep: {chain.name} has residues 0 ... {len(chain) - 1}, not {i}")
        with evaluating(self):
            model = self.given(chain)
            free = model.encoded.valid.clone()
            free[list(keep)] = False
            x = torch.from_numpy(chain.residues.astype(np.int64)).to(free.device).expand(n, -1)
            rng = random.rows(seed, 0, n, stream="sample")
            solver = FirstHitting(shaping=Shaping(temperature, without=(UNKNOWN,)))
            begun = token_state(model, x, rng, free=free.expand(n, -1))
            *_, last = follow_turns(Evaluation(model), begun, None, solver, rng)
        return ["".join((LETTERS + "X")[code] for code in row) for row in last.x.tolist()]

    def log_probs(
        self, chain: Chain, order: Int[Tensor, " n"] | None = None
    ) -> Float[Tensor, "n letters"]:
        """Return log-probabilities of each residue, given those before it in an order.

        Those of the residues that are there sum to the log-likelihood of the sequence in that
        order, exactly; the mean over orders of what one order gives is a bound.
        """
        model = self.given(chain, order)
        residues = torch.from_numpy(chain.residues.astype(np.int64)).to(model.rank.device)
        return model.logits(residues[None], torch.ones(1))[0].log_softmax(-1)


@dataclass(frozen=True)
class OnBackbone(TokenModel):
    """A model of tokens on one backbone.

    Attributes:
        network: The network.
        encoded: The backbone.
        rank: When each residue comes in the order.
    """

    network: MessageNetwork
    encoded: Encoded
    rank: Int[Tensor, " n"]
    path: ClassVar[MixturePath] = MixturePath(Tokens(IDS.size), Masked(UNKNOWN + 1))
    vocabulary: ClassVar[Ids] = IDS
    parametrization: ClassVar[TokenParametrization] = "posterior"

    def logits(
        self, x: Tensor, kappa: Any, condition: None = None, *, where: Tensor | None = None
    ) -> Tensor:
        """Return logits of residues: of a masked one given all known, of others those before."""
        masked = x == UNKNOWN + 1
        before = self.rank < self.rank[:, None]
        sees = ~masked[:, None] & (masked[..., None] | before)
        found = self.network(self.encoded, x.masked_fill(masked, 0), sees)
        return found if where is None else found[where]
