"""Text models: a network read as a continuous-time Markov chain on tokens.

The chain is the mixture path of the core; its generator is a `Jump` whose destination is the
network's posterior. For each element the network returns logits of the sampleable ids, of the
posterior or the leave-one-out distribution (`feller.core.discrete.parametrizations`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

import feller.text.autoregressive  # noqa: F401  (registers the type of its models)
from feller.core.checks import check_choices, check_times
from feller.core.config import tagged
from feller.core.discrete.chunked_logits import Reading, read_chunks
from feller.core.discrete.models import TokenModel
from feller.core.discrete.parametrizations import (
    TokenParametrization,
    convert_logits,
    own_evidence,
)
from feller.core.discrete.solvers import TokenState
from feller.core.discrete.sources import MaskedUniform, UnigramTokens
from feller.core.generators import Generator
from feller.core.likelihood import elbo
from feller.core.nn.modes import evaluating
from feller.core.paths import MixturePath
from feller.core.schedules import CondOT, Schedule
from feller.core.sources import Masked, Source, UniformTokens
from feller.core.spaces import Tokens
from feller.core.times import expand_time
from feller.core.training import ModelConfig
from feller.core.typing import Rng, Time
from feller.text.codec import TextCodec
from feller.text.networks import TextNetworkConfig
from feller.text.plots import GIVEN, Texts
from feller.text.sampling import (
    Context,
    Sampling,
    context,
    draw_texts,
    sampling_of,
)
from feller.text.vocabulary import Vocabulary

__all__ = ["Noise", "TextModel", "TextModelConfig"]

Noise = Literal["mask", "uniform", "unigram", "mask+uniform"]


@tagged("text/model", renamed={"uniform_share": "uniform_probability"})
@dataclass(frozen=True, kw_only=True)
class TextModelConfig(ModelConfig):
    """What a `TextModel` is made of.

    Attributes:
        network: Its network.
        codec: The tokenizer and the length of a context.
        noise: The source: all `mask`; `uniform` tokens; tokens with `unigram` frequencies; or
            mostly masks with some tokens (`mask+uniform`).
        frequencies: Frequency of each sampleable id, for unigram.
        uniform_probability: Probability of a token instead of a mask, for mask+uniform.
        schedule: The schedule in training; sampling may use another.
        parametrization: Whether the logits are those of the posterior, or leave-one-out.
    """

    hub_task: ClassVar[str] = "text-generation"
    network: TextNetworkConfig
    codec: TextCodec
    noise: Noise = "mask"
    frequencies: tuple[float, ...] = ()
    uniform_probability: float = 0.1
    schedule: Schedule = field(default_factory=CondOT)
    parametrization: TokenParametrization = "posterior"

    def __post_init__(self) -> None:
        """Reject unknown names, and a network that suits another source."""
        check_choices(self)
        if self.noise == "unigram" and len(self.frequencies) != self.vocabulary.sampleable:
            raise ValueError(
                f"unigram noise has a frequency for each of {self.vocabulary.sampleable} ids, "
                f"not {len(self.frequencies)}"
            )
        if self.network.causal:
            raise ValueError("a chain needs both sides: network.causal is for text/causal-model")
        if not self.network.conditioned and self.noise != "mask":
            raise ValueError(
                f"a network for {self.noise} noise is conditioned on kappa: network.conditioned"
            )

    @property
    def vocabulary(self) -> Vocabulary:
        """The layout of the ids."""
        return self.codec.vocabulary(has_mask=self.noise.startswith("mask"))

    @property
    def path(self) -> MixturePath:
        """The chain's conditional path."""
        return MixturePath(Tokens(self.vocabulary.size), self._source, self.schedule)

    @property
    def _source(self) -> Source:
        k = self.vocabulary.sampleable
        if self.noise == "mask":
            return Masked(k)
        if self.noise == "uniform":
            return UniformTokens(k)
        if self.noise == "unigram":
            return UnigramTokens(self.frequencies)
        return MaskedUniform(k, self.uniform_probability)

    def row_names(self) -> dict[str, tuple[str, ...]]:
        """Return what the rows of embeddings and outputs stand for: tokens, their end, a mask."""
        names = self.codec.tokenizer.names()
        sampleable = names + ("<end of document>",) * self.codec.has_end
        every = sampleable + ("<mask>",) * self.vocabulary.has_mask
        heads = dict.fromkeys(("network.head.weight", "network.head.bias"), sampleable)
        return {"network.embed.weight": every, **heads}

    def build(self) -> "TextModel":
        """Make the model with fresh weights."""
        return TextModel(self)


