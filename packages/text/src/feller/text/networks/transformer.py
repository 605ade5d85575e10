"""The transformer of text: rotary positions, attention both ways or to the left only.

It is given kappa, the fraction of tokens that have arrived, and never the time: its weights then
serve any schedule. With a mask source it is given neither, since the masks can be counted (arXiv
2406.03736); shifts, scales and gates of the blocks are then plain weights.

A convolution may come first: it shows a token its neighbours, which attention, that starts with no
preference for near over far, takes thousands of steps to find.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import torch
import torch.nn.functional as F
import tyro
from einops import rearrange
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from feller.core.checks import check_choices
from feller.core.config import tagged
from feller.core.nn.attention import SelfAttention
from feller.core.nn.conditions import Conditions
from feller.core.nn.embeddings import LabelEmbedding, TimeEmbedding, rotate
from feller.core.nn.transformer import Transformer, TransformerConfig
from feller.text.networks.base import TextNetworkConfig
from feller.text.vocabulary import Vocabulary

__all__ = ["TextTransformer", "TextTransformerConfig"]


@tagged("text/transformer", renamed={"clock": "time_input"})
@dataclass(frozen=True, kw_only=True)
class TextTransformerConfig(TextNetworkConfig):
    """What a `TextTransformer` is made of.

    Attributes:
        transformer: Size and options of the blocks.
        window: Width of the first convolution in tokens, an odd number; 1 for no convolution.
        conditioned: Whether the network is conditioned on kappa; for a mask source it is not.
        num_classes: Classes of the labels; 0 for a network without.
        adaptive: Whether kappa and the label modulate the norms of every block, for a third more
            weights; otherwise they are added to the tokens.
        causal: Whether a token sees those to its left only.
        time_input: The time that the network is given: 1000 kappa, or `sigma` = -log kappa, at most
            6.9, which MDLM and SEDD call the total noise.
        conditions: Named conditions of the network, instead of a label.
    """

    transformer: TransformerConfig
    window: int = 1
    conditioned: bool = False
    num_classes: int = 0
    adaptive: bool = True
    causal: bool = False
    time_input: Literal["kappa", "sigma"] = "kappa"
    conditions: Annotated[Conditions | None, tyro.conf.Fixed] = None

    def __post_init__(self) -> None:
        """Reject a window without a middle, and conditions in two ways."""
        check_choices(self)
        if self.conditions:
            self.conditions.check_vectors("tokens")
            if self.num_classes:
                raise ValueError("conditions take the place of num_classes: leave it 0")
        if self.window < 1 or self.window % 2 == 0:
            raise ValueError(f"window is odd and at least 1, not {self.window}")

    @property
    def is_told(self) -> bool:
        """Whether the network is conditioned on anything but tokens."""
        return self.conditioned or self.num_classes > 0 or self.conditions is not None

    def build(self, vocabulary: Vocabulary) -> "TextTransformer":
        """Make a network with fresh weights."""
        return TextTransformer(self, vocabulary)


class TextTransformer(nn.Module):
    """Tokens to hidden states; the head turns those into logits of the sampleable ids.

    A fresh head returns zeros.

    Args:
        config: Size and options.
        vocabulary: The ids; one more is embedded than there are in a causal network, where it
            stands before the first token.

    Example:
        >>> tiny = TransformerConfig(dim=32, depth=1, num_heads=2, rotary=True)
        >>> config = TextTransformerConfig(transformer=tiny, window=3)
        >>> network = config.build(Vocabulary(tokens=5, has_mask=True))
        >>> network.head(network(torch.tensor([[0, 5, 3]]), torch.zeros(1))).shape
        torch.Size([1, 3, 5])
    """

    def __init__(self, config: TextTransformerConfig, vocabulary: Vocabulary) -> None:
        super().__init__()
        self.config = config
        dim = config.transformer.dim
        self.embed = nn.Embedding(vocabulary.size, dim)
        nn.init.normal_(self.embed.weight, std=0.02)
        if config.window > 1:
            self.mix = nn.Conv1d(dim, dim, config.window)
        if config.conditioned:
            scale = 1.0 if config.time_input == "sigma" else 1000.0
            self.embed_kappa = TimeEmbedding(256, dim, time_scale=scale)
        if config.num_classes:
            self.embed_label = LabelEmbedding(config.num_classes, dim)
            # Which labels, no label last, a step of training has seen.
            self.register_buffer("trained", torch.zeros(config.num_classes + 1, dtype=torch.bool))
            self.register_load_state_dict_pre_hook(_of_before)
        if config.conditions:
            self.embed_condition = config.conditions.build(dim)
        self.blocks = _blocks(config)
        self.head = nn.Linear(dim, vocabulary.sampleable)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(
        self,
        x: Int[Tensor, "b n"],
        kappa: Float[Tensor, " b"] | Float[Tensor, "b n"],
        condition: Int[Tensor, " b"] | Mapping[str, Tensor | None] | None = None,
        valid: Bool[Tensor, "b n"] | None = None,
    ) -> Float[Tensor, "b n d"]:
        """Return the hidden states before the head.

        Args:
            x: Tokens.
            kappa: The fraction that has arrived, of each sample or each token; only networks that
                are conditioned look at it.
            condition: Labels 0 ... num_classes; None for no label. Or a dict of its conditions by
                name.
            valid: Which tokens exist; None for all.

        Raises:
            ValueError: When a network without classes is given labels.
        """
        classes, named = self.config.num_classes, self.config.conditions
        if condition is not None and not (classes or named):
            raise ValueError("labels were given to a network without classes (num_classes=0)")
        tokens = self.embed(x)
        if self.config.window > 1:
            tokens = tokens + self._mix(tokens, valid)
        embedding = self._embedding(x, kappa, condition)
        if self.config.is_told and not self.config.adaptive:
            tokens = tokens + (embedding[:, None] if embedding.ndim == 2 else embedding)
        return self.blocks(tokens, embedding, valid)

    def _mix(self, tokens: Tensor, valid: Tensor | None) -> Tensor:
        """Convolve: over both sides, or over the left one."""
        if valid is not None:
            tokens = tokens * valid[..., None]
        reach = self.config.window - 1
        sides = (reach, 0) if self.config.causal else (reach // 2, reach // 2)
        return self.mix(F.pad(tokens.mT, sides)).mT

    def _embedding(self, x: Tensor, kappa: Tensor, condition: Any) -> Tensor:
        """Return a vector of the condition, of each sample or each token."""
        embedding = self.embed.weight.new_zeros(len(x), self.config.transformer.dim)
        if self.config.num_classes:
            if self.training:
                self.get_buffer("trained")[-1 if condition is None else condition] = True
            embedding = embedding + self.embed_label(condition, batch=len(x))
        if self.config.conditions:
            embedding = embedding + self.embed_condition(condition, batch=len(x))
        if self.config.conditioned:
            sigma = self.config.time_input == "sigma"
            of_kappa = self.embed_kappa(-kappa.clamp(min=1e-3).log() if sigma else kappa)
            embedding = (embedding[:, None] if of_kappa.ndim == 3 else embedding) + of_kappa
        return embedding


def _of_before(module: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
    """Take every label of a model for trained where its weights do not say which are."""
    state.setdefault(f"{prefix}trained", torch.ones_like(module.get_buffer("trained")))


def _blocks(config: TextTransformerConfig) -> nn.Module:
    """Make the core's transformer without its head, causal or with constant vectors if asked."""
    blocks: Any = Transformer(config.transformer, out_dim=1)
    blocks.head = nn.Identity()
    if config.causal:
        for block in blocks.blocks:
            block.attend = _Causal(block.attend, rotary=config.transformer.rotary)
    if not (config.is_told and config.adaptive):
        for part in (blocks, *blocks.blocks):
            part.modulation = _Constant(part.modulation.count, config.transformer.dim)
    return blocks


