"""Saving a run's state while it goes on.

A copy of the state is made between two steps; a thread writes it. So training waits for the copy
alone. A state counts once it is published (`feller.core.files`), whatever happens before; what goes
wrong in the thread ends the run at the next step.

Where a model is sharded, each process writes its rows, and the first publishes them all once every
process has said that its own are on the disk.
"""

import json
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import gather_object
from safetensors.torch import save_file
from torch import Tensor

from feller.core.files import abandon, begin, beginning_of, flush, naming, publish, remove, sweep
from feller.core.nn.shards import is_sharded, local
from feller.core.training.checkpointing import FORMAT, checkpoints, step_of
from feller.core.training.launching import on_main
from feller.core.training.loop import Run
from feller.core.training.states import OFFSETS, first_rows, not_finite, state_of
from feller.core.training.stopping import Agreement

__all__ = ["Saver", "save_checkpoint"]


def save_checkpoint(run: Run, folder: Path) -> Path:
    """Write the run's state under `folder` and remove all but the recipe's `keep` last ones.

    Every process calls it, and it returns when the state is on the disk.

    Raises:
        ValueError: When a weight or a moment is not finite.
        OSError: When it cannot be written, as on a full disk.
    """
    with Saver(run, folder) as saver:
        saver.save()
        saver.finish()
    return folder / f"step_{run.step:08d}"


