"""The log of a run: `log.jsonl`, a line every few steps, and the same for TensorBoard."""

import json
import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from feller.core.config import fits
from feller.core.files import write_text
from feller.core.training.loop import Run, StepRecord

__all__ = ["Diverged", "Log", "forget_lost_steps"]


class Diverged(ValueError):
    """Losses, gradients or weights are not finite; the weights are not worth keeping."""


@dataclass
class Log:
    """The mean loss and the speed since the last line.

    Attributes:
        run: The run.
        file: Where lines go.
        losses: Those of steps since the last line, without skipped ones, by the names of parts.
        last: The last step that was not skipped.
        since: When the last line was written.
        samples: Samples seen since then.
    """

    run: Run
    file: Path
    losses: list[dict[str, torch.Tensor]] = field(default_factory=list)
    last: StepRecord | None = None
    since: float = field(default_factory=time.perf_counter)
    samples: int = 0

    def take(self, record: StepRecord) -> None:
        """Note a step."""
        self.samples += self.run.recipe.training.batch_size
        if not record.skipped:
            self.losses.append(record.losses)
            self.last = record

    def means(self) -> dict[str, float]:
        """Return the mean loss over all processes since the last line, and that of each named part.

        Raises:
            Diverged: When it is not a number.
        """
        if not self.losses:
            return {}
        assert self.last is not None
        names = self.losses[0].keys()
        each = torch.stack([torch.stack([step[name] for step in self.losses]) for name in names])
        mean: Any = self.run.accelerator.reduce(each.mean(1), "mean")  # pyright: ignore[reportArgumentType]
        parts = dict(zip(names, mean.tolist(), strict=True))
        loss = sum(parts.values())
        if not math.isfinite(loss):
            raise Diverged(f"the loss is {loss} at step {self.last.step}: lower optimizer.lr")
        return {"loss": loss, **{f"loss/{name}": part for name, part in parts.items() if name}}

    def is_finite(self) -> bool:
        """Return whether the losses of this process since the last line are numbers."""
        return all(bool(loss.isfinite()) for step in self.losses for loss in step.values())

    def write(self) -> dict[str, str]:
        """Write a line, where a step since the last was not skipped; return what a bar shows."""
        if not self.losses:
            return {"skipped": str(self.run.skipped)}
        run, record, means = self.run, self.last, self.means()
        by_time = run.by_time.means(lambda sums: run.accelerator.reduce(sums, "sum"))
        assert record is not None
        now = time.perf_counter()
        run.seconds += now - self.since
        speed = self.samples / (now - self.since)
        self.since, self.losses, self.samples = now, [], 0
        line: dict[str, Any] = {
            "step": run.step,
            **means,
            **{f"loss/{name}": loss for name, loss in by_time.items()},
            "rate": record.rate,
            "samples_per_second": round(speed, 2),
            "seconds": round(run.seconds, 1),
            "gradient_norm": float(record.gradient_norm),
        }
        if run.skipped:
            line["skipped"] = run.skipped
        self._put(line)
        return {"loss": f"{means['loss']:.4f}", "samples/s": f"{speed:.0f}"}

    def note(self, figures: Mapping[str, float]) -> None:
        """Write a line of figures of samples; one that is not a number is null."""
        known = {name: f if math.isfinite(f) else None for name, f in figures.items()}
        self._put({"step": self.run.step, **known})

    def _put(self, line: Mapping[str, Any]) -> None:
        if self.run.accelerator.is_main_process:
            with self.file.open("a") as file:
                file.write(json.dumps(line, allow_nan=False) + "\n")
        scalars = {k: v for k, v in line.items() if k != "step" and v is not None}
        self.run.accelerator.log(scalars, step=self.run.step)


def forget_lost_steps(file: Path, last: int) -> None:
    """Remove the lines of steps after the last that is kept; they are taken again.

    Lines that are not records of a step are removed too, such as half a line of a killed run.
    """
    if not file.exists():
        return
    text = file.read_text(encoding="utf-8", errors="replace")
    kept = "".join(_records(text, last))
    if kept != text:
        write_text(file, kept)


def _records(text: str, last: int) -> Iterator[str]:
    for line in text.splitlines():
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            continue
        step = record.get("step") if fits(record, dict) else None
        if fits(step, int) and step <= last:
            yield f"{line}\n"
