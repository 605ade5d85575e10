r"""`feller verify` for text: how well a trained chain solves the forward equation.

States x_t are made from held-out text. An element of the mixture path is at its data value z_e with
probability kappa, else at its source: its distribution moves at kappa_dot (delta_z - p_0), which is
the hazard times delta_z - p_t, so that

.. math:: \frac{d}{dt} E f = \frac{\dot\kappa}{1 - \kappa}
    E \sum_e \big[ f(x_{e \to z_e}) - f(x) \big], \qquad
    \mathcal{L} f(x) = \sum_e \lambda_e \, E_{y \sim J_e} \big[ f(x_{e \to y}) - f(x) \big].

A test function is the mean over a text of a number g(x_i) of each token, or of a product
g(x_i) h(x_{i+1}) of neighbours, which sees whether a destination fits what is beside it. Both sums
then need only how g changes a unit of time, on average, where it stands: no destination is drawn.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
import tyro
from jaxtyping import Float, Int
from torch import Tensor

from feller.core import random
from feller.core.flags import parse_flags
from feller.core.generators import Generator, Jump
from feller.core.verify import Plan, Probe, Reference, Residual, Verification
from feller.core.verify.report import ModelFlags, report_model
from feller.text.codec import TextCodec
from feller.text.commands.evaluate import usual_data
from feller.text.commands.sample import load_chain
from feller.text.data import TextData

__all__ = [
    "TokenStatistics",
    "VerifyFlags",
    "reference",
    "statistics",
    "verify_model",
    "verify_tokens",
]

LOGITS = 2**25  # of a batch of states, which bounds memory


@dataclass(frozen=True)
class VerifyFlags:
    """Compare d/dt E f with E L f, at states made from held-out text."""

    data: TextData = field(default_factory=TextData)
    """Text, tokenized by the model's own tokenizer (default: that of the model's run or recipe)."""
    check: tyro.conf.OmitArgPrefixes[ModelFlags] = field(default_factory=ModelFlags)
    """What is compared, and how large an error passes."""


@dataclass(frozen=True)
class TokenStatistics:
    """Test functions of texts: means of a number of each token, or of a product of neighbours'.

    Attributes:
        names: What the numbers are called.
        tables: The numbers of each id.
        terms: What is averaged: one number, or two, the second of the next token.

    Example:
        >>> ones = TokenStatistics(("ones",), torch.tensor([[0.0], [1.0]]), ((0,), (0, 0)))
        >>> ones.values(torch.tensor([[0, 1, 1, 0]]))
        tensor([[0.5000, 0.3333]])
    """

    names: tuple[str, ...]
    tables: Float[Tensor, "ids k"]
    terms: tuple[tuple[int, ...], ...]

    @property
    def functions(self) -> tuple[str, ...]:
        """The name of each function."""
        return tuple(", ".join(self.names[i] for i in term) for term in self.terms)

    def values(self, x: Int[Tensor, "b n"]) -> Float[Tensor, "b f"]:
        """Return the functions of each state."""
        g = self.tables[x]
        each = [
            g[..., term[0]] if len(term) == 1 else g[:, :-1, term[0]] * g[:, 1:, term[1]]
            for term in self.terms
        ]
        return torch.stack([term.mean(1) for term in each], 1)

    def rates(self, x: Int[Tensor, "b n"], change: Float[Tensor, "b n k"]) -> Float[Tensor, "b f"]:
        """Return the change of the functions a unit of time, from that of each token's numbers.

        Two elements never jump at once: a product changes by its left, then by its right.
        """
        g = self.tables[x].to(change)
        each = [
            change[..., term[0]] if len(term) == 1 else _product_rule(g, change, *term)
            for term in self.terms
        ]
        return torch.stack([term.mean(1) for term in each], 1)


def _product_rule(g: Tensor, change: Tensor, a: int, b: int) -> Tensor:
    left, right = change[:, :-1, a] * g[:, 1:, b], g[:, :-1, a] * change[:, 1:, b]
    return left + right


def verify_model(name: str, argv: Sequence[str]) -> int:
    """Print the errors of a model; return 0 when they are below the threshold, else 1.

    Raises:
        ValueError: When the text is missing, shorter than a window, or not of the model's
            tokenizer, or the model is not a chain.
    """
    flags = parse_flags(
        VerifyFlags,
        argv,
        default=VerifyFlags(data=usual_data(name)),
        prog=f"feller verify {name}",
    )
    model = load_chain(name, flags.check.device)
    windows = reference(model, flags)
    functions = statistics(model.codec, windows.points, has_mask=model.vocabulary.has_mask)
    batch = LOGITS // (model.codec.length * model.vocabulary.size)
    found = verify_tokens(model, windows, functions, flags.check.plan(min(max(batch, 1), 64)))
    return report_model(found, flags.check.threshold, flags.check.output)


def reference(model: Any, flags: VerifyFlags) -> Reference:
    """Return up to 10,000 windows of the text, which do not overlap.

    Raises:
        DataError: When the text is missing, or shorter than a window.
        TokenizerError: When it holds something the model's tokenizer does not know.
    """
    codec, n = model.codec, model.codec.length
    data = replace(flags.data, tokenizer=codec.tokenizer, has_end=codec.has_end, length=n, stride=n)
    windows = data.build(flags.check.split)
    rng = torch.Generator().manual_seed((flags.check.seed or 0) % 2**63)
    chosen = torch.randperm(len(windows), generator=rng)
    z, _ = codec.encode(windows[chosen[:10_000].tolist()])
    return Reference(z.to(next(model.parameters()).device))


def statistics(codec: TextCodec, z: Int[Tensor, "b n"], *, has_mask: bool) -> TokenStatistics:
    """Return test functions of texts.

    Args:
        codec: Says what an id stands for.
        z: Texts, for the tokens that are frequent and what stands before what.
        has_mask: Whether the mask is an id.

    Returns:
        The fraction of masks where there is one, of the three most frequent tokens, of letters and
        of white space; the mean of a random number of each token; how often letters end; and how
        random numbers of a token go with what the next token says of them, which a posterior that
        does not look at neighbours gets wrong when all else is right.
    """
    vocabulary = codec.vocabulary(has_mask=has_mask)
    ids = torch.arange(vocabulary.size)
    texts = [codec.tokenizer.decode([i]) for i in range(vocabulary.tokens)]
    texts += [""] * (vocabulary.size - vocabulary.tokens)
    numbers = {"masked": (ids == vocabulary.mask).double()} if has_mask else {}
    counts = z.flatten().bincount(minlength=vocabulary.size).cpu()
    for i in counts.topk(min(3, int((counts > 0).sum()))).indices.tolist():
        numbers[f"{texts[i]!r} ({i})"] = (ids == i).double()
    for name, has in (("letters", str.isalpha), ("spaces", str.isspace)):
        fractions = [sum(map(has, text)) / max(1, len(text)) for text in texts]
        numbers[name] = torch.tensor(fractions, dtype=torch.float64)
    rng = torch.Generator().manual_seed(0)
    hashes = torch.rand(3, len(ids), generator=rng, dtype=torch.float64)
    hashes[:, vocabulary.sampleable :] = 0
    numbers["hash"] = hashes[0]
    terms = [(i,) for i in range(len(numbers))]
    if z.shape[1] > 1:
        numbers |= _beside(z.cpu(), hashes[1:], vocabulary.sampleable)
        names = list(numbers)
        beside = [("letters", "spaces"), ("left 1", "right 1"), ("left 2", "right 2")]
        terms += [(names.index(a), names.index(b)) for a, b in beside]
    tables = torch.stack(list(numbers.values()), 1).float().to(z.device)
    return TokenStatistics(tuple(numbers), tables, tuple(terms))


def _beside(z: Tensor, hashes: Tensor, sampleable: int) -> dict[str, Tensor]:
    """Return random numbers of an id, and their mean over what stands before an id.

    Both are 0 for a mask and on average over tokens: products see only what goes together.
    """
    numbers = {}
    before, after = z[:, :-1].flatten(), z[:, 1:].flatten()
    token = (torch.arange(hashes.shape[1]) < sampleable).double()
    seen = after.bincount(minlength=len(token)) + 10  # of a rare token little is known
    for i, hash_ in enumerate(hashes, 1):
        left = (hash_ - hash_[z].mean()) * token
        right = torch.zeros_like(left).index_add_(0, after, left[before]) / seen
        right = (right - right[z].mean()) * token
        numbers |= {f"left {i}": left, f"right {i}": right / right[z].std().clamp_min(1e-6)}
    return numbers


def verify_tokens(
    model: Any, windows: Reference, functions: TokenStatistics, plan: Plan
) -> Verification:
    """Compare d/dt E f with E L f for a chain, at x_t made from texts.

    Args:
        model: Returns the generator at (x, t); it has a mixture `path`.
        windows: The texts.
        functions: What is looked at.
        plan: Times, numbers and bounds; its own functions do not count.

    Returns:
        A residual for each time and function.
    """
    residuals: list[Residual] = []
    for t in plan.chosen_times:
        rng = torch.Generator().manual_seed(random.seed_of(plan.seed, t))
        z, condition = windows.draw(plan.samples, rng)
        x = model.path.sample(z, t, rng)
        sides = []
        for part in torch.arange(plan.samples, device=z.device).split(plan.batch):
            with torch.no_grad():
                given = None if condition is None else condition[part]
                generator = model(x[part], t, given)
                rise = _path_change(model.path, t, functions.tables, (x[part], z[part]))
                change = _change(generator, x[part], functions.tables)
            both = torch.stack([functions.rates(x[part], side) for side in (rise, change)])
            sides.append(both.cpu().double())
        pairs = zip(functions.functions, torch.cat(sides, 1).unbind(-1), strict=True)
        residuals += [Residual.measured(Probe(t, name), rows, plan) for name, rows in pairs]
    return Verification(tuple(residuals), "switching")


def _path_change(path: Any, t: float, tables: Tensor, ends: tuple[Tensor, Tensor]) -> Tensor:
    """Return how the numbers of each element change under the path, for a state and its data."""
    clock, (x, z) = torch.tensor(t, dtype=torch.float64), ends
    hazard = path.schedule.alpha_dot(clock) / (1 - path.schedule.alpha(clock))
    return float(hazard) * (tables[z] - tables[x])


def _change(generator: Generator, x: Tensor, tables: Tensor) -> Tensor:
    """Return how the numbers of each element change under the chain, `(b, n, k)`."""
    return torch.stack([_jump(jump, x, tables) for jump in generator.split().jumps]).sum(0)


def _jump(jump: Jump, x: Tensor, tables: Tensor) -> Tensor:
    fires = jump.intensity > 0  # elsewhere the destination need not be a distribution
    destination = jump.destination.expand(jump.intensity.shape).at(fires)
    points, weights = destination.quadrature()
    probabilities = weights.new_zeros(len(points), len(tables)).scatter_add_(1, points, weights)
    tables = tables.to(probabilities)
    change = jump.intensity[fires][:, None] * (probabilities @ tables - tables[x[fires]])
    return change.new_zeros(*x.shape, tables.shape[1]).index_put((fires,), change)
