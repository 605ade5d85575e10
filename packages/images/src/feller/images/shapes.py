"""Images drawn by formula: ten shapes of random size, position and brightness.

The set needs no file, so everything can be tried with nothing downloaded.
"""

import numpy as np

__all__ = ["SHAPES", "draw_shapes"]

SHAPES = (
    "disc",
    "ring",
    "square",
    "frame",
    "diamond",
    "plus",
    "bar",
    "column",
    "stripes",
    "triangle",
)


def draw_shapes(count: int, size: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw images.

    Args:
        count: How many.
        size: Side in pixels.
        seed: Chooses them.

    Returns:
        Images uint8 `(count, size, size, 1)` and labels int64 `(count,)`.

    Example:
        >>> images, labels = draw_shapes(20, 28, seed=0)
        >>> images.shape, labels[:3].tolist()
        ((20, 28, 28, 1), [0, 1, 2])
    """
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % len(SHAPES)
    centre = rng.uniform(-0.3, 0.3, (2, count, 1, 1))
    radius = rng.uniform(0.35, 0.65, (count, 1, 1))
    axis = np.linspace(-1, 1, size)
    y, x = axis[None, :, None] - centre[0], axis[None, None, :] - centre[1]
    distance = np.empty((count, size, size))
    for label, name in enumerate(SHAPES):
        rows = labels == label
        distance[rows] = _distance(name, x[rows], y[rows], radius[rows])
    brightness = rng.uniform(0.6, 1.0, (count, 1, 1))
    ink = brightness * (0.5 - 0.5 * np.tanh(distance * size / 3))
    return np.round(255 * ink).astype(np.uint8)[..., None], labels.astype(np.int64)


def _distance(name: str, x: np.ndarray, y: np.ndarray, r: np.ndarray) -> np.ndarray:
    """Return how far each pixel is outside the shape, negative inside."""
    square = np.maximum(abs(x), abs(y)) - r
    disc = np.hypot(x, y) - r
    plus = np.minimum(
        np.maximum(abs(x) - 0.3 * r, abs(y) - r), np.maximum(abs(y) - 0.3 * r, abs(x) - r)
    )
    return {
        "disc": lambda: disc,
        "ring": lambda: abs(disc + 0.15) - 0.1,
        "square": lambda: square,
        "frame": lambda: abs(square + 0.12) - 0.1,
        "diamond": lambda: (abs(x) + abs(y)) / np.sqrt(2) - 0.8 * r,
        "plus": lambda: plus,
        "bar": lambda: np.maximum(abs(y) - 0.3 * r, abs(x) - r),
        "column": lambda: np.maximum(abs(x) - 0.3 * r, abs(y) - r),
        "stripes": lambda: np.maximum(square, abs((y / 0.25) % 2 - 1) * 0.25 - 0.125),
        "triangle": lambda: np.maximum(y - 0.6 * r, 0.87 * abs(x) - 0.5 * y - 0.5 * r),
    }[name]()
