"""Your own networks: their arguments are remembered, so that they can be rebuilt.

A saved configuration names the module and the class (or function) of a network, and the arguments
it was made with. It is looked up among the `buildable` classes and functions that this process has
imported: a file never imports or calls anything else.
"""

import functools
import inspect
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import nn

from feller.core.config import ConfigError, decode, encode, home_of, tagged
from feller.core.nn.modes import evaluating

__all__ = ["OwnNetwork", "buildable", "check_rebuilt", "network_config"]

T = TypeVar("T", bound=Callable[..., nn.Module])
_MAKERS: dict[str, Callable[..., nn.Module]] = {}
_MADE = "_feller_made"
_HINT = (
    "put @buildable, of feller.core, before its class or before a function that makes it, so that "
    "what it is made with is saved"
)


def buildable(maker: T) -> T:
    """Mark a network class, or a function that makes a network, so that saved models can name it.

    Networks made by it remember their arguments: numbers, strings, lists, dicts with strings as
    keys, and tagged dataclasses.

    Args:
        maker: A class of `nn.Module`, which is returned unchanged; or a function.

    Example:
        >>> @buildable
        ... def network(width: int = 8) -> nn.Module:
        ...     return nn.Linear(width, width)
        >>> network_config(network(width=3)).arguments
        (('width', 3),)
    """
    name = f"{home_of(maker)}.{maker.__qualname__}"
    if inspect.isclass(maker):
        found: Any = maker
        found.__init__ = _remembering(found.__init__, name, found)
        _MAKERS[name] = found
        return found

    @functools.wraps(maker)
    def make(*args: Any, **kwargs: Any) -> nn.Module:
        network = maker(*args, **kwargs)
        _remember(network, type(network), name, inspect.signature(maker).bind(*args, **kwargs))
        return network

    _MAKERS[name] = make
    return make  # pyright: ignore[reportReturnType]


def _remembering(init: Any, name: str, kind: type) -> Any:
    signature = inspect.signature(init)

    @functools.wraps(init)
    def begin(self: nn.Module, *args: Any, **kwargs: Any) -> None:
        init(self, *args, **kwargs)
        _remember(self, kind, name, signature.bind(self, *args, **kwargs))

    return begin


def _remember(network: nn.Module, kind: type, name: str, bound: inspect.BoundArguments) -> None:
    """Keep what made a network, for its own class: that of a base is not what it was made with."""
    arguments = dict(bound.arguments)
    for parameter in bound.signature.parameters.values():
        if parameter.kind is parameter.VAR_KEYWORD:
            arguments |= arguments.pop(parameter.name, {})
    arguments.pop("self", None)
    network.__dict__.setdefault(_MADE, {})[kind] = name, arguments


@tagged("own_network")
@dataclass(frozen=True)
class OwnNetwork:
    """A network that is not feller's.

    Attributes:
        module: The module that defines its class, or the function that makes it.
        name: Its name there.
        arguments: Names and values of the arguments that build it.

    Raises:
        ValueError: When the module is not imported, or the name is not marked `buildable` there.
    """

    module: str
    name: str
    arguments: tuple[tuple[str, Any], ...] = ()

    def __post_init__(self) -> None:
        """Reject what this process does not know; a file is no reason to import it."""
        self._maker()

    def build(self) -> nn.Module:
        """Make the network with fresh weights."""
        return self._maker()(**dict(self.arguments))

    def _maker(self) -> Callable[..., nn.Module]:
        if found := _MAKERS.get(f"{self.module}.{self.name}"):
            return found
        what = f"its network is {self.name} of the module {self.module}"
        module = _imported(self.module)
        if module is None:
            raise ValueError(f"{what}: import {self.module} first")
        found: Any = module
        for part in self.name.split("."):
            found = getattr(found, part, None)
        # Without arguments a file chooses nothing but the class, and that of this module alone.
        plain = nn.Module in getattr(found, "__mro__", ())
        if found is None or not plain or home_of(found) != self.module:
            raise ValueError(f"{what}, which has none of that name: define it there")
        if self.arguments:
            raise ValueError(f"{what}, which is not marked: {_HINT}")
        return found


def _imported(name: str) -> Any:
    """Return a module that was imported; a script is known by the name of its file."""
    main = sys.modules.get("__main__")
    own = main is not None and _home_of_main() == name
    return sys.modules.get(name) or (main if own else None)


def _home_of_main() -> str:
    return home_of(type("Main", (), {"__module__": "__main__"}))


def network_config(network: nn.Module) -> Any:
    """Return the configuration that makes a network: its own `config`, or an `OwnNetwork`.

    Raises:
        ValueError: When an argument cannot be stored in a configuration.
    """
    own: Any = getattr(network, "config", None)
    if hasattr(own, "build"):
        try:
            encode(own)
        except ConfigError:
            pass
        else:
            return own
    kind = type(network)
    made = network.__dict__.get(_MADE, {}).get(kind)
    if made is None:
        _MAKERS.setdefault(f"{home_of(kind)}.{kind.__qualname__}", kind)
        return OwnNetwork(home_of(kind), kind.__qualname__)
    home, arguments = made[0].removesuffix(f".{_qualname(made[0])}"), made[1]
    for name, value in arguments.items():
        try:
            encode(value)
        except ConfigError as error:
            raise ValueError(
                f"{kind.__qualname__} cannot be saved: its argument {name} is of type "
                f"{type(value).__name__}, and {error}"
            ) from None
    return OwnNetwork(home, _qualname(made[0]), tuple(arguments.items()))


def _qualname(name: str) -> str:
    return _MAKERS[name].__qualname__


def check_rebuilt(network: nn.Module, config: Any, *inputs: Any) -> None:
    """Reject a network whose configuration, as it is saved, makes another one.

    Both are asked with the same random weights, as a fresh network often returns zeros.

    Args:
        network: The network.
        config: Its configuration.
        inputs: What it is asked.

    Raises:
        ValueError: When the configuration makes none, or one that returns something else.
    """
    name = type(network).__qualname__
    with torch.random.fork_rng(devices=[]), evaluating(network), torch.no_grad():
        kept = {key: value.clone() for key, value in network.state_dict().items()}
        try:
            saved = json.loads(json.dumps(encode(config)))
            again = decode(saved).build().to(_device(network)).eval()
            state = {key: _stirred(value) for key, value in kept.items()}
            again.load_state_dict(state)
            network.load_state_dict(state)
            same = _equal(_seeded(network, inputs), _seeded(again, inputs))
        except (TypeError, RuntimeError, ValueError, LookupError, AttributeError) as error:
            reason = " ".join(str(error).split())
            raise ValueError(f"{name} cannot be made again ({reason:.200}): {_HINT}") from None
        finally:
            network.load_state_dict(kept)
    if not same:
        raise ValueError(f"{name}, made again, is another network: {_HINT}")


def _device(network: nn.Module) -> torch.device:
    first = next(network.parameters(), None)
    return torch.device("cpu") if first is None else first.device


def _stirred(value: torch.Tensor) -> torch.Tensor:
    return value + 0.1 * torch.randn_like(value) if value.is_floating_point() else value


def _seeded(network: nn.Module, inputs: Any) -> Any:
    torch.manual_seed(0)
    return network(*inputs)


def _equal(one: torch.Tensor, other: torch.Tensor) -> bool:
    return one.shape == other.shape and torch.allclose(one, other, equal_nan=True)
