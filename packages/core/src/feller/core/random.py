"""Random draws from an explicit rng: one generator for the batch, or one per row.

With a generator per row, row i of a batch is the same whatever else is in the batch: the same on
one process or two, drawn alone or among a thousand.
"""

import hashlib
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from feller.core.checks import check_count, check_seed
from feller.core.typing import Ragged, Rng

__all__ = ["integers", "normal", "ragged", "repeating", "rows", "seed_of", "uniform"]

Shape = Sequence[int]


def seed_of(*parts: object) -> int:
    """Return a seed made of anything that prints the same everywhere.

    Seeds are hashed, since neighbouring seeds of a Mersenne twister give correlated first draws.
    """
    digest = hashlib.blake2b("/".join(map(str, parts)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def rows(seed: int, start: int, stop: int, *, stream: str = "") -> list[torch.Generator]:
    """Return the generators of rows `start` to `stop` of an endless batch.

    Args:
        seed: Chooses the endless batch.
        start: The first row.
        stop: One past the last row.
        stream: Names independent uses of one seed, such as a training step.

    Raises:
        ValueError: When the seed is not a whole number: None, too, would always draw the same.

    Example:
        >>> normal((2, 3), rows(0, 5, 7))[0].equal(normal((1, 3), rows(0, 5, 6))[0])
        True
    """
    check_seed(seed)
    check_count("the number of rows", stop - start)
    seeds = (seed_of(seed, stream, row) for row in range(start, stop))
    return [torch.Generator().manual_seed(each) for each in seeds]


def repeating(rng: Rng) -> Callable[[], Rng]:
    """Return a function whose every call gives new generators that draw the same.

    They follow from the state of `rng`, which draws nothing itself unless it is PyTorch's own.

    Args:
        rng: A generator, or one for each row; None for PyTorch's own.

    Example:
        >>> again = repeating(rows(0, 0, 2))
        >>> uniform((2, 3), again()).equal(uniform((2, 3), again()))
        True
    """
    if rng is None:
        rng = torch.Generator().manual_seed(int(torch.randint(2**62, ())))
    alone = isinstance(rng, torch.Generator)
    given = [rng] if alone else list(rng.generators if isinstance(rng, Ragged) else rng)
    seeds = [seed_of("again", each.get_state().numpy().tobytes().hex()) for each in given]

    def again() -> Rng:
        pairs = zip(given, seeds, strict=True)
        made = [torch.Generator(each.device).manual_seed(seed) for each, seed in pairs]
        return made[0] if alone else made

    return again


def ragged(rng: Rng, chosen: Tensor) -> Rng:
    """Return the rng of the chosen elements of a batch, flattened."""
    if rng is None or isinstance(rng, torch.Generator | Ragged):
        return rng
    return Ragged(rng, chosen[:, None].flatten(1).sum(1).tolist())


def normal(shape: Shape, rng: Rng, *, like: Tensor | None = None) -> Tensor:
    """Draw standard normals of the given shape, with the dtype and device of `like`.

    Raises:
        ValueError: When `like` holds integers.
    """
    if like is not None and not like.is_floating_point():
        raise ValueError(f"noise is not of {like.dtype}: give data as numbers, data.float()")
    return _draw(lambda size, **where: torch.randn(size, **where), shape, rng, like)


def uniform(shape: Shape, rng: Rng, *, like: Tensor | None = None) -> Tensor:
    """Draw uniforms in [0, 1) of the given shape, with the dtype and device of `like`."""
    return _draw(lambda size, **where: torch.rand(size, **where), shape, rng, like)


def integers(high: int, shape: Shape, rng: Rng, *, like: Tensor | None = None) -> Tensor:
    """Draw integers uniform on 0 ... high - 1 (dtype int64) on the device of `like`."""

    def draw(size: Shape, **where: object) -> Tensor:
        return torch.randint(high, size, **{**where, "dtype": torch.int64})  # type: ignore[arg-type]

    return _draw(draw, shape, rng, like)


def _draw(draw: Callable[..., Tensor], shape: Shape, rng: Rng, like: Tensor | None) -> Tensor:
    dtype = like.dtype if like is not None else None
    device = like.device if like is not None else None
    where = {"dtype": dtype, "device": device}
    if rng is None:
        return draw(tuple(shape), **where)
    if isinstance(rng, torch.Generator):
        # A generator draws on its own device only; the sample then travels.
        return draw(tuple(shape), generator=rng, dtype=dtype, device=rng.device).to(device)
    if isinstance(rng, Ragged):
        parts = zip(rng.generators, rng.counts, strict=True)
        drawn = [draw((n, *shape[1:]), generator=g, dtype=dtype, device=g.device) for g, n in parts]
        return torch.cat(drawn).to(device) if drawn else draw((0, *shape[1:]), **where)
    if not isinstance(rng, Sequence):
        raise ValueError(f"rng is a torch.Generator or one per row, not {rng!r}: random.rows(seed)")
    if len(rng) != shape[0]:
        raise ValueError(f"rng has {len(rng)} generators for {shape[0]} rows; give one per row")
    one = (*shape[1:],)
    drawn = [draw(one, generator=g, dtype=dtype, device=g.device) for g in rng]
    return torch.stack(drawn).to(device) if drawn else draw(tuple(shape), **where)
