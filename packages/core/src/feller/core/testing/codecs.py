"""The contract of codecs: what is encoded is decoded."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from feller.core.codec import Codec
from feller.core.testing.demands import demand

__all__ = ["check_codec"]


def check_codec(codec: Codec, raw: Any, *, same: Callable[[Any, Any], bool] | None = None) -> None:
    """Check a codec.

    What it encodes it decodes, the batch may be a list for a tuple, the same data are encoded alike
    where no rng is given, and `drop` replaces the conditions asked for, the others not, and not in
    place.

    Args:
        codec: The codec.
        raw: A raw batch of at least two rows.
        same: Whether what was decoded is what was encoded; by default, with `torch.equal`, whether
            it is `raw`, or its first part.

    Raises:
        AssertionError: When one of these does not hold.
    """
    name = type(codec).__name__
    z, condition = codec.encode(raw)
    decoded = codec.decode(z)
    several = isinstance(raw, tuple)
    first = raw[0] if several else raw
    kept = _equal(decoded, first) if same is None else same(decoded, raw)
    demand(kept, f"{name} does not decode what it encodes")
    if several:
        listed, _ = codec.encode(list(raw))
        demand(_equal(listed, z), f"{name} encodes a list otherwise than a tuple")
    demand(_equal(codec.encode(raw)[0], z), f"{name} encodes at random without an rng")
    if condition is not None:
        _check_drop(codec, condition, name)


def _check_drop(codec: Codec, condition: Tensor, name: str) -> None:
    before = condition.clone()
    where = torch.zeros(len(condition), dtype=torch.bool)
    where[0] = True
    dropped = codec.drop(condition, where)
    demand(torch.equal(condition, before), f"drop of {name} changes the condition it is given")
    demand(torch.equal(dropped[1:], condition[1:]), f"drop of {name} changes other rows")
    demand(not torch.equal(dropped[0], condition[0]), f"drop of {name} leaves what it is to drop")
    nothing = codec.drop(condition, ~where & where)
    demand(torch.equal(nothing, condition), f"drop of {name} changes rows it is not asked for")


def _equal(found: Any, expected: Any) -> bool:
    """Return whether tensors, or dicts of them, are equal."""
    if isinstance(found, dict):
        return found.keys() == expected.keys() and all(_equal(found[k], expected[k]) for k in found)
    return torch.equal(torch.as_tensor(found), torch.as_tensor(expected))
