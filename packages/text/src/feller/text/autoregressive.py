"""The autoregressive baseline: the same blocks, looking to the left only.

Its likelihood is exact: log p(x) is the sum of the log-probabilities of each token given those
before. The mask id, which no text holds, stands before the first token.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from feller.core import random
from feller.core.config import tagged
from feller.core.discrete.chunked_logits import Reading, read_chunks
from feller.core.generators.rows import draw_category
from feller.core.losses import Loss
from feller.core.nn.modes import evaluating
from feller.core.paths import MixturePath
from feller.core.sources import Masked
from feller.core.spaces import Tokens
from feller.core.training import ModelConfig
from feller.core.typing import Rng
from feller.text.codec import TextCodec
from feller.text.networks import TextTransformerConfig
from feller.text.vocabulary import Vocabulary

__all__ = ["CausalModel", "CausalModelConfig", "NextToken"]


@tagged("text/causal_model")
@dataclass(frozen=True, kw_only=True)
class CausalModelConfig(ModelConfig):
    """What a `CausalModel` is made of.

    Attributes:
        network: Its network, with `causal`.
        codec: The tokenizer and the length of a context.
    """

    network: TextTransformerConfig
    codec: TextCodec

    def __post_init__(self) -> None:
        """Reject a network that looks ahead."""
        if not self.network.causal or self.network.conditioned:
            raise ValueError("a causal model has network.causal, and is not conditioned on kappa")
        if self.network.num_classes:
            raise ValueError("a causal model takes no labels: network.num_classes is 0 for it")

    @property
    def vocabulary(self) -> Vocabulary:
        """The layout of the ids; the mask stands before the first token."""
        return self.codec.vocabulary(has_mask=True)

    def build(self) -> "CausalModel":
        """Make the model with fresh weights."""
        return CausalModel(self)


class CausalModel(nn.Module):
    """A model of each token given those before it.

    Attributes:
        is_chain: Whether it is drawn by simulation: it is not.

    Example:
        >>> from feller.text.recipes import shakespeare_ar
        >>> model = shakespeare_ar().model.build()
        >>> model.log_probability(model.codec.tokens("To be")[None]).shape
        torch.Size([1, 5])
    """

    is_chain: ClassVar[bool] = False

    def __init__(self, config: CausalModelConfig) -> None:
        super().__init__()
        self.config = config
        self.codec = config.codec
        self.vocabulary = config.vocabulary
        # What the training loop asks of every model; the loss looks at no noise.
        self.path = MixturePath(Tokens(self.vocabulary.size), Masked(self.vocabulary.sampleable))
        self.network = config.network.build(config.vocabulary)

    def forward(
        self, x: Int[Tensor, "b n"], *, reading: Reading | None = None
    ) -> Float[Tensor, "*elements"]:
        """Return the logits `(b, n, k)` of each token given those before it, or a loss's reading.

        Args:
            x: Tokens.
            reading: What a loss asks of all elements; it is returned instead.
        """
        first = x.new_full((len(x), 1), self.vocabulary.sampleable)
        kappa = torch.ones(len(x), device=x.device)
        hidden = self.network(torch.cat([first, x[:, :-1]], 1), kappa)
        if reading is None:
            return self.network.head(hidden).float()
        flat, function = hidden.flatten(0, 1), reading.function
        return read_chunks(
            lambda part: function(self.network.head(flat[part]).float(), part),
            len(flat),
            self.vocabulary.sampleable,
        )

    def log_probability(self, x: Int[Tensor, "b n"]) -> Float[Tensor, "b n"]:
        """Return the log-probability of each token given those before it, in nats."""
        return self(x).log_softmax(-1).gather(-1, x[..., None]).squeeze(-1)

    def nats(
        self, x: Int[Tensor, "b n"], rng: Rng = None, *, draws: int = 8
    ) -> Float[Tensor, " b"]:
        """Return -log p of each text, in nats: exact, and nothing is drawn."""
        return -self.log_probability(x).double().sum(1)

    @torch.no_grad()
    def draw(self, n: int, length: int, *, seed: int = 0) -> Int[Tensor, "n length"]:
        """Draw tokens from left to right, but no special ids; row i depends on the seed and on i.

        Raises:
            ValueError: When `n` or `length` is below 0.
        """
        if n < 0 or length < 0:
            raise ValueError(f"n and length are at least 0, not {n, length}")
        special = sorted(self.codec.tokenizer.undrawn)
        rng: Any = random.rows(seed, 0, n, stream="sample")
        x = torch.zeros((n, 0), dtype=torch.int64, device=self.network.head.weight.device)
        with evaluating(self):
            for _ in range(length):
                logits = self(torch.cat([x, x.new_zeros(n, 1)], 1))[:, -1]
                logits[:, special] = -torch.inf
                x = torch.cat([x, draw_category(logits.softmax(-1), rng)[:, None]], 1)
        return x

    def preview(self, stem: Path) -> None:
        """Write a few samples as text."""
        texts = self.codec.decode(self.draw(2, self.codec.length))
        stem.with_suffix(".txt").write_text("\n----\n".join(texts), encoding="utf-8")


@tagged("text/next_token")
@dataclass(frozen=True)
class NextToken(Loss):
    """The cross-entropy of each token given those before it; noise is not looked at."""

    def __call__(
        self, model: Any, path: Any, z: Tensor, t: Any, x_t: Any, *, condition: Any = None
    ) -> Float[Tensor, " b"]:
        """Return the mean over the tokens of each sequence."""
        data = z.flatten()

        def function(logits: Tensor, part: slice) -> Tensor:
            return torch.nn.functional.cross_entropy(logits, data[part], reduction="none")

        return model(z, reading=Reading(function)).view(z.shape).mean(1)
