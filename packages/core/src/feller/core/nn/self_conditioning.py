"""Self-conditioning: a network that is shown what it said at the call before.

Source: Chen, Zhang and Hinton, arXiv 2208.04202, section 2.2.
"""

from collections.abc import Callable
from typing import Any

__all__ = ["SelfConditioned"]


class SelfConditioned:
    """A network that is given its own last output; make one for each simulation.

    Args:
        network: Called with the state, the time, the condition and the last output, None at first.
        show: Chooses what is kept of an output; all of it by default.

    Example:
        >>> network = SelfConditioned(lambda x, t, condition, last: x if last is None else last + 1)
        >>> [network(5, 0.0) for _ in range(3)]
        [5, 6, 7]
    """

    def __init__(
        self, network: Callable[..., Any], show: Callable[[Any], Any] = lambda output: output
    ) -> None:
        self._network, self._show = network, show
        self._last: Any = None

    def __call__(self, x: Any, t: Any, condition: Any = None) -> Any:
        """Return the network's output, and keep what is shown of it."""
        output = self._network(x, t, condition, self._last)
        self._last = self._show(output)
        return output