class Saver:
    """Writes the states of a run; every process has one, and calls each method with the others.

    Args:
        run: The run.
        folder: Where checkpoints go.
    """

    def __init__(self, run: Run, folder: Path) -> None:
        self._run, self._folder = run, folder
        self._agreement: Agreement | None = Agreement(run.accelerator)
        self._thread = ThreadPoolExecutor(1)
        self._copies: dict[str, Tensor] = {}
        self._reserved: Future[None] | None = None
        self._writing: Future[None] | None = None
        self._publishing: Future[None] | None = None
        self._step = -1

    def __enter__(self) -> "Saver":
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Wait for the thread."""
        self._thread.shutdown()

    def reserve(self) -> None:
        """Let the thread make room for the copy, which takes longer than the copy, ahead of it."""
        if self._reserved is None:
            self._reserved = self._thread.submit(
                self._make_room, self._mine(state_of(self._run)[0])
            )

    def save(self) -> None:
        """Copy the state, and write it while the run goes on; an earlier one is finished first.

        Raises:
            ValueError: As `finish`.
            OSError: As `finish`, or when the folder cannot be made.
        """
        self.finish()
        run = self._run
        self._step = run.step
        if not self._on_main(self._begin):
            return
        tensors, state = state_of(run)
        mine = self._mine(tensors)
        offsets = json.dumps({name: {"saved_offsets": first_rows(mine[name])} for name in mine})
        self._copy(mine)
        self._publishing = None
        self._writing = self._thread.submit(self._write, state, {OFFSETS: offsets})

    def heed(self, number: int = 0) -> int:
        """Agree on the largest number, such as a signal's, and see to what is being written.

        Raises:
            ValueError: When the state that was being written is not finite.
            OSError: When it could not be written.
        """
        writing, publishing, failed = self._progress()
        if self._agreement:
            flags = self._agreement.largest(number, writing, publishing, failed)
            number, writing, publishing, failed = flags
        if self._writing is None:
            return number
        if failed:
            self._fail()
        if not writing and not publishing:
            self._run.saved, self._writing = self._step, None
        elif not writing and self._is_main and self._publishing is None:
            self._publishing = self._thread.submit(self._publish)
        return number

    def finish(self) -> None:
        """Wait until what is being written is on the disk.

        Raises:
            ValueError: When the state is not finite.
            OSError: When it could not be written.
        """
        while self._writing is not None:
            futures = [future for future in (self._writing, self._publishing) if future]
            wait(futures, timeout=1.0)
            self.heed()

    def save_alone(self) -> None:
        """Save on the first process, where others may be gone; not where they had a part of it."""
        if self._is_main and not self._run.sharded:
            self._agreement = None
            self.save()
            self.finish()

    @property
    def _is_main(self) -> bool:
        return self._run.accelerator.is_main_process

    @property
    def _target(self) -> Path:
        return self._folder / f"step_{self._step:08d}"

    def _on_main(self, action: Callable[[], bool]) -> bool:
        return on_main(self._run.accelerator, action) if self._agreement else action()

    def _begin(self) -> bool:
        """Make the folder to write into, where the state is not there already."""
        target = self._target
        if self._run.saved == self._step and target.exists():
            return False
        if self._folder.exists():
            sweep(self._folder)
        with naming(target):
            begin(target)
        return True

    def _mine(self, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return the part of a state that this process writes; whole tensors are the first's."""
        chosen = {k: v for k, v in tensors.items() if self._is_main or is_sharded(v)}
        return chosen if self._run.sharded or self._is_main else {}

    def _make_room(self, tensors: Mapping[str, Tensor]) -> None:
        for name, value in tensors.items():
            rows = local(value)
            pinned = rows.device.type == "cuda"
            room = torch.empty(rows.shape, dtype=rows.dtype, pin_memory=pinned)
            self._copies[name] = room.zero_()  # the first write is what takes time

    def _copy(self, tensors: dict[str, Tensor]) -> None:
        if self._reserved:
            self._reserved.result()
        new = {k: v for k, v in tensors.items() if k not in self._copies}
        self._make_room(new)
        self._copies = {name: self._copies[name] for name in tensors}
        for name, value in tensors.items():
            self._copies[name].copy_(local(value).detach(), non_blocking=True)
        if self._run.accelerator.device.type != "cpu":
            torch.accelerator.synchronize()

    def _write(self, state: dict[str, Any], offsets: dict[str, str]) -> None:
        if odd := not_finite(self._run, self._copies):
            raise ValueError(f"{odd} is not finite at step {self._step}: nothing is saved")
        accelerator = self._run.accelerator
        rank, count = accelerator.process_index + 1, accelerator.num_processes
        several = f"-{rank:05d}-of-{count:05d}" if self._run.sharded else ""
        with naming(self._target):
            partial = beginning_of(self._target)
            if self._copies:
                save_file(self._copies, file := partial / f"state{several}.safetensors", offsets)
                flush(file)
            if accelerator.is_main_process:
                text = json.dumps({"format": FORMAT, **state}, indent=1)
                (partial / "state.json").write_text(text)

    def _publish(self) -> None:
        """Put what all processes wrote in its place; lines of the log up to it are there first."""
        if (log := self._folder.parent / "log.jsonl").exists():
            flush(log)
        with naming(self._target):
            publish(self._target, sealed=True)
        # One of a later step is of a future that was lost: it is written again when it is reached.
        past = [found for found in checkpoints(self._folder) if step_of(found) <= self._step]
        for old in past[: -self._run.recipe.training.keep]:
            remove(old)

    def _progress(self) -> tuple[int, int, int]:
        """Return whether this process writes, has yet to publish, and has failed."""
        if self._writing is None:
            return 0, 0, 0
        futures = self._writing, self._publishing
        failed = any(future and future.done() and future.exception() for future in futures)
        published = self._publishing is not None and self._publishing.done()
        return not self._writing.done(), self._is_main and not published, failed

    def _fail(self) -> None:
        """Raise what went wrong, on every process."""
        futures, self._writing, self._publishing = (self._writing, self._publishing), None, None
        errors = [future.exception() for future in futures if future and not future.cancel()]
        (error, *_) = [error for error in errors if error] or [None]
        if self._is_main:
            abandon(self._target)
        if self._agreement:
            said = gather_object([(isinstance(error, OSError), str(error))] if error else [])
            kind = OSError if said[0][0] else ValueError
            error = error or kind(said[0][1])
        assert error is not None
        raise error
