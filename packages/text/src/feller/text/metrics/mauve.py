r"""How far one set of texts is from another, in the eyes of an encoder: a score like MAUVE.

Features of both sets are put into k clusters together; P and Q are the fractions of each set in the
clusters. For mixtures R = w P + (1 - w) Q the curve of
:math:`(e^{-c KL(Q \| R)}, e^{-c KL(P \| R)})` says what is missing from one and the other;
the score is the area under it, 1 for equal sets. Source: Pillutla et al., arXiv 2102.01454, with
c = 5.

It depends on the encoder, on k, on the sizes of the sets and, by the clusters, on the seed: compare
scores only where all but the last agree, and take its spread over seeds with them.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from feller.core.intervals import Estimate, mean_estimate

__all__ = ["clusters", "frontier_score", "score_of_frequencies"]

Features = Float[Tensor, "n d"]


def frontier_score(
    ours: Features, theirs: Float[Tensor, "m d"], *, k: int | None = None, seeds: int = 5
) -> Estimate:
    """Return the mean score over clusterings by several seeds, with its interval over these.

    Args:
        ours: Features of one set of texts.
        theirs: Features of another; as many, for a score without bias between the two.
        k: Clusters; a tenth of all texts if None, but at least two.
        seeds: How many clusterings.

    Raises:
        ValueError: When there are fewer than four texts in all, or no seed.
    """
    both = torch.cat([ours, theirs]).double()
    if len(both) < 4 or seeds < 1:
        raise ValueError("a score needs at least four texts and one seed")
    both = both - both.mean(0)
    both = both / both.norm(dim=1, keepdim=True).clamp_min(1e-12)
    count = max(2, len(both) // 10) if k is None else k
    scores = []
    for seed in range(seeds):
        cluster = clusters(both, count, torch.Generator().manual_seed(seed))
        p = torch.bincount(cluster[: len(ours)], minlength=count).double()
        q = torch.bincount(cluster[len(ours) :], minlength=count).double()
        scores.append(score_of_frequencies(p, q))
    return mean_estimate(scores)


def clusters(
    points: Features, k: int, rng: torch.Generator, *, rounds: int = 50
) -> Int[Tensor, " n"]:
    """Return the cluster of each point: Lloyd's algorithm from k points at random.

    Raises:
        ValueError: When there are fewer points than clusters.
    """
    if len(points) < k:
        raise ValueError(f"{len(points)} points make no {k} clusters")
    centres = points[torch.randperm(len(points), generator=rng)[:k]]
    cluster = torch.cdist(points, centres).argmin(1)
    for _ in range(rounds):
        counts = torch.bincount(cluster, minlength=k)
        sums = torch.zeros_like(centres).index_add(0, cluster, points)
        some = (counts > 0)[:, None]
        centres = torch.where(some, sums / counts.clamp_min(1)[:, None], centres)
        moved = torch.cdist(points, centres).argmin(1)
        if moved.equal(cluster):
            break
        cluster = moved
    return cluster


def score_of_frequencies(
    p: Float[Tensor, " k"], q: Float[Tensor, " k"], *, scale: float = 5.0
) -> float:
    """Return the area under the frontier of two distributions on k clusters, given as counts.

    Counts get half a text more each, as of a clustering no cluster is known to be empty.

    Example:
        >>> round(score_of_frequencies(torch.ones(4), torch.ones(4)), 6)
        1.0
    """
    p, q = ((c.double() + 0.5) / (c.double() + 0.5).sum() for c in (p, q))
    weights = torch.linspace(0, 1, 101, dtype=torch.float64)[1:-1, None]
    mixed = weights * p + (1 - weights) * q
    x = torch.exp(-scale * _divergence(q, mixed))
    y = torch.exp(-scale * _divergence(p, mixed))
    # From (1, 0), where the mixture is Q and nothing of P is in it, to (0, 1).
    x = torch.cat([x.new_tensor([1.0]), x, x.new_tensor([0.0])])
    y = torch.cat([y.new_tensor([0.0]), y, y.new_tensor([1.0])])
    return -float(torch.trapezoid(y, x))


def _divergence(p: Tensor, q: Tensor) -> Tensor:
    return (p * (p / q).log()).sum(-1)