class _Constant(nn.Module):
    """Vectors that depend on nothing: what a modulation of a constant embedding comes to."""

    def __init__(self, count: int, dim: int) -> None:
        super().__init__()
        self.vectors = nn.Parameter(torch.zeros(count, 1, 1, dim))

    def forward(self, embedding: Tensor) -> tuple[Tensor, ...]:
        return self.vectors.unbind(0)


class _Causal(nn.Module):
    """The attention of the core, to the left only; it has the same weights."""

    def __init__(self, attention: SelfAttention, *, rotary: bool) -> None:
        super().__init__()
        self.num_heads, self.rotary = attention.num_heads, rotary
        self.qkv, self.out = attention.qkv, attention.out
        self.norm_q, self.norm_k = attention.norm_q, attention.norm_k

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        # Padding is at the right, where no token that counts looks.
        heads = "b n (three heads d) -> three b heads n d"
        q, k, v = rearrange(self.qkv(x), heads, three=3, heads=self.num_heads)
        q, k = self.norm_q(q), self.norm_k(k)
        if self.rotary:
            positions = torch.arange(x.shape[1], dtype=torch.float32, device=x.device)
            q, k = rotate(q, positions), rotate(k, positions)
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.out(rearrange(mixed, "b heads n d -> b n (heads d)"))
