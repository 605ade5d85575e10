r"""What a training run would take on some devices: memory, time, and settings that fit.

A step of one device's samples is traced without numbers (`feller.core.training.tracing`). Its time
is that of matrix products plus that of everything else, which is bound by memory:

:math:`T = F / (u R) + B / W`

with F operations, u the utilisation, R the device's rate, B bytes moved and W its bandwidth. For a
small network on an accelerator, the time is that of launching its operations, `LAUNCH` each, if
that is longer: one after the other, without `torch.compile`. Exchanging gradients between devices
overlaps with the backward pass, and counts only if it takes longer.
"""

import os
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from types import MappingProxyType

import torch

from feller.core.training.config import Recipe
from feller.core.training.tracing import Trace, trace_step

__all__ = ["DEVICES", "Device", "Plan", "measured_cpu", "plan_of"]

USABLE = 0.92
"""Fraction of a device's memory that tensors get: the rest is its driver's, or in pieces."""
LAUNCH = 8e-6
"""Seconds from one operation of torch to the next, with its part of autograd: an estimate."""
BF16_ACTIVATIONS = 0.6
"""Activations under autocast to bf16 against those in single precision: norms and losses stay."""


@dataclass(frozen=True)
class Device:
    """The capabilities of a device, from its data sheet.

    Attributes:
        name: Its name.
        memory: Bytes.
        single: Matrix operations per second in single precision.
        half: The same in bf16, dense.
        bandwidth: Memory bandwidth, in bytes per second.
        link: Bandwidth to other devices, in bytes per second.
        launch: Seconds to launch an operation while others run.
    """

    name: str
    memory: float
    single: float
    half: float
    bandwidth: float
    link: float
    launch: float = LAUNCH


DEVICES: Mapping[str, Device] = MappingProxyType(
    {
        device.name: device
        for device in (
            Device("h100", 80e9, 67e12, 989e12, 3.35e12, 450e9),
            Device("h200", 141e9, 67e12, 989e12, 4.8e12, 450e9),
            Device("a100", 80e9, 19.5e12, 312e12, 2.039e12, 300e9),
            Device("l40s", 48e9, 91.6e12, 362e12, 0.864e12, 32e9),
            Device("l4", 24e9, 30.3e12, 121e12, 0.3e12, 32e9),
            Device("rtx4090", 24e9, 82.6e12, 165e12, 1.008e12, 32e9),
        )
    }
)
"""By their data sheets: SXM forms of the H100, the H200 and the A100 of 80 GB."""


