r"""How far points are from others after the best rigid motion.

Of centred points a_k and b_k, with H = sum_k a_k b_k^T and its singular values s_1 >= s_2 >= s_3,
the largest sum of a_k . R b_k over rotations R is s_1 + s_2 + sign(det H) s_3. So
RMSD^2 = (sum |a_k|^2 + sum |b_k|^2 - 2 (s_1 + s_2 +- s_3)) / K.

Source: Kabsch, Acta Cryst. A 32 (1976) and 34 (1978).
"""

import numpy as np
from jaxtyping import Float

__all__ = ["kabsch", "nearest_rmsd", "rmsd"]

NEWTON = 10


def kabsch(
    fixed: Float[np.ndarray, "*#batch k 3"],
    mobile: Float[np.ndarray, "*#batch k 3"],
    weights: Float[np.ndarray, "*#batch k"] | None = None,
) -> tuple[Float[np.ndarray, "*batch 3 3"], Float[np.ndarray, "*batch 3"]]:
    """Return R and t for which R x + t brings points x of `mobile` nearest to `fixed`.

    Args:
        fixed: Where to bring them.
        mobile: The points.
        weights: How much the squared distance of each pair counts; alike by default.

    Example:
        >>> x = np.array([[1.0, 0, 0], [0, 2, 0], [0, 0, 3]])
        >>> turn = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
        >>> rotation, shift = kabsch(x @ turn.T + 5, x)
        >>> np.allclose(rotation, turn), np.allclose(shift, 5)
        (True, True)
    """
    each = np.ones((fixed.shape[-2], 1)) if weights is None else weights[..., None]
    weight = each / each.sum(-2, keepdims=True)
    a, b = ((weight * x).sum(-2, keepdims=True) for x in (fixed, mobile))
    u, _, vt = np.linalg.svd(np.swapaxes(weight * (fixed - a), -1, -2) @ (mobile - b))
    last = np.sign(np.linalg.det(u @ vt))[..., None]
    flip = np.concatenate([np.ones_like(last), np.ones_like(last), last], -1)
    rotation = (u * flip[..., None, :]) @ vt
    shift = a - b @ np.swapaxes(rotation, -1, -2)
    return rotation, shift[..., 0, :]


def rmsd(
    fixed: Float[np.ndarray, "*batch k 3"], mobile: Float[np.ndarray, "*batch k 3"]
) -> Float[np.ndarray, "*batch"]:
    """Return the root mean square deviation of points after superposition, in their unit."""
    rotation, shift = kabsch(fixed, mobile)
    moved = mobile @ np.swapaxes(rotation, -1, -2) + shift[..., None, :]
    return np.asarray(np.sqrt(np.square(moved - fixed).sum(-1).mean(-1)))


def nearest_rmsd(
    points: Float[np.ndarray, "n k 3"], pool: Float[np.ndarray, "m k 3"], rows: int = 16
) -> Float[np.ndarray, " n"]:
    """Return how far each set of points is from the nearest one of a pool, in their unit.

    The nearest is found in single precision, and then measured exactly.

    Args:
        points: Sets of k points.
        pool: Other sets of k points, at least one.
        rows: How many sets to compare with the pool at once.

    Raises:
        ValueError: When the pool is empty.
    """
    if len(pool) == 0:
        raise ValueError("the nearest of an empty pool: at least one set of points is needed")
    a, b = (x - x.mean(1, keepdims=True) for x in (points, pool))
    parts = [a[i : i + rows] for i in range(0, len(a), rows)]
    best = [_overlap(part, b).argmax(1) for part in parts]
    return rmsd(points, pool[np.concatenate([*best, np.zeros(0, np.int64)])])


def _overlap(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return what is larger the nearer two sets are: the part of -K RMSD^2 that depends on b."""
    h = np.einsum("nkx,mky->xynm", a.astype(np.float32), b.astype(np.float32), optimize=True)
    return 2 * _signed_sum(h) - np.square(b).sum((1, 2)).astype(np.float32)


def _signed_sum(h: Float[np.ndarray, "3 3 n m"]) -> Float[np.ndarray, "n m"]:
    """Return x = s_1 + s_2 + sign(det H) s_3 of each matrix, without its decomposition.

    With e_1 = sum_i s_i^2, e_2 the sum of squared minors and d = det H, x is the largest root of
    x^4 - 2 e_1 x^2 - 8 d x + e_1^2 - 4 e_2, which Newton's method reaches from sqrt(3 e_1) above
    (Theobald, Acta Cryst. A 61, 2005).
    """
    minors = np.stack([np.cross(h[i - 2], h[i - 1], axis=0) for i in range(3)])
    e1, e2, det = np.square(h).sum((0, 1)), np.square(minors).sum((0, 1)), (h[0] * minors[0]).sum(0)
    x = np.sqrt(3 * e1)
    for _ in range(NEWTON):
        square = x * x
        value = (square - 2 * e1) * square - 8 * det * x + e1 * e1 - 4 * e2
        x -= value / np.maximum(4 * x * (square - e1) - 8 * det, 1e-12)
    return x
