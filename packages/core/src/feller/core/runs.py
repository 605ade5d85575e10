"""Runs, read from their folders: the progress, losses and status of each.

Nothing here imports torch, or changes a folder.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from feller.core.config import fits
from feller.core.files import read_json, write_text

__all__ = ["RunRecord", "find_runs", "noting_end", "read_run"]

Status = Literal["running", "finished", "stopped", "failed"]
_TRAINING = ("step", "loss", "rate", "samples_per_second", "seconds", "gradient_norm", "skipped")


@dataclass(frozen=True)
class RunRecord:
    """A run.

    Attributes:
        folder: Its folder.
        status: `running` while a process holds its lock; `finished` with all of its steps and a
            model; `stopped` if it was asked to stop and the same command resumes it; `failed` after
            an error, or if it was killed.
        why: The error, in one line; empty if there is none.
        step: The last step recorded.
        steps: Steps that its recipe asks for.
        lines: Its log.
    """

    folder: Path
    status: Status
    why: str
    step: int
    steps: int
    lines: tuple[dict[str, Any], ...]

    def series(self, name: str) -> list[tuple[int, float]]:
        """Return the steps and values of a quantity in the log."""
        return [(line["step"], line[name]) for line in self.lines if _is_number(line.get(name))]

    def last(self, name: str) -> float | None:
        """Return the last value of a quantity in the log; None if there is none."""
        return found[-1][1] if (found := self.series(name)) else None

    def best(self) -> dict[str, tuple[int, float]]:
        """Return the lowest value of each figure, and its step: of all, lower is better."""
        names = {name for line in self.lines for name in line}
        chosen = sorted(n for n in names if n not in _TRAINING and not n.startswith("loss/"))
        whole = [n for n in chosen if not n.startswith("validation/")]
        found = {name: self.series(name) for name in whole}
        return {n: min(each, key=lambda pair: pair[1]) for n, each in found.items() if each}


def find_runs(folder: Path) -> list[RunRecord]:
    """Return the runs in a folder, itself or at any depth, by name.

    Raises:
        ValueError: When it is not a folder.
    """
    if not folder.is_dir():
        raise ValueError(f"{folder} is not a folder of runs")
    return [read_run(file.parent) for file in sorted(folder.rglob("recipe.json"))]


def read_run(folder: Path) -> RunRecord:
    """Read a run; damaged files are treated as missing."""
    lines = tuple(_lines(folder / "log.jsonl"))
    saved = _saved(folder / "checkpoints")
    training = _read(folder / "recipe.json").get("training")
    steps = training.get("steps") if fits(training, dict) else 0
    steps = steps if fits(steps, int) else 0
    logged = lines[-1]["step"] if lines else 0
    whole = (folder / "model" / "model.safetensors").is_file()
    step = max(logged, saved)
    sessions = _read(folder / "run.json").get("sessions")
    session = sessions[-1] if fits(sessions, list) and sessions else {}
    session = session if fits(session, dict) else {}
    status, why = _status(folder, session, whole and step >= steps, unsaved=logged > saved)
    return RunRecord(folder, status, why, step, steps, lines)


@contextmanager
def noting_end(out: Path) -> Iterator[None]:
    """Write into `run.json` how a session ends: by an error, or as it was asked to."""
    try:
        yield
    except (ValueError, OSError) as error:
        _note(out, "error", " ".join(str(error).split()))
        raise
    except KeyboardInterrupt:
        _note(out, "stopped", True)
        raise
    _note(out, "ended", True)


def _note(out: Path, key: str, value: object) -> None:
    facts = _read(out / "run.json")
    sessions = facts.get("sessions")
    if fits(sessions, list) and sessions and fits(sessions[-1], dict):
        sessions[-1][key] = value
        write_text(out / "run.json", json.dumps(facts, indent=2) + "\n")


def _status(folder: Path, session: Any, done: bool, *, unsaved: bool) -> tuple[Status, str]:
    if _is_locked(folder):
        return "running", ""
    if "error" in session:
        return "failed", str(session["error"])
    if done:
        return "finished", ""
    if "stopped" in session or "ended" in session:
        return "stopped", ""
    # Nothing was noted: it was killed, or is older than such notes.
    return ("failed", "it was killed after its last state") if unsaved else ("stopped", "")


def _is_locked(folder: Path) -> bool:
    if not (folder / ".lock").exists():
        return False
    from filelock import FileLock, Timeout

    lock = FileLock(folder / ".lock", timeout=0)
    try:
        lock.acquire()
    except Timeout:
        return True
    except OSError:  # a folder that cannot be written to
        return False
    lock.release()
    return False


def _lines(file: Path) -> Iterator[dict[str, Any]]:
    try:
        text = file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return
    for line in text.splitlines():
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if fits(record, dict) and fits(record.get("step"), int):
            yield record


def _read(file: Path) -> dict[str, Any]:
    try:
        found = read_json(file)
    except (ValueError, OSError):
        return {}
    return found if fits(found, dict) else {}


def _saved(folder: Path) -> int:
    names = [each.name.removeprefix("step_") for each in folder.glob("step_*")]
    return max((int(name) for name in names if name.isdecimal()), default=0)


def _is_number(value: Any) -> bool:
    return fits(value, float) or fits(value, int)