@dataclass(frozen=True)
class Plan:
    """A training run on some devices.

    Attributes:
        recipe: What is trained.
        device: The type of device.
        count: How many.
        utilisation: Fraction of the rate that products of matrices reach.
        trace: A step of one device's samples.
        sharded: Whether weights, gradients, moments and averages are split among devices.
    """

    recipe: Recipe
    device: Device
    count: int
    utilisation: float
    trace: Trace
    sharded: bool = False

    @property
    def half(self) -> bool:
        """Whether products of matrices are in 16 bits."""
        return self.recipe.training.mixed_precision != "no"

    @property
    def samples(self) -> int:
        """Samples that a device has at once."""
        training = self.recipe.training
        return training.batch_size // (training.accumulate * self.count)

    def memory(self) -> dict[str, float]:
        """Return the bytes of one device, by what they are."""
        trace, parts = self.trace, self.count if self.sharded else 1
        ratio = self.samples / trace.samples
        scale = ratio * BF16_ACTIVATIONS if self.half else ratio
        states = trace.weights + trace.averages + trace.moments
        passing = trace.peak - states - trace.activations - trace.gradients
        gradients = trace.gradients * (2 if self.count > 1 and not self.sharded else 1)
        gathered = 2.0 * trace.block if self.sharded else 0.0
        return {
            "weights": trace.weights / parts,
            "gradients": gradients / parts,
            "optimizer": trace.moments / parts,
            "average": trace.averages / parts,
            "activations": trace.activations * scale,
            "temporary": max(passing, 0) * scale + gathered + (trace.weights / 2) * self.half,
        }

    def fits(self) -> bool:
        """Return whether it fits into the memory of a device."""
        return sum(self.memory().values()) <= USABLE * self.device.memory

    def seconds(self) -> float:
        """Return how long a step takes."""
        trace, training, device = self.trace, self.recipe.training, self.device
        micro = max(self._computing, self._launching)
        rate = self._rate
        each = 1 / self.count if self.sharded else 1.0
        update = each * (trace.update / device.bandwidth + trace.update_flops / rate)
        update = max(update, trace.update_calls * device.launch)
        crossed = (1.5 if self.sharded else 1.0) * 2 * trace.gradients * (1 - 1 / self.count)
        times = training.accumulate if self.sharded else 1
        passes = training.accumulate * micro
        return max(passes, passes / 3 + times * crossed / device.link) + update

    @property
    def waits(self) -> bool:
        """Whether the device waits for the launches of its operations."""
        return self._launching > self._computing

    @property
    def _rate(self) -> float:
        return self.utilisation * (self.device.half if self.half else self.device.single)

    @property
    def _computing(self) -> float:
        """Seconds that a device computes and moves for its samples."""
        ratio, width = self.samples / self.trace.samples, 0.5 if self.half else 1.0
        moved = width * self.trace.moved / self.device.bandwidth
        return ratio * (self.trace.flops / self._rate + moved)

    @property
    def _launching(self) -> float:
        return self.trace.calls * self.device.launch

    @property
    def flops(self) -> float:
        """Floating-point operations of a step of all devices."""
        trace, batch = self.trace, self.recipe.training.batch_size
        return trace.flops * batch / trace.samples + trace.update_flops

    def settings(self) -> list[tuple[str, "Plan"]]:
        """Return other settings, cheapest first, each by the flags that choose it."""
        training = self.recipe.training
        found: list[tuple[str, Plan]] = []
        bases: list[tuple[str, Plan]] = [("", self)]
        if not self.half and self.device.half > self.device.single:
            flag = "--training.mixed-precision bf16"
            bases.append((flag, self._with(mixed_precision="bf16")))
        with suppress(ValueError):  # some blocks change what they are given: they run once
            recomputed = trace_step(self.recipe, self.trace.samples, recompute=True)
            for flag, base in [*bases]:
                again = replace(base, trace=recomputed)
                bases.append((f"{flag} --training.activation-checkpointing".strip(), again))
        if self.count > 1:
            shard = "--training.sharding fsdp"
            bases += [(f"{flag} {shard}".strip(), replace(b, sharded=True)) for flag, b in bases]
        for flag, base in bases:
            more = training.accumulate
            while training.batch_size % (more * self.count) == 0:
                split = f"--training.accumulate {more}" * (more > training.accumulate)
                found.append((f"{flag} {split}".strip(), base._with(accumulate=more)))
                if found[-1][1].fits():
                    break
                more *= 2
        return found[1:] if found and not found[0][0] else found

    def _with(self, **fields: object) -> "Plan":
        training = replace(self.recipe.training, **fields)  # pyright: ignore[reportArgumentType]
        return replace(self, recipe=replace(self.recipe, training=training))


def plan_of(recipe: Recipe, device: Device, *, count: int = 1, utilisation: float = 0.4) -> Plan:
    """Return the plan of a recipe on devices of one kind.

    Args:
        recipe: What would be trained.
        device: The kind.
        count: How many.
        utilisation: Fraction of its rate that products of matrices reach.

    Raises:
        ValueError: When the batch does not divide, or the step cannot be traced.
        LookupError: When neither the codec nor the data have an example.
    """
    training = recipe.training
    if count < 1 or not 0 < utilisation <= 1:
        raise ValueError(
            f"gpus is at least 1 and utilisation in (0, 1], not {count} and {utilisation}"
        )
    if training.batch_size % (count * training.accumulate):
        raise ValueError(
            f"batch_size {training.batch_size} does not divide into {count} devices x "
            f"{training.accumulate} micro-batches"
        )
    samples = training.batch_size // (count * training.accumulate)
    trace = trace_step(recipe, samples, recompute=training.activation_checkpointing)
    sharded = training.sharding == "fsdp" and count > 1
    return Plan(recipe, device, count, utilisation, trace, sharded)


def measured_cpu(*, rounds: int = 5) -> Device:
    """Return this machine's CPU as a device, with measured rates.

    Its rates are those of this process's threads, in processor time where there is one of them: so
    what else runs here counts little.
    """
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    a, b = torch.ones(2048, 512), torch.ones(512, 512)
    x, y = torch.ones(1 << 22), torch.ones(1 << 22)

    def best(action: object, times: int) -> float:
        found = []
        for _ in range(rounds):
            begun = clock()
            for _ in range(times):
                action()  # pyright: ignore[reportCallIssue]
            found.append((clock() - begun) / times)
        return sorted(found)[rounds // 2]

    products = best(lambda: a @ b, 10)
    sums = best(lambda: x + y, 4)
    rate = 2 * a.numel() * b.shape[1] / products
    try:
        memory = float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, OSError, ValueError):
        memory = 8e9
    moved = 3 * x.nbytes / sums
    return Device("cpu", memory, rate, rate, moved, moved, launch=0.0)
