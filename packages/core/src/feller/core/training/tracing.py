r"""A training step without numbers: what it computes, moves and holds.

The step runs on the `meta` device, where tensors have shapes alone. A dispatch mode sees each
operation: it counts them, their floating-point operations by torch's own formulas, bytes that those
without such a formula read and write, and the bytes of all storages that are alive.

Two things differ from a device. Attention is taken as the fused kernels do it, which keep queries,
keys, values, the output and a number a query. And what depends on numbers is taken for the largest
it may be: where a loss reads some of the tokens, all of them.
"""

import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from feller.core.nn.ema import EMA
from feller.core.training.config import Recipe
from feller.core.training.lora import adapted
from feller.core.training.posthoc import further_averages
from feller.core.training.sharding import blocks, recomputed

__all__ = ["Trace", "trace_step"]


@dataclass(frozen=True)
class Trace:
    """What a step of some samples takes on one device, in single precision; bytes.

    Attributes:
        samples: How many samples.
        parameters: Number of weights.
        weights: Bytes of weights and tables.
        gradients: Bytes of their gradients.
        moments: Bytes that the optimizer keeps.
        averages: Bytes of the moving average.
        activations: Bytes that the forward pass leaves for the backward pass.
        peak: Most bytes that are held at once, all of these and temporary ones.
        flops: Floating-point operations, forward and backward.
        update_flops: Those of the optimizer, whatever the batch.
        moved: Bytes that operations other than products of matrices read and write.
        update: Bytes that the optimizer and the average read and write, whatever the batch.
        block: Bytes of the largest part that is gathered at once where weights are sharded.
        calls: Operations of torch, forward and backward: on an accelerator each is a launch.
        update_calls: Those of the optimizer and the average.
        tokens: Tokens of a sample; 0 where it is none of tokens alone.
    """

    samples: int
    parameters: int
    weights: int
    gradients: int
    moments: int
    averages: int
    activations: int
    peak: int
    flops: int
    update_flops: int
    moved: int
    update: int
    block: int
    calls: int
    update_calls: int
    tokens: int = 0


def trace_step(recipe: Recipe, samples: int, *, recompute: bool = False) -> Trace:
    """Take a step of a recipe without numbers.

    Args:
        recipe: What would be trained.
        samples: Samples that a device has at once.
        recompute: Whether blocks compute their activations again in the backward pass.

    Raises:
        LookupError: When the codec has no example of its data.
        ValueError: When the step does what cannot be done without numbers.
    """
    try:
        return _traced(recipe, samples, recompute)
    except RuntimeError as error:
        said = str(error).splitlines()[0]
        raise ValueError(f"a step of this recipe cannot be taken without numbers: {said}") from None


def _built(recipe: Recipe) -> Any:
    """Return the model that is trained, with adapters where they alone are."""
    model: Any = recipe.model.build().train()
    return adapted(model, recipe.training.lora, ()) if recipe.training.lora else model


def _traced(recipe: Recipe, samples: int, recompute: bool) -> Trace:
    with _Counter() as counter, _fused_attention(counter):
        with torch.device("meta"):
            model = _built(recipe)
            weights, others = counter.held, further_averages(recipe.training)
            average = EMA(model, recipe.training.ema_decay, others=others)
            averages = counter.held - weights
            if recompute:
                recomputed(model)
            begun = counter.held
            z, condition = _example(recipe, model, samples)
            loss = _loss(recipe, model, z, condition)
            kept = counter.held - begun
            loss.backward()
        optimizer = recipe.optimizer.build(model)
        gradients = sum(p.grad.nbytes for p in model.parameters() if p.grad is not None)
        before, step, flops, calls = counter.held, counter.moved, counter.flops, counter.calls
        optimizer.step()
        moments = counter.held - before
        optimizer.zero_grad()
        average.update(model, 1)
    return Trace(
        samples=samples,
        parameters=sum(p.numel() for p in model.parameters()),
        weights=weights,
        gradients=gradients,
        moments=moments,
        averages=averages,
        activations=kept,
        peak=counter.peak + moments,  # the first step has them at its end alone
        flops=flops,
        update_flops=counter.flops - flops,
        moved=step,
        update=counter.moved - step,
        block=_largest_part(model),
        calls=calls,
        update_calls=counter.calls - calls,
        tokens=_tokens(z),
    )


def _largest_part(model: Any) -> int:
    """Return the bytes of what is gathered at once where weights are sharded."""
    own = [sum(p.nbytes for p in block.parameters()) for block in blocks(model)]
    return max([sum(p.nbytes for p in model.parameters()) - sum(own), *own])


