"""Recipes for text. A function is the truth; flags change its leaves.

The tiny ones train on two CPU cores in a few hours, each with an autoregressive baseline of the
same blocks, data and steps; the others have published sizes, for GPUs. `--data.path` gives their
corpus; `owt` takes it from the `datasets` library unless `--data.source file` says otherwise. Those
of `lm1b` and `owt` have no tokenizer: those that come with this package were trained on Python and
on 22 English books, and have few ids.
"""

from dataclasses import replace
from typing import cast

from feller.core.discrete.losses import Bound, CrossEntropy
from feller.core.nn.transformer import TransformerConfig
from feller.core.training import Optimizer, Recipe, Training
from feller.text.autoregressive import CausalModelConfig, NextToken
from feller.text.codec import TextCodec
from feller.text.data import TextData
from feller.text.models import TextModelConfig
from feller.text.networks import TextTransformerConfig
from feller.text.tokenizers import Characters, Pieces, bundled_pieces

__all__ = [
    "books_ar",
    "books_mask",
    "bytes_mask",
    "lm1b_mask",
    "lm1b_uniform",
    "owt_mask",
    "owt_uniform",
    "shakespeare_ar",
    "shakespeare_mask",
    "stdlib_ar",
    "stdlib_mask",
    "stdlib_uniform",
    "text8_ar",
    "text8_mask",
    "text8_uniform",
]

