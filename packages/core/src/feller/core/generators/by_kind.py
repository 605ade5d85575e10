"""Functions by the kind of a generator: a table that graphs of torch.compile can look up.

`functools.singledispatch` does the same, but no compiler traces it.
"""

from collections.abc import Callable
from typing import Any, TypeVar

__all__ = ["ByKind"]

Function = TypeVar("Function", bound=Callable[..., Any])


class ByKind:
    """A function for each kind of generator; a kind without one has that of its nearest base.

    Example:
        >>> from feller.core.generators import Flow, Jump
        >>> names = ByKind()
        >>> @names.register(Flow)
        ... def flow(generator):
        ...     return "a flow"
        >>> names.find(Flow)(None), names.find(Jump)
        ('a flow', None)
    """

    def __init__(self) -> None:
        self._functions: dict[type, Callable[..., Any]] = {}

    def register(self, kind: type) -> Callable[[Function], Function]:
        """Enter a function for a kind."""

        def enter(function: Function) -> Function:
            self._functions[kind] = function
            return function

        return enter

    def find(self, kind: type) -> Callable[..., Any] | None:
        """Return the function of a kind, or None."""
        for base in kind.__mro__:
            if base in self._functions:
                return self._functions[base]
        return None
