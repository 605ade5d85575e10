"""What is wrong with numbers, and when to look at them: where it costs nothing.

A check that reads a tensor on an accelerator waits for all that is queued there, at each step. So
numbers are looked at on the CPU, in eager mode; elsewhere what is wrong shows as NaN, which
training refuses.
"""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import singledispatch
from numbers import Integral
from typing import Any, Literal, get_args, get_origin, get_type_hints

import torch
from torch import Tensor, nn

__all__ = [
    "check_choice",
    "check_choices",
    "check_count",
    "check_no_gradient",
    "check_range",
    "check_seed",
    "check_sizes",
    "check_times",
    "check_totals",
    "check_weights",
    "readable",
]

_ROUNDING = 1e-6  # t + (s - t) may be a little more than s


def readable(numbers: Tensor) -> bool:
    """Return whether looking at numbers costs nothing: there are some, and they are at hand.

    Example:
        >>> readable(torch.zeros(2)), readable(torch.zeros(2, device="meta"))
        (True, False)
    """
    if numbers.device.type != "cpu" or torch.compiler.is_compiling() or not numbers.numel():
        return False
    try:
        numbers.detach().reshape(-1)[0].item()
    except RuntimeError:  # a fake or a batched tensor has no numbers
        return False
    return True


def check_times(t: Any) -> None:
    """Reject times outside [0, 1]: a number, a tensor that is readable, or a dict of them.

    Raises:
        ValueError: When one is outside, or NaN.

    Example:
        >>> check_times(0.5)
    """
    if torch.compiler.is_compiling():
        return
    if isinstance(t, Mapping):
        for clock in t.values():
            check_times(clock)
        return
    low = high = t
    if isinstance(t, Tensor):
        if t.device.type != "cpu" or not t.numel():
            return
        try:
            low, high = (float(end) for end in t.detach().aminmax())
        except RuntimeError:  # it has no numbers
            return
    if not -_ROUNDING <= low <= high <= 1 + _ROUNDING:
        raise ValueError(f"t lies in [0, 1], not {low if not low >= -_ROUNDING else high}")


def check_weights(name: str, weights: tuple[float, ...]) -> None:
    """Reject weights that are not fractions of one.

    Raises:
        ValueError: When one is negative or they do not sum to 1.
    """
    if not weights or min(weights) < 0 or not abs(sum(weights) - 1) < 1e-5:
        raise ValueError(f"{name} are at least 0 and sum to 1, not {weights}")


def check_totals(totals: Tensor) -> None:
    """Check that sums of unnormalised probabilities can be drawn from.

    Raises:
        ValueError: When one is 0, infinite or NaN, where looking costs nothing.

    Example:
        >>> check_totals(torch.ones(2))
    """
    if not readable(totals):
        return
    low, high = (float(end) for end in totals.detach().aminmax())
    if not 0 < low <= high < float("inf"):
        wrong = high if low > 0 else low
        raise ValueError(
            f"the probabilities of a draw sum to {wrong:g}, not to a positive number: "
            "check the output of the network"
        )


def check_range(data: tuple[float, float]) -> None:
    """Reject two numbers that bound no data.

    Raises:
        ValueError: When they do not rise or are not finite.
    """
    low, high = data
    if not -float("inf") < low < high < float("inf"):
        raise ValueError(f"data lie between two rising numbers, not {data}")


def check_sizes(config: Any, *names: str) -> None:
    """Reject a dataclass with a field, or an item of one, below 1.

    Raises:
        ValueError: When there is one.
    """
    for name in names:
        value = getattr(config, name)
        if min(value if isinstance(value, tuple) else (value,), default=0) < 1:
            raise ValueError(f"{name} is at least 1, not {value}")


def check_choice(name: str, value: Any, choices: Any) -> None:
    """Reject a value that is none of those of a `Literal`.

    Raises:
        ValueError: When it is not.
    """
    known = get_args(choices)
    if value not in known:
        raise ValueError(f"{name} is {', '.join(known[:-1])} or {known[-1]}, not {value!r}")


def check_choices(config: Any) -> None:
    """Reject a dataclass with a field that is none of the values of its `Literal`.

    Raises:
        ValueError: When there is one: a misspelt name would otherwise mean another choice.
    """
    for name, hint in get_type_hints(type(config)).items():
        if get_origin(hint) is Literal:
            check_choice(name, getattr(config, name), hint)


def check_no_gradient(what: str, **inputs: Any) -> None:
    """Reject inputs through which a gradient is asked for, of what gives none.

    Tensors are looked for in mappings, sequences and dataclasses; the parameters of a network are
    no input. Under `torch.no_grad` nothing asks for a gradient.

    Args:
        what: What gives none, such as `simulate`.
        inputs: Its inputs by name.

    Raises:
        ValueError: When one requires a gradient: it would be cut, and training see none of it.

    Example:
        >>> check_no_gradient("simulate", x_0=torch.zeros(2))
    """
    if torch.compiler.is_compiling() or not torch.is_grad_enabled():
        return
    for name, value in inputs.items():
        if _asks(value):
            raise ValueError(
                f"{what} gives no gradient, and {name} asks for one: detach it, use "
                "torch.no_grad(), or give a solver WithGradient(...)"
            )


@singledispatch
def _asks(value: Any) -> bool:
    """Return whether something asks for a gradient: a dataclass, where a field does."""
    if not is_dataclass(value):
        return False
    return any(_asks(getattr(value, field.name, None)) for field in fields(value))


@_asks.register
def _(value: Tensor) -> bool:
    return value.requires_grad


@_asks.register(nn.Module)
@_asks.register(type)
def _(value: Any) -> bool:
    return False


@_asks.register(list)
@_asks.register(tuple)
def _(value: Any) -> bool:
    return any(map(_asks, value))


@_asks.register(Mapping)
def _(value: Any) -> bool:
    return any(map(_asks, value.values()))


def check_seed(seed: Any) -> None:
    """Reject a seed that is not a whole number: others are hashed as they print, None to one value.

    Raises:
        ValueError: When it is not.

    Example:
        >>> check_seed(0)
    """
    if not _is_whole(seed):
        raise ValueError(f"seed is a whole number, not {seed!r}")


def check_count(name: str, n: Any) -> None:
    """Reject a number of things that is not a whole number of at least 0.

    Raises:
        ValueError: When it is not.

    Example:
        >>> check_count("n", 3)
    """
    if not _is_whole(n) or n < 0:
        raise ValueError(f"{name} is a whole number of at least 0, not {n!r}")


def _is_whole(n: Any) -> bool:
    return isinstance(n, Integral) and not isinstance(n, bool)