class TextModel(nn.Module, TokenModel):
    """A model of text.

    Attributes:
        is_chain: Whether it is sampled by simulation, unlike the autoregressive baseline.

    Example:
        >>> from feller.text.recipes import shakespeare_mask
        >>> model = shakespeare_mask().model.build()
        >>> z = model.codec.tokens("To be")[None]
        >>> model.logits(z, kappa=0.5).shape
        torch.Size([1, 5, 65])
    """

    is_chain: ClassVar[bool] = True

    def __init__(self, config: TextModelConfig) -> None:
        super().__init__()
        self.codec = config.codec
        self.vocabulary = config.vocabulary
        self.path = config.path
        self.parametrization: TokenParametrization = config.parametrization
        self.network = config.network.build(config.vocabulary)
        # A network that began with the weights of a folder no longer needs it.
        self.config = replace(config, network=self.network.config)

    def logits(
        self,
        x: Int[Tensor, "b n"],
        kappa: Time,
        condition: Int[Tensor, " b"] | None = None,
        *,
        where: Bool[Tensor, "b n"] | None = None,
        valid: Bool[Tensor, "b n"] | None = None,
    ) -> Float[Tensor, "*elements k"]:
        """Return the network's logits of the sampleable ids for each element, in float32.

        Args:
            x: States.
            kappa: The mixing weight: one number, one per sample, or one per element.
            condition: Labels; None for none.
            where: The elements to compute, all if None; the others skip the head.
            valid: Which elements exist; all if None.

        Returns:
            Logits `(b, n, k)`, or `(m, k)` of the m elements in `where`, row by row.
        """
        hidden = self._hidden(x, kappa, condition, valid)
        return self._head(hidden if where is None else hidden[where])

    def nats(
        self, x: Int[Tensor, "b n"], rng: Rng = None, *, draws: int = 8
    ) -> Float[Tensor, " b"]:
        """Return an upper bound on -log p of each text, in nats: minus its ELBO."""
        return -elbo(self, x, rng, draws=draws).nats

    def posterior(
        self, logits: Float[Tensor, "*e k"], x: Int[Tensor, "*e"], kappa: Float[Tensor, "*e"]
    ) -> Float[Tensor, "*e k"]:
        """Return logits of the posterior, from those the network returned for states `x`."""
        return self._convert(logits, "posterior", x, kappa)

    def leave_one_out(
        self, logits: Float[Tensor, "*e k"], x: Int[Tensor, "*e"], kappa: Float[Tensor, "*e"]
    ) -> Float[Tensor, "*e k"]:
        """Return leave-one-out logits, from those the network returned for `x`."""
        return self._convert(logits, "leave_one_out", x, kappa)

    def forward(
        self, x: Tensor, t: Time, condition: Any = None, *, reading: Reading | None = None
    ) -> Generator | Tensor:
        """Return the generator at the states `x` `(b, n)` and time `t`.

        Elements jump at the hazard of the schedule to a sample of the posterior; with a mask source
        only masked elements jump.

        Args:
            x: States.
            t: The time: one number, one a sample, or one an element.
            condition: Labels; None for none.
            reading: A function of the logits for a loss, whose result is returned instead of a
                generator. Losses go through `forward`, as data-parallel training requires.
        """
        check_times(t)
        clock = expand_time(t, x).to(x.device, torch.float32)
        kappa = self.path.schedule.alpha(clock)
        if reading is not None:
            return self._read(x, kappa, condition, reading)
        return self.jump(self.logits(x, kappa, condition), x, t)

    def sample(
        self,
        n: int,
        *,
        prompt: str = "",
        suffix: str = "",
        length: int | None = None,
        label: int | Sequence[int] | None = None,
        seed: int = 0,
        **sampling: Any,
    ) -> list[str]:
        """Sample texts; a notebook shows when each token was revealed.

        Args:
            n: How many.
            prompt: How each begins.
            suffix: How each ends.
            length: Tokens of each, including prompt and suffix; the context length if None.
            label: A class, or one for each text; None for no label.
            seed: Text i depends on the seed and on i, not on `n`.
            sampling: Fields of `Sampling`: solver, steps, temperature, top_k, top_p, block,
                special, batch_size.

        Raises:
            TokenizerError: When the tokenizer does not know something given.
            ValueError: When prompt and suffix fill the context, on invalid options, or for a label
                that the model was not trained on.
        """
        given = context(self.codec, prompt, suffix, length=length)
        drawn = self.draw(n, given, sampling_of(sampling), seed=seed, condition=label)
        level = drawn.level.masked_fill(~given.free.to(drawn.level.device), GIVEN)
        return Texts(self.codec, drawn.x, level)

    def draw(
        self, n: int, given: Context, sampling: Sampling, *, seed: int = 0, condition: Any = None
    ) -> TokenState:
        """Draw `n` texts and return their state: tokens, calls, and when each token came."""
        with evaluating(self):
            return draw_texts(self, given, n, sampling, seed=seed, condition=condition)

    def preview(self, stem: Path) -> None:
        """Write a few samples as text."""
        texts = self.sample(4, steps=64)
        stem.with_suffix(".txt").write_text("\n----\n".join(texts), encoding="utf-8")

    def _read(self, x: Tensor, kappa: Tensor, condition: Any, reading: Reading) -> Tensor:
        if self.training and condition is None and (classes := self.network.config.num_classes):
            raise ValueError(
                f"the network has {classes} classes, and the data yield no labels: set "
                "model.network.num_classes to 0, or pass a label with each text"
            )
        hidden = self._hidden(x, kappa, condition, None)
        chosen = hidden.flatten(0, 1) if reading.where is None else hidden[reading.where]

        def function(part: slice) -> Tensor:
            return reading.function(self._head(chosen[part]), part)

        return read_chunks(function, len(chosen), self.vocabulary.sampleable)

    def _convert(
        self, logits: Tensor, asked: TokenParametrization, x: Tensor, kappa: Tensor
    ) -> Tensor:
        evidence = own_evidence(self.path.source, x, kappa)
        return convert_logits(logits, (self.parametrization, asked), evidence, x)

    def _hidden(
        self, x: Tensor, kappa: Time, condition: Tensor | None, valid: Tensor | None
    ) -> Tensor:
        fraction = torch.as_tensor(kappa, dtype=torch.float32, device=x.device)
        if fraction.ndim == 2 and fraction.shape[1] == 1:
            fraction = fraction[:, 0]
        fraction = fraction.expand(x.shape if fraction.ndim == 2 else x.shape[:1])
        return self.network(x, fraction, condition, valid)

    def _head(self, hidden: Tensor) -> Tensor:
        return self.network.head(hidden).float()