def _example(recipe: Recipe, model: Any, samples: int) -> tuple[Any, Any]:
    """Return data points and conditions, of the usual or of the largest size."""
    try:
        return model.codec.example(samples)
    except LookupError:
        return model.codec.encode(recipe.data.example(samples))


def _tokens(z: Any) -> int:
    return z.shape[1] if isinstance(z, Tensor) and z.dtype == torch.int64 and z.ndim == 2 else 0


def _loss(recipe: Recipe, model: Any, z: Any, condition: Any) -> Tensor:
    """Return the mean loss of examples, at the times of training where these take no numbers."""
    first = next(iter(z.values())) if isinstance(z, Mapping) else z
    u = torch.full((len(first),), 0.5)
    try:
        t = recipe.times.draw(u, None, z)
    except RuntimeError:
        t = u
    x_t = model.path.sample(z, t)
    parts = recipe.objective.by_part(model, model.path, z, t, x_t, condition=condition)
    return torch.stack([part.mean() for part in parts.values()]).sum()


class _Counter(TorchDispatchMode):
    """Counts operations, bytes moved, and the bytes of storages that are alive."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = self.flops = self.moved = self.held = self.peak = 0
        self._known: dict[int, Any] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = _without_numbers(func, args, kwargs or {})
        made = [each for each in tree_leaves(out) if isinstance(each, Tensor)]
        self.calls += not func.is_view
        formula = flop_registry.get(func._overloadpacket)
        if formula:
            self.flops += formula(*args, **(kwargs or {}), out_val=out)
        elif not func.is_view:
            given = [each for each in tree_leaves((args, kwargs)) if isinstance(each, Tensor)]
            self.moved += sum(each.nbytes for each in [*given, *made])
        for each in made:
            self._hold(each.untyped_storage())
        return out

    def _hold(self, storage: torch.UntypedStorage) -> None:
        key = storage._cdata
        if key in self._known or storage.device.type != "meta":
            return
        size = storage.nbytes()
        self._known[key] = weakref.ref(storage, lambda _: self._release(key, size))
        self.held += size
        self.peak = max(self.peak, self.held)

    def _release(self, key: int, size: int) -> None:
        del self._known[key]
        self.held -= size


@contextmanager
def _fused_attention(counter: _Counter) -> Iterator[None]:
    """Let attention keep what fused kernels keep, and count what they compute.

    A function mode would not do: it is off in the backward pass, where blocks compute again.
    """
    plain = F.scaled_dot_product_attention

    def fused(q: Tensor, k: Tensor, v: Tensor, *given: Any, **named: Any) -> Tensor:
        # Where a loss asks for the plain products, as forward derivatives do, these are taken.
        if q.is_meta and torch.backends.cuda.flash_sdp_enabled():
            return _Attention.apply(q, k, v, counter)
        return plain(q, k, v, *given, **named)

    F.scaled_dot_product_attention = fused  # pyright: ignore[reportAttributeAccessIssue]
    try:
        yield
    finally:
        F.scaled_dot_product_attention = plain


class _Attention(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, counter: _Counter) -> Tensor:
        out = q.new_empty(*q.shape[:-1], v.shape[-1])
        ctx.counter = counter
        ctx.save_for_backward(q, k, v, out, q.new_empty(q.shape[:-1]))
        counter.flops += _products(q, k, v)
        counter.calls += 1
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        q, k, v, *_ = ctx.saved_tensors
        ctx.counter.flops += 5 * _products(q, k, v) // 2  # five products in place of two
        return torch.empty_like(q), torch.empty_like(k), torch.empty_like(v), None


def _products(q: Tensor, k: Tensor, v: Tensor) -> int:
    return 2 * q[..., 0].numel() * k.shape[-2] * (q.shape[-1] + v.shape[-1])


def _without_numbers(func: Any, args: Any, kwargs: Any) -> Any:
    """Do an operation whose result has a shape that depends on numbers, with the largest shape."""
    packet = func._overloadpacket
    if packet is torch.ops.aten.nonzero and args[0].is_meta:
        return args[0].new_empty((args[0].numel(), args[0].ndim), dtype=torch.int64)
    if packet in (torch.ops.aten.index, torch.ops.aten.index_put, torch.ops.aten.index_put_):
        source, where, *rest = args
        if any(w is not None and w.dtype == torch.bool and w.is_meta for w in where):
            found: list[Any] = []
            for w in where:
                if w is None or w.dtype != torch.bool:
                    found.append(w)
                    continue
                found += [w.new_empty(w.numel(), dtype=torch.int64) for _ in range(w.ndim)]
            return func(source, found, *rest, **kwargs)
    if packet is torch.ops.aten._local_scalar_dense and args[0].is_meta:
        return 1
    return func(*args, **kwargs)
