r"""How embeddings enter a model of `transformers`, so that it is the function it is of ids.

Most take them as `inputs_embeds` and go on as with their own. Two do not:

- **ESM-2** takes `inputs_embeds` for what its embedding layer returns, and so leaves out positions,
  norm and padding. That layer is called here first. With `token_dropout` it also treats masks as
  dropped inputs: they are 0, and of n elements with m masks the others are scaled by
  :math:`(1 - 0.15 \cdot 0.8) / (1 - m / n)`, the fraction kept in its training over that which is
  left (`EsmEmbeddings` of `transformers`).
- **ESM-C** takes ids alone: its table is replaced by one through which embeddings pass.
"""

import inspect
from typing import Any

import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

__all__ = ["embed", "entrance", "scaled_for_masks", "without_idle_parts", "words"]

KEPT = 1 - 0.15 * 0.8
"""The fraction of elements that ESM-2 saw in training."""


def embed(
    model: Any, x: Int[Tensor, "b n"], seen: Int[Tensor, "b n"], mask: int | None
) -> Float[Tensor, "b n d"]:
    """Return the model's embedding of each id, where masks are dropped inputs without theirs.

    Args:
        model: A model of `transformers`.
        x: The ids.
        seen: 1 where an element exists, else 0.
        mask: The id of the mask; None for none.
    """
    embedded = model.get_input_embeddings()(x)
    if model.config.model_type != "esm" or not model.config.token_dropout:
        return embedded
    return scaled_for_masks(embedded, x == (-1 if mask is None else mask), seen)


def entrance(
    model: Any, embedded: Float[Tensor, "b n d"], seen: Int[Tensor, "b n"]
) -> dict[str, Tensor]:
    """Return embeddings as the argument that the model takes them by."""
    if model.config.model_type == "esm":
        return {"inputs_embeds": _placed(model.base_model.embeddings, embedded, seen)}
    passes = isinstance(model.get_input_embeddings(), _Words)
    return {"input_ids" if passes else "inputs_embeds": embedded}


def words(model: Any, table: nn.Embedding) -> nn.Module:
    """Return the table, or one through which embeddings pass for a model that takes ids alone."""
    taken = inspect.signature(model.base_model.forward).parameters
    return table if "inputs_embeds" in taken else _Words(nn.Parameter(table.weight.detach()))


def scaled_for_masks(
    embedded: Float[Tensor, "b n d"], masked: Bool[Tensor, "b n"], seen: Int[Tensor, "b n"]
) -> Float[Tensor, "b n d"]:
    """Return embeddings without those of masks, the others larger instead.

    Args:
        embedded: One embedding an element.
        masked: Which elements are masks.
        seen: 1 where an element exists, else 0.

    Example:
        >>> import torch
        >>> masked = torch.tensor([[True, False]])
        >>> scaled_for_masks(torch.ones(1, 2, 1), masked, torch.ones(1, 2).long()).flatten()
        tensor([0.0000, 1.7600])
    """
    kept = embedded.masked_fill(masked[..., None], 0.0)
    fraction = (masked & (seen > 0)).sum(-1).float() / seen.sum(-1)
    # Where all are masks there is nothing to scale, and theirs is 0 / 0.
    left = (1 - fraction).masked_fill(fraction == 1, 1.0)
    return (kept * KEPT / left[:, None, None]).to(embedded.dtype)


def without_idle_parts(model: Any) -> Any:
    """Take out what no logit depends on: weights without a gradient stop a group of processes."""
    if hasattr(model.base_model, "contact_head"):
        model.base_model.contact_head = nn.Identity()
    return model


def _placed(layer: Any, embedded: Tensor, seen: Tensor) -> Tensor:
    """Return what ESM's embedding layer makes of embeddings; positions begin after its padding."""
    first = 0 if layer.padding_idx is None else layer.padding_idx + 1
    positions = seen.new_ones(seen.shape).cumsum(1) + (first - 1)
    return layer(inputs_embeds=embedded, attention_mask=seen, position_ids=positions)


class _Words(nn.Module):
    """A table of embeddings that lets through what is embedded already."""

    def __init__(self, weight: nn.Parameter) -> None:
        super().__init__()
        self.weight = weight
        self.embedding_dim = weight.shape[1]

    def forward(self, x: Tensor) -> Tensor:
        return x if x.is_floating_point() else F.embedding(x, self.weight)
