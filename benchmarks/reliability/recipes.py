"""Trainings of seconds, one of each domain, that save every other step."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from feller.core.domains import recipe
from feller.core.training import Recipe

SUPPORT = Path(__file__).parents[2] / "tests" / "support"
DOMAINS = ("points", "images", "text", "proteins")


def tiny(domain: str, home: Path, steps: int) -> Recipe:
    """Return a small recipe of a domain; `points` is that of feller's own tests.

    Args:
        domain: Its name.
        home: Where its data go.
        steps: How long it trains.
    """
    made: Recipe = globals()[f"_{domain}"](home)
    training = replace(
        made.training, steps=steps, batch_size=4, accumulate=1, log_every=1, sample_every=0,
        checkpoint_every=2, keep=2, workers=0, evaluate_every=0,
    )  # fmt: skip
    return replace(made, training=training)


def _support(name: str) -> Any:
    """Import what tests share."""
    sys.path.insert(0, str(SUPPORT))
    return __import__(name)


def _points(home: Path) -> Recipe:
    return _support("points").recipe(condition_drop=0.25)


def _images(home: Path) -> Recipe:
    import numpy as np

    from feller.images.shapes import draw_shapes

    # A file: to draw them anew takes longer than the training.
    if not (file := home / "images.npz").exists():
        images, labels = draw_shapes(500, 28, 0)
        np.savez(file, images=images, labels=labels)
    full = recipe("images/drawn-flow")
    network = replace(full.model.network, channels=(8, 8), head_channels=8)
    data = replace(full.data, source="npz", root=str(file))
    return replace(full, model=replace(full.model, network=network), data=data)


def _text(home: Path) -> Recipe:
    corpus = home / "corpus.txt"
    corpus.write_text("To be, or not to be, that is the question:\n" * 200)
    full = recipe("text/shakespeare-mask")
    transformer = replace(full.model.network.transformer, dim=16, depth=1, num_heads=2)
    network = replace(full.model.network, transformer=transformer)
    data = replace(full.data, path=str(corpus), cache=str(home / "cache"))
    return replace(full, model=replace(full.model, network=network), data=data)


def _proteins(home: Path) -> Recipe:
    from feller.proteins.structure.writing import write_chains

    chain = _support("structures").chain
    chains = [chain(44 + 2 * (i % 2), name=f"h{i}", seed=i) for i in range(8)]
    write_chains(chains, home / "pdb")
    full = recipe("proteins/short-codesign")
    network = replace(full.model.network, dim=16, pair=8, depth=1, num_heads=2, updates=1)
    data = replace(
        full.data, path=str(home / "pdb"), cache=str(home / "cache"), test_fraction=0.0,
        filters=replace(full.data.filters, max_gyration=9.0),
    )  # fmt: skip
    return replace(full, model=replace(full.model, network=network), data=data)
