r"""How likely a chain finds a text: bounds without a time step, and the chain rule.

**Mask source.** With M a random set of masks of a text of n tokens, and its size |M| uniform on
1 ... n,

.. math:: -\log p(x) \le n\, \mathrm{E} \Big[ \frac{1}{|M|} \sum_{i \in M}
   -\log p(x^i | x \text{ without } M) \Big].

It is the bound of `elbo`, its integral over kappa done: no weight diverges, and there is nothing to
cut off. It is also the mean of the chain rule over all orders.

**Other sources.** The integral over kappa of the reverse terms T, which depend on kappa too. With a
random set of N elements at draws of the source, the others at the data,

.. math:: \int_0^1 \mathrm{E}\, T \,d\kappa = \sum_{N=1}^n \frac1N \mathrm{E}\, (1 - \kappa) T
   + \frac1{n+1} \mathrm{E}\, T_{N=0},

kappa being the N-th largest of n uniforms, at N = 0 the largest of n + 1. At a uniform kappa the
terms, which grow like 1 / (1 - kappa), have no finite variance.

Both are unbiased for any number of draws, each a network call. The sizes of a text's draws are
spread evenly from one random offset, which costs nothing and saves much of the noise.

Source: the identity, Ou et al., arXiv 2406.03736, and Nie et al., arXiv 2502.09992; its like for
other sources, derived here; the offset, Kingma et al., arXiv 2107.00630, appendix I.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from feller.core.checks import check_choice
from feller.core.discrete.categorical import certainty
from feller.core.discrete.elbo import Rows, cross_entropy, reverse_bound
from feller.core.discrete.kernel import Kernel, log_source
from feller.core.discrete.models import TokenModel, rows_of, token_model
from feller.core.discrete.solvers.base import uniforms
from feller.core.discrete.solvers.first_hitting import first_in_rows
from feller.core.intervals import Estimate, mean_estimate
from feller.core.typing import Rng

__all__ = ["Order", "bits_per_byte", "chain_rule", "drawn_bounds"]

CHUNK = 2**25
"""Logits in memory at once: 128 MiB of them."""

Order = Literal["left_to_right", "random", "confidence"]
Term = Callable[..., Tensor]


@torch.no_grad()
def drawn_bounds(
    model: Any,
    x: Int[Tensor, "b *event"],
    rng: Rng = None,
    *,
    draws: int = 8,
    counted: Bool[Tensor, "b *event"] | None = None,
    condition: Any = None,
) -> Float[Tensor, "draws b"]:
    """Return estimates of an upper bound on -log p of each state, in nats, each without bias.

    Those of one state are spread evenly over the sizes of the noise: their mean is nearer to the
    bound than they are apart. `feller.core.likelihood.elbo` is how to call it.

    Args:
        model: A token model, or any model of generators on a mixture path of tokens.
        x: States: texts, or pixels.
        rng: Where noise comes from; with one generator a row, a row is the same in any batch.
        draws: Noisy states of each state, a network call each.
        counted: Whose likelihood it is, given the rest; all if None. A state of which none is
            counted costs nothing.
        condition: An entry for each state, or one for all.

    Raises:
        ValueError: When states are not a batch of tokens, or have a mask; when `counted` is not of
            their shape, or the model was never trained on the condition.
    """
    tokens = token_model(model, tuple(x.shape[1:]))
    tokens.check_condition(condition)
    counted = torch.ones_like(x, dtype=torch.bool) if counted is None else counted
    x = _data(tokens, x, counted)
    x, counted = x[:, None].flatten(1), counted[:, None].flatten(1)
    totals = [torch.zeros(draws, 0, dtype=torch.float64, device=x.device)]
    for rows in _parts(tokens, x):
        some = _Texts(tokens, x[rows], counted[rows], rows_of(condition, rows))
        each = rows_of(rng, rows)
        offset = uniforms((len(rows),), each, x)
        drawn = (some.draw((k + offset) / draws, each) for k in range(draws))
        totals.append(torch.stack([*drawn]))
    return torch.cat(totals, 1)


@torch.no_grad()
def chain_rule(
    model: TokenModel,
    x: Int[Tensor, "b n"],
    order: Order | Int[Tensor, "b n"] = "random",
    rng: Rng = None,
    *,
    condition: Any = None,
) -> Float[Tensor, " b"]:
    """Return -log p of each text, in nats, by revealing one token at a time: n network calls.

    Exact for drawing in that order from this model, whatever the model. Of confidence, for
    `Adaptive`.

    Args:
        model: A model with a mask source.
        x: Texts.
        order: From the left, at random, the position first of which the model is surest; or the
            rank of each token.
        rng: Where random orders come from.
        condition: An entry for each text, or one for all.

    Raises:
        ValueError: When the source is not all mask, or the ranks are not 0 ... n - 1; when states
            are not a batch of tokens, or have a mask.
    """
    x = _data(model, x, torch.ones_like(x, dtype=torch.bool))
    texts = _Texts(model, x, torch.ones_like(x, dtype=torch.bool), condition)
    if not texts.hides:
        raise ValueError("the chain rule reveals masks: it asks for a mask source")
    given = torch.is_tensor(order)
    ranks = order if given else _ranks(order, x, rng)
    if not torch.equal(
        ranks.sort(1).values, torch.arange(x.shape[1], device=x.device).expand(x.shape)
    ):
        raise ValueError("the ranks of a text are 0 ... n - 1, each once")
    surest = not given and order == "confidence"
    known, total = torch.zeros_like(texts.counted), torch.zeros(len(x), dtype=torch.float64)
    for rank in range(x.shape[1]):
        z = torch.where(known, x, model.vocabulary.mask)
        if surest:
            logits = texts.logits(z, texts.unmasked(z), ~known)
            keys = torch.zeros(x.shape, dtype=logits.dtype, device=x.device)
            keys = keys.masked_scatter(~known, -certainty(logits, "confidence"))
            now = first_in_rows(keys, ~known, torch.ones_like(x[:, 0]))
            logits = logits[now[~known]]
        else:
            now = ranks == rank
            logits = texts.logits(z, texts.unmasked(z), now)
        total = (
            total.to(x.device) - logits.double().log_softmax(-1).gather(1, x[now][:, None])[:, 0]
        )
        known = known | now
    return total


def bits_per_byte(
    nats: Float[Tensor, " b"], sizes: Sequence[float], documents: Sequence[int]
) -> Estimate:
    """Return bits per byte with its 95% interval, which is over documents.

    Parts of one document are alike, so their errors are added up before they count as one.

    Args:
        nats: What each part costs, minus the `nats` of `elbo`, or from `chain_rule`.
        sizes: Bytes of text that each part stands for.
        documents: The number of each part's document.

    Raises:
        ValueError: When there are no bytes.

    Example:
        >>> round(bits_per_byte(torch.tensor([2.0, 4.0]), [1.0, 1.0], [0, 1]).value, 3)
        4.328
    """
    bits: dict[int, float] = dict.fromkeys(documents, 0.0)
    bytes_ = dict(bits)
    for cost, size, document in zip(nats.tolist(), sizes, documents, strict=True):
        bits[document] += cost / math.log(2)
        bytes_[document] += size
    return mean_estimate([*bits.values()], [*bytes_.values()])


def _data(model: TokenModel, x: Tensor, counted: Tensor) -> Tensor:
    """Return the states of a batch as int64; refuse what is none, and masks that are to be known.

    A mask that is not counted is a token that is not known, such as a residue.
    """
    space, count = model.path.space, model.vocabulary.sampleable
    space.check(x)
    if x.ndim != space.event_dim + 1:
        raise ValueError(f"states are a batch (b, ...) of {space}, not {tuple(x.shape)}")
    if counted.shape != x.shape:
        raise ValueError(f"counted is of each token, {tuple(x.shape)}, not {tuple(counted.shape)}")
    last = int(x[counted].max()) if counted.any() else 0
    if last >= count:
        raise ValueError(f"data are tokens 0 ... {count - 1}, and {last} is the mask")
    return x.long()


@dataclass(frozen=True)
class _Texts:
    """Some texts, and the model that is asked of them."""

    model: TokenModel
    x: Tensor
    counted: Tensor
    condition: Any

    @property
    def log_pi(self) -> Tensor:
        """Log pi of every id."""
        path, size = self.model.path, self.model.vocabulary.size
        return log_source(path.source, size).to(self.x.device)

    @property
    def hides(self) -> bool:
        """Whether the source is all mask."""
        return not bool(self.log_pi[: self.model.vocabulary.sampleable].isfinite().any())

    def unmasked(self, z: Tensor) -> Tensor:
        """Return the fraction of each row that is not masked."""
        return (z != self.model.vocabulary.mask).double().mean(1)

    def logits(self, z: Tensor, kappa: Tensor, where: Tensor) -> Tensor:
        """Ask the model."""
        return self.model.logits(z, kappa, self.condition, where=where)

    def draw(self, amount: Tensor, rng: Rng) -> Tensor:
        """Return one estimate for each text: `amount` in (0, 1) is how much noise it has."""
        return self._hide(amount, rng) if self.hides else self._noise(amount, rng)

    def _hide(self, amount: Tensor, rng: Rng) -> Tensor:
        n = self.counted.sum(1)
        size = (1 + (amount * n).long()).minimum(n)
        keys = uniforms(self.x.shape, rng, self.x)
        hidden = first_in_rows(keys, self.counted, size)
        z = self.x.masked_fill(hidden, self.model.vocabulary.mask)
        each = self._terms(cross_entropy, z, self.unmasked(z), hidden)
        return each * n / size.clamp_min(1)

    def _noise(self, amount: Tensor, rng: Rng) -> Tensor:
        n = self.counted.sum(1)
        size = (amount * (n + 1)).long().minimum(n)
        arrivals, last = uniforms(self.x.shape, rng, self.x), uniforms((len(n), 1), rng, self.x)
        noised = first_in_rows(-arrivals, self.counted, size)
        source = self.model.path.sample_source(self.x.shape, rng, like=self.x)
        z = torch.where(noised, source, self.x)
        first = torch.cat([arrivals.masked_fill(~noised, 2.0), torch.full_like(last, 2.0)], 1)
        none = torch.cat([arrivals.masked_fill(~self.counted, 0.0), last], 1)
        kappa = torch.where(size > 0, first.amin(1), none.amax(1)).clamp(1e-12, 1 - 1e-12)
        weight = torch.where(size > 0, (n + 1) * (1 - kappa) / size.clamp_min(1), 1.0)
        whole = torch.where(self.counted, kappa[:, None], 1.0)
        moving = self.counted & (self.log_pi[z] > -torch.inf)
        return weight * self._terms(reverse_bound, z, whole, moving)

    def _terms(self, term: Term, z: Tensor, kappa: Tensor, where: Tensor) -> Tensor:
        """Sum a term over the elements in `where` of each row."""
        each = torch.zeros(self.x.shape, dtype=torch.float64, device=self.x.device)
        if not where.any():
            return each.sum(1)
        whole = kappa if kappa.ndim > 1 else kappa[:, None].expand(z.shape)
        kernel = Kernel(whole[where], self.log_pi)
        logits = self.logits(z, kappa, where)
        found = term(Rows(logits, self.x[where], z[where], kernel, self.model.parametrization))
        return each.masked_scatter(where, found.double()).sum(1)


def _parts(model: TokenModel, x: Tensor) -> Iterator[Tensor]:
    """Yield the numbers of rows whose logits fit into memory together."""
    rows = max(1, CHUNK // max(1, x.shape[1] * model.vocabulary.sampleable))
    yield from torch.arange(len(x), device=x.device).split(rows) if len(x) else ()


def _ranks(order: Order, x: Tensor, rng: Rng) -> Tensor:
    check_choice("order", order, Order)
    if order == "random":
        return uniforms(x.shape, rng, x).argsort(1).argsort(1)
    return torch.arange(x.shape[1], device=x.device).expand(x.shape)
