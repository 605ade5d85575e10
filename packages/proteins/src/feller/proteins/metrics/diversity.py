"""How unlike chains are: pairs of them, clusters, and the nearest chain of a reference.

Figures compare only within one tool that aligns, see `feller.proteins.metrics.tm`. Pairs of samples
have the mean of their two TM-scores, novelty takes that by the length of the sample.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

from feller.proteins.metrics.estimates import DRAWS, Estimate, resamples
from feller.proteins.metrics.tm import FEWEST, Tool, tm_score, trace
from feller.proteins.structure.chain import Chain

__all__ = [
    "SAME_FOLD",
    "aligned",
    "clusters",
    "mean_pair",
    "nearest_scores",
    "pair_scores",
    "thumbnails",
]

SAME_FOLD = 0.5
CORNERS = 16


def aligned(chains: Sequence[Chain]) -> list[Chain]:
    """Return the chains that have the CA an alignment needs, those of five residues."""
    return [chain for chain in chains if len(trace(chain)) >= FEWEST]


def pair_scores(chains: Sequence[Chain], tool: Tool | None = None) -> Float[np.ndarray, "n n"]:
    """Return the mean TM-score of each pair, NaN where none is aligned; 1 on the diagonal."""
    scores = np.eye(len(chains))
    for i, first in enumerate(chains):
        for j, second in enumerate(chains[:i]):
            scores[i, j] = scores[j, i] = tm_score(first, second, tool).mean
    return scores


def mean_pair(scores: Float[np.ndarray, "n n"], draws: int = DRAWS, seed: int = 0) -> Estimate:
    """Return the mean over pairs of different chains, resampled by chain; None without a pair.

    Pairs whose score is NaN are left out.

    Example:
        >>> mean_pair(np.array([[1.0, 0.2], [0.2, 1.0]])).value
        0.2
    """
    n = len(scores)
    known = np.isfinite(scores) & ~np.eye(n, dtype=bool)
    if not known.any():
        return Estimate(None)
    others, found = known.astype(np.float64), np.where(known, scores, 0.0)
    value = float(found.sum() / others.sum())
    weights = resamples(n, draws, seed).astype(np.float64)
    pairs = np.einsum("di,ij,dj->d", weights, others, weights, optimize=True)
    sums = np.einsum("di,ij,dj->d", weights, found, weights, optimize=True)
    low, high = np.quantile(sums[pairs > 0] / pairs[pairs > 0], [0.025, 0.975])
    return Estimate(value, float(low), float(high))


def clusters(
    scores: Float[np.ndarray, "n n"], threshold: float = SAME_FOLD
) -> Int[np.ndarray, " n"]:
    """Return the number of the cluster of each chain, by complete linkage.

    The two clusters whose least alike members are most alike are merged, as long as those score
    above the threshold.

    Example:
        >>> clusters(np.array([[1.0, 0.9, 0.2], [0.9, 1.0, 0.6], [0.2, 0.6, 1.0]]))
        array([0, 0, 1])
    """
    linkage = scores.astype(np.float64).copy()
    np.fill_diagonal(linkage, -np.inf)
    number = np.arange(len(scores))
    while linkage.size and linkage.max() > threshold:
        keep, drop = sorted(np.unravel_index(linkage.argmax(), linkage.shape))
        linkage[keep] = linkage[:, keep] = np.minimum(linkage[keep], linkage[drop])
        linkage[keep, keep] = -np.inf
        linkage[drop] = linkage[:, drop] = -np.inf
        number[number == drop] = keep
    return np.unique(number, return_inverse=True)[1].reshape(-1)


def thumbnails(chains: Sequence[Chain], corners: int = CORNERS) -> Float[np.ndarray, "n d"]:
    """Return the distances between points that divide the trace of CA evenly, in Angstrom.

    Chains of one fold and about one length have near thumbnails; mirrored ones have the same.
    """
    upper = np.triu_indices(corners, 1)
    rows = [_corners(chain, corners) for chain in chains]
    far = [np.sqrt(np.square(x[:, None] - x[None]).sum(-1))[upper] for x in rows]
    return np.stack(far)


def nearest_scores(
    chains: Sequence[Chain],
    reference: Sequence[Chain],
    *,
    candidates: int = 20,
    tool: Tool | None = None,
) -> Float[np.ndarray, " n"]:
    """Return the largest TM-score of each chain with a chain of a reference.

    It is normalised by the length of the sample. Only the candidates with the nearest thumbnails
    are aligned, so the figure is a lower bound on the largest of all.

    Raises:
        ValueError: When the reference is empty.
    """
    if not reference:
        raise ValueError("the nearest chain of an empty reference: at least one is needed")
    ours, theirs = thumbnails(chains), thumbnails(reference)
    near = [np.argsort(np.square(theirs - row).sum(-1))[:candidates] for row in ours]
    return np.array(
        [
            max(tm_score(chain, reference[i], tool).first for i in indices)
            for chain, indices in zip(chains, near, strict=True)
        ]
    )


def _corners(chain: Chain, corners: int) -> np.ndarray:
    ca = trace(chain)
    if len(ca) == 0:
        return np.zeros((corners, 3))
    points = np.linspace(0, len(ca) - 1, corners)
    return np.stack([np.interp(points, np.arange(len(ca)), x) for x in ca.T], -1)
