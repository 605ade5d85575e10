"""Runs of nine CA, and how far they are from the nearest run of native chains."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

from feller.proteins.metrics.backbones import backbones
from feller.proteins.metrics.estimates import Tally
from feller.proteins.metrics.kabsch import nearest_rmsd
from feller.proteins.structure.chain import Chain

__all__ = ["fragment_rmsd", "fragments"]

LENGTH = 9


def fragments(
    chains: Sequence[Chain], limit: int, length: int = LENGTH, seed: int = 0
) -> tuple[Float[np.ndarray, "n k 3"], Int[np.ndarray, " n"]]:
    """Draw runs of CA without breaks or missing atoms.

    Args:
        chains: The chains.
        limit: How many to draw; all of them where there are fewer.
        length: Residues in a run.
        seed: Chooses them.

    Returns:
        The runs in Angstrom, and the number of the chain of each.
    """
    held = backbones(chains)
    run = np.stack([held.ahead(held.ca, step) for step in range(length)], 1)
    starts = np.flatnonzero(np.isfinite(run).all((1, 2)))
    if len(starts) > limit:
        starts = np.sort(np.random.default_rng(seed).choice(starts, limit, replace=False))
    return run[starts], held.chain[starts]


def fragment_rmsd(
    chains: Sequence[Chain],
    reference: Sequence[Chain],
    *,
    drawn: int = 500,
    pool: int = 4_000,
    seed: int = 0,
) -> Tally:
    """Return how far runs of 9 CA are from the nearest run of a reference, in Angstrom, averaged.

    Local structure that no native chain has is far from all of it. The figure falls with the size
    of the pool: compare only what was measured alike.

    Args:
        chains: The chains.
        reference: Where the pool comes from.
        drawn: Runs to draw of the chains.
        pool: Runs to draw of the reference.
        seed: Chooses both.
    """
    ours, number = fragments(chains, drawn, seed=seed)
    theirs, _ = fragments(reference, pool, seed=seed + 1)
    near = nearest_rmsd(ours, theirs) if len(ours) and len(theirs) else np.zeros(0)
    hits, trials = np.zeros((2, len(chains)))
    np.add.at(hits, number[: len(near)], near)
    np.add.at(trials, number[: len(near)], 1.0)
    return Tally(hits, trials)
