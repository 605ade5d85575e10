"""What every network on text says of itself, so that models and checkpoints take any."""

from abc import ABC, abstractmethod
from typing import Any

from feller.text.vocabulary import Vocabulary

__all__ = ["TextNetworkConfig"]


class TextNetworkConfig(ABC):
    """What a network on text is made of.

    One of your own is a frozen dataclass, tagged (`feller.core.config.tagged`) so that it can be
    saved, with these fields or properties:

    Attributes:
        conditioned: Whether the network is conditioned on kappa; for a mask source it is not.
        num_classes: Classes of the labels; 0 for a network without.
        causal: Whether a token sees those to its left only.
    """

    conditioned: Any
    num_classes: Any
    causal: Any

    @abstractmethod
    def build(self, vocabulary: Vocabulary) -> Any:
        """Make the network.

        Returns:
            A module with its `config`, whose `forward(x, kappa, condition, valid)` returns hidden
            states `(b, n, d)`, and whose `head` turns those into logits of the sampleable ids.
        """
