"""Networks of `transformers` that are refused: fetched code, another than its folder, one-sided."""

from typing import Any

import torch
from torch import nn

__all__ = ["first_line", "refuse_difference", "refuse_one_sided"]

# Fields of a configuration that decide nothing of a network: the vocabulary is ours.
_NAMES = {"architectures", "dtype", "torch_dtype", "transformers_version", "_name_or_path"}
_LABELS = {"id2label", "label2id", "num_labels", "problem_type"}
_IDLE = _NAMES | _LABELS | {"vocab_size", "initializer_range", "use_cache"}


def first_line(error: BaseException) -> str:
    """Return the first line of an error, or its name."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def refuse_difference(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    """Reject configurations of two networks; only the id of padding may move its positions."""
    for key in ["model_type", *sorted((ours.keys() | theirs.keys()) - _IDLE)]:
        if key.endswith("_token_id") and key != "pad_token_id":
            continue
        if (mine := ours.get(key)) != (other := theirs.get(key)):
            raise ValueError(
                f"{key} is {mine} in network.definition and {other} in the folder's config.json"
            )


@torch.no_grad()
def refuse_one_sided(network: nn.Module, length: int) -> None:
    """Reject a network whose first element does not feel its last: a chain needs both sides.

    A configuration says so in many ways (`is_decoder`, `causal`, no layers), and transformers makes
    the model all the same.

    Args:
        network: Ids and kappa to hidden states.
        length: Elements to try.

    Raises:
        ValueError: When it is one.
    """
    x = torch.zeros(2, length, dtype=torch.long)
    x[1, -1] = 1
    one, other = network(x, torch.ones(2))[:, 0]
    if length > 1 and torch.equal(one, other):
        raise ValueError(
            "network.definition: its first position does not see its last, and a chain needs both "
            "sides: leave out is_decoder, causal, or whatever makes it so"
        )
