"""Codecs: between what a domain's users have and the states of a Markov process."""

from abc import ABC, abstractmethod
from typing import Any

from jaxtyping import Bool
from torch import Tensor

from feller.core.typing import Rng

__all__ = ["Codec"]


class Codec(ABC):
    """A two-way translation between raw data and states."""

    @abstractmethod
    def encode(self, raw: Any, rng: Rng = None) -> tuple[Any, Any]:
        """Turn a raw batch into data points z and conditions (None where there are none).

        Randomness, such as a random flip, comes from `rng`.
        """

    @abstractmethod
    def decode(self, z: Any) -> Any:
        """Turn states into raw data."""

    @abstractmethod
    def drop(self, condition: Any, where: Bool[Tensor, " b"]) -> Any:
        """Replace the conditions of some rows by the condition that says nothing."""

    def example(self, n: int) -> tuple[Any, Any]:
        """Return `n` data points of the usual size, all alike, and their conditions.

        Raises:
            LookupError: Where there is no usual size.
        """
        raise LookupError(f"a {type(self).__name__} has no example")

    def check_data(self, data: Any) -> str:
        """Reject a data set that cannot be trained on; return what is to be said of it, or nothing.

        A training asks once, at its start.

        Raises:
            ValueError: When items would be refused later, as they are drawn.
        """
        return ""
