"""Self-conditioning: a network that is shown what it said at the call before.

Source: Chen, Zhang and Hinton, arXiv 2208.04202, section 2.2.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

__all__ = ["SelfConditioned", "SelfConditionedRows"]


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


class SelfConditionedRows:
    """The same of a network that may be asked for some rows of a batch, as token solvers ask.

    Its condition is the index of the rows that it is asked for; the network itself has none. What
    it is shown of rows that it was never asked for is not a number.

    Args:
        network: Called with the state, the time, None and the last output of the rows.
        rows: The number of rows of the batch.
        show: Chooses the tensor of an output that is kept.

    Example:
        >>> network = lambda x, t, condition, last: x + (0 if last is None else last.nan_to_num())
        >>> shown = SelfConditionedRows(network, 2)
        >>> for rows in ([0], [0, 1]):
        ...     output = shown(torch.ones(len(rows), 1), 0.0, torch.tensor(rows))
        >>> output[:, 0]
        tensor([2., 1.])
    """

    def __init__(
        self,
        network: Callable[..., Any],
        rows: int,
        show: Callable[[Any], Tensor] = lambda output: output,
    ) -> None:
        self._network, self._rows, self._show = network, rows, show
        self._last: Tensor | None = None

    def __call__(self, x: Any, t: Any, condition: Tensor) -> Any:
        """Return the network's output for some rows, and keep what is shown of it."""
        shown = None if self._last is None else self._last[condition]
        output = self._network(x, t, None, shown)
        new = self._show(output)
        if self._last is None:
            self._last = new.new_full((self._rows, *new.shape[1:]), torch.nan)
        self._last = self._last.index_copy(0, condition, new)
        return output
