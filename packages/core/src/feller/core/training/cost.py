"""What a model costs, found without computing anything: weights, operations and memory.

The model is made on the `meta` device, where tensors have shapes and no numbers.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.flop_counter import FlopCounterMode

from feller.core.algebra import Model
from feller.core.losses import Loss, Objective, Sample
from feller.core.training.config import ModelConfig

__all__ = ["Cost", "cost_of"]

_STATE = 20  # bytes a weight: itself, its gradient, its average and the two moments of AdamW


@dataclass(frozen=True)
class Cost:
    """What a model costs, in single precision.

    Attributes:
        parameters: Number of weights.
        flops: Floating-point operations of the network on one sample, two for a multiplication with
            an addition; None where they are not known.
        sample_bytes: What training keeps of a sample until its gradient is taken; None where it is
            not known.
    """

    parameters: int
    flops: int | None = None
    sample_bytes: int | None = None

    def training_bytes(self, batch: int) -> int | None:
        """Return the memory of a training step on a batch, without that of its temporary results.

        Example:
            >>> Cost(1_000_000, 10, 50_000).training_bytes(64)
            23200000
        """
        return None if self.sample_bytes is None else self._held + batch * self.sample_bytes

    @property
    def _held(self) -> int:
        return _STATE * self.parameters

    def page(self, batch: int = 0) -> str:
        """Return the cost as Markdown.

        Args:
            batch: Samples at once, where the memory of as many is asked for; 0 for none.

        Example:
            >>> print(Cost(1_500_000, 222_000_000).page())
            ## Cost
            <BLANKLINE>
            |  |  |
            |---|---|
            | parameters | 1.50 million |
            | operations of the network, a sample | 0.22 GFLOPs |
        """
        rows = [("parameters", f"{self.parameters / 1e6:.2f} million")]
        if self.flops is not None:
            rows.append(("operations of the network, a sample", f"{self.flops / 1e9:.2f} GFLOPs"))
        if self.sample_bytes is not None:
            rows.append(("memory of training, a sample", f"{self.sample_bytes / 1e6:.1f} MB"))
        if batch and (whole := self.training_bytes(batch)) is not None:
            rows.append((f"memory of training, {batch} samples", f"{whole / 1e9:.2f} GB"))
        return "\n".join(
            ["## Cost", "", "|  |  |", "|---|---|", *(f"| {a} | {b} |" for a, b in rows)]
        )


def cost_of(config: ModelConfig, objective: Loss | None = None) -> Cost:
    """Return what a model costs, where its codec has an `example`; else its weights alone.

    Args:
        config: What it is made of.
        objective: The loss of training; `Objective()` if None.
    """
    with torch.device("meta"):
        model: Any = config.build()
        parameters = sum(p.numel() for p in model.parameters())
        try:
            z, condition = model.codec.example(1)
        except LookupError:
            return Cost(parameters)
        if not isinstance(
            model, Model
        ):  # such as one that is autoregressive: it is asked otherwise
            return Cost(parameters)
        t = torch.full((1,), 0.5)
        sample = Sample(z, t, model.path.sample(z, t))
        flops = _operations(model, sample.x_t, t, condition)
        return Cost(parameters, flops, _kept(model, objective or Objective(), sample, condition))


def _operations(model: Any, x: Any, t: Tensor, condition: Any) -> int:
    model.requires_grad_(False)  # the counter looks for graphs of weights, which no_grad has not
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(x, t, condition)
    model.requires_grad_(True)
    return int(counter.get_total_flops())


def _kept(model: Any, objective: Loss, sample: Sample, condition: Any) -> int | None:
    """Return the bytes kept for a gradient; None of a loss that looks at the numbers themselves."""
    kept: dict[int, Any] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage._cdata] = storage
        return tensor

    model.train()
    try:
        with saved_tensors_hooks(keep, lambda tensor: tensor):
            objective.by_part(model, model.path, *sample, condition=condition)
    except NotImplementedError:
        return None
    own = {p.untyped_storage()._cdata for p in model.parameters()}
    return sum(storage.nbytes() for key, storage in kept.items() if key not in own)