SHAKESPEARE = Characters("\n !$&',-.3:;?ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
"""The 65 characters of `tinyshakespeare.txt`."""


def shakespeare_mask() -> Recipe:
    """Characters of Shakespeare from masks: 1.1 MB of text, in five core-hours.

    The data are the file `tinyshakespeare.txt`, of which the last tenth is held out.
    """
    codec = TextCodec(tokenizer=SHAKESPEARE, length=256)
    data = TextData(tokenizer=SHAKESPEARE, length=256, held_out="tail", test_fraction=0.1)
    return Recipe(
        model=TextModelConfig(network=_tiny(window=7), codec=codec),
        data=data,
        objective=CrossEntropy(),
        optimizer=Optimizer(
            name="muon", lr=4e-3, betas=(0.9, 0.98), weight_decay=0.03, warmup=200, final=0.02
        ),
        training=Training(steps=24_000, batch_size=8, checkpoint_every=500, sample_every=2_000),
    )


def shakespeare_ar() -> Recipe:
    """The autoregressive baseline of `shakespeare-mask`."""
    return _autoregressive(shakespeare_mask())


def stdlib_mask() -> Recipe:
    """The source of Python's standard library from masks, in subwords of 3 bytes.

    The data are those of the Python that runs; one file in twenty is held out.
    """
    pieces = bundled_pieces("python-4095")
    codec = TextCodec(tokenizer=pieces, length=128, has_end=True)
    data = TextData(
        source="stdlib",
        tokenizer=pieces,
        length=128,
        has_end=True,
        stride=16,
        held_out="documents",
        test_fraction=0.05,
    )
    base = shakespeare_mask()
    return replace(
        base,
        model=TextModelConfig(network=_tiny(window=3), codec=codec),
        data=data,
        training=replace(base.training, batch_size=16),
    )


def stdlib_ar() -> Recipe:
    """The autoregressive baseline of `stdlib-mask`."""
    return _autoregressive(stdlib_mask())


def stdlib_uniform() -> Recipe:
    """`stdlib-mask` from uniform tokens, given kappa; what it predicts for a token ignores it.

    It learns by the cross-entropy of the posterior; its likelihood is the reverse bound.
    """
    base = stdlib_mask()
    model, _ = _parts(base)
    network = replace(_tiny(window=3), conditioned=True, adaptive=False)
    model = replace(model, network=network, noise="uniform", parametrization="leave_one_out")
    return replace(base, model=model)


def bytes_mask() -> Recipe:
    """Text of any language from masks, in bytes: give the files as `--data.path`."""
    base = shakespeare_mask()
    codec = TextCodec(length=256, has_end=True)
    data = TextData(length=256, has_end=True, stride=32)
    model = TextModelConfig(network=_tiny(window=7), codec=codec)
    return replace(base, model=model, data=data)


def books_mask() -> Recipe:
    """English books from masks, in subwords of 4 bytes: a file with a form feed between books.

    Give the training books as `--data.path` and the others as `--data.test-path`.
    """
    base = bytes_mask()
    subwords = bundled_pieces("english-8191")
    codec = TextCodec(tokenizer=subwords, length=128, has_end=True)
    data = TextData(tokenizer=subwords, length=128, has_end=True, separator="\f", stride=32)
    return replace(
        base,
        model=TextModelConfig(network=_tiny(window=3), codec=codec),
        data=data,
        training=replace(base.training, batch_size=16),
    )


def books_ar() -> Recipe:
    """The autoregressive baseline of `books-mask`."""
    return _autoregressive(books_mask())


def text8_mask() -> Recipe:
    """text8 (27 characters, 256 a context) from masks, with 85M weights.

    Shi et al., arXiv 2406.04329, report at most 1.37 bits per character at this size.
    """
    characters = Characters()
    data = TextData(
        tokenizer=characters, length=256, stride=256, held_out="tail", test_fraction=0.05
    )
    return _published(TextCodec(tokenizer=characters, length=256), data)


def text8_ar() -> Recipe:
    """The autoregressive baseline of `text8-mask`; published: 1.23 bits per character."""
    return _autoregressive(text8_mask())


def text8_uniform() -> Recipe:
    """`text8-mask` from uniform tokens; arXiv 2412.10193 reports at most 1.44 bits."""
    return _uniform(text8_mask())


def lm1b_mask() -> Recipe:
    """The One Billion Word benchmark, contexts of 128, from masks.

    The tokenizer is a file, which has to be given: `--model.codec.tokenizer.definition` and
    `--data.tokenizer.definition`; the papers have that of bert-base-uncased, which keeps neither
    capitals nor white space. Sahoo et al., arXiv 2406.07524, report a perplexity of at most 31.8,
    and 27.0 without packing.
    """
    pieces = Pieces("")
    data = TextData(
        tokenizer=pieces,
        length=128,
        stride=128,
        has_end=True,
        separator="\n",
        held_out="documents",
        test_fraction=0.01,
    )
    return _published(TextCodec(tokenizer=pieces, length=128, has_end=True), data)


def lm1b_uniform() -> Recipe:
    """`lm1b-mask` from uniform tokens; arXiv 2506.10892 reports at most 33.7 (packed)."""
    return _uniform(lm1b_mask())


def owt_mask() -> Recipe:
    """OpenWebText, contexts of 1,024, from masks.

    The tokenizer is a file, as in `lm1b-mask`; the papers have that of GPT-2. arXiv 2406.07524
    reports a perplexity of at most 23.2.
    """
    model, data = _parts(lm1b_mask())
    data = replace(data, source="datasets", path="openwebtext", length=1024, stride=1024)
    return _published(replace(model.codec, length=1024), replace(data, separator=""))


def owt_uniform() -> Recipe:
    """`owt-mask` from uniform tokens; arXiv 2506.10892 reports at most 25.2."""
    return _uniform(owt_mask())


def _tiny(*, window: int) -> TextTransformerConfig:
    """Blocks of 1.5 million weights."""
    blocks = TransformerConfig(dim=160, depth=5, num_heads=5, rotary=True, qk_norm=True)
    return TextTransformerConfig(transformer=blocks, window=window)


def _autoregressive(recipe: Recipe) -> Recipe:
    """Let the same blocks look to the left only, and predict the next token."""
    chain, _ = _parts(recipe)
    network = replace(cast(TextTransformerConfig, chain.network), causal=True)
    model = CausalModelConfig(network=network, codec=chain.codec)
    return replace(recipe, model=model, objective=NextToken())


def _uniform(recipe: Recipe) -> Recipe:
    """Start from uniform tokens instead of masks, and train on the tight bound."""
    model, _ = _parts(recipe)
    network = replace(cast(TextTransformerConfig, model.network), conditioned=True)
    model = replace(model, network=network, noise="uniform", parametrization="leave_one_out")
    return replace(recipe, model=model, objective=Bound("reverse"))


def _parts(recipe: Recipe) -> tuple[TextModelConfig, TextData]:
    """Return the model and the data of a chain's recipe."""
    return cast(TextModelConfig, recipe.model), cast(TextData, recipe.data)


def _published(codec: TextCodec, data: TextData) -> Recipe:
    """The transformer of 12 blocks and 768 channels, a million steps of 512 contexts."""
    blocks = TransformerConfig(
        dim=768, depth=12, num_heads=12, dropout=0.1, rotary=True, qk_norm=True
    )
    return Recipe(
        model=TextModelConfig(network=TextTransformerConfig(transformer=blocks), codec=codec),
        data=data,
        objective=CrossEntropy(),
        optimizer=Optimizer(lr=3e-4, warmup=2_500, decay="constant"),
        training=Training(
            steps=1_000_000,
            batch_size=512,
            ema_decay=0.9999,
            sample_every=20_000,
            checkpoint_every=10_000,
        ),
    )
