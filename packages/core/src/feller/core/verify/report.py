"""Reports of verifications: a table, JSON with a row for each, a figure, and an exit code."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from feller.core.verify.check import Residual, Verification
from feller.core.verify.plan import Plan, fresh_seed

__all__ = ["ModelFlags", "Output", "as_row", "draw", "report", "report_model", "table"]


@dataclass(frozen=True)
class Output:
    """How the results of a verification are shown."""

    json: bool = False
    """Print JSON, one row for each."""
    details: bool = False
    """Show every time and function, not only the worst."""
    plot: Path | None = None
    """Plot both sides to this file; needs matplotlib."""


@dataclass(frozen=True)
class ModelFlags:
    """Flags of `feller verify` for a trained model of any domain."""

    split: Literal["train", "test"] = "test"
    """Split of the data."""
    n: Annotated[int, tyro.conf.arg(aliases=["-n"])] = 1024
    """Number of states at each time."""
    times: tuple[float, ...] | None = None
    """The times; if None, --moments random times."""
    moments: int = 5
    """Number of random times."""
    threshold: float = 0.05
    """The largest relative error that passes."""
    seed: int | None = None
    """Random seed of times, test functions, data and noise; a new one each run if None."""
    device: str = "auto"
    """cpu, cuda, ...; auto uses an accelerator if there is one."""
    output: tyro.conf.OmitArgPrefixes[Output] = field(default_factory=Output)
    """How both sides are shown."""

    def plan(self, batch: int) -> Plan:
        """Return what is looked at, so many states at once."""
        seed = fresh_seed() if self.seed is None else self.seed
        return Plan(self.times, self.moments, samples=self.n, batch=batch, seed=seed)


def report(found: Sequence[Verification], output: Output) -> int:
    """Print verifications and return an exit code: 0 when all pass, 1 when one fails.

    Raises:
        ValueError: When a figure is asked for and matplotlib is not there.
    """
    if output.plot is not None:
        draw(found, output.plot)
    if output.json:
        print(json.dumps([as_row(v, details=output.details) for v in found], indent=2))
    else:
        print("\n".join(_aligned(table(found, details=output.details))))
        failed = sum(not v.passed for v in found)
        print(f"\n{len(found) - failed} of {len(found)} pass{_limits(found)}{_faults(found)}")
    return int(any(not v.passed for v in found))


def report_model(found: Verification, threshold: float, output: Output) -> int:
    """Print the errors of a trained model; return 0 when it is right enough, else 1.

    Args:
        found: The model's residuals.
        threshold: The largest relative error that passes.
        output: How they are shown.

    Raises:
        ValueError: When a figure is asked for and matplotlib is not there.
    """
    passed = not found.note and found.relative() <= threshold
    if output.plot is not None:
        draw([found], output.plot)
    if output.json:
        row = as_row(found, details=output.details)
        print(json.dumps([{**row, "threshold": threshold, "passed": passed}], indent=2))
        return int(not passed)
    print("\n".join(_aligned(_model_table(found, details=output.details))))
    verdict = "pass" if passed else "FAIL"
    print(
        f"\nrelative error {found.relative():.3f}, at most {threshold:g}: {verdict}; errors below "
        f"{found.noise():.3f} are not resolved; seed {found.seed}{_faults([found])}"
    )
    return int(not passed)


def _model_table(found: Verification, *, details: bool) -> list[list[str]]:
    """Return a row for each time, or for each time and function."""
    rows = [["t", "relative error", "resolved", "f", "d/dt E f", "E L f", "residual"]]
    for t in dict.fromkeys(r.time for r in found.residuals):
        here = replace(found, residuals=tuple(r for r in found.residuals if r.time == t))
        sizes = [f"{t:g}", f"{found.relative(t):.3f}", f"{found.noise(t):.3f}"]
        for r in here.residuals if details else (here.worst,):
            gap = f"{r.action - r.due:+.4f} +- {r.standard_error:.4f}"
            rows.append([*sizes, r.function, f"{r.change:+.4f}", f"{r.action:+.4f}", gap])
    return rows


def as_row(found: Verification, *, details: bool = False) -> dict[str, Any]:
    """Return what is known of a verification, for JSON."""
    worst = found.worst
    row: dict[str, Any] = {
        **found.labels,
        "role": found.role,
        "method": found.method,
        "passed": found.passed,
        "residual": worst.size,
        "standard_error": worst.standard_error,
        "allowed": worst.allowed,
        "time": worst.time,
        "function": worst.function,
        "change": worst.change,
        "action": worst.action,
        "relative": found.relative(),
        "noise": found.noise(),
        "resolution": found.resolution,
        "seed": found.seed,
        "note": found.note,
    }
    if details:
        row["residuals"] = [
            {**asdict(r), "residual": r.size, "passed": r.passed} for r in found.residuals
        ]
    return row


def table(found: Sequence[Verification], *, details: bool = False) -> list[list[str]]:
    """Return the cells of a table: a heading, then the worst residual of each, or every one."""
    names = list(found[0].labels) if found else []
    heading = [*names, "by", "t", "f", "d/dt E f", "E L f", "residual", "allowed", ""]
    rows = [heading]
    for v in found:
        shown = v.residuals if details else (v.worst,)
        labels = [*v.labels.values(), v.method]
        rows += [[*labels, *_cells(r)] for r in shown]
    return rows


def draw(found: Sequence[Verification], file: Path) -> None:
    """Draw E L f against what is due, and residuals against what is allowed.

    Raises:
        ValueError: When matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ValueError("--plot needs matplotlib: pip install matplotlib") from None
    figure = Figure(figsize=(10, 4.5), layout="constrained")
    sides, sizes = figure.subplots(1, 2)
    every = [r for v in found for r in v.residuals]
    for passed, colour in ((True, "tab:blue"), (False, "tab:red")):
        kept = [r for r in every if r.passed == passed]
        if kept:
            label = f"{'pass' if passed else 'fail'} ({len(kept)})"
            errors = [r.standard_error for r in kept]
            due, action = [r.due for r in kept], [r.action for r in kept]
            sides.errorbar(due, action, yerr=errors, fmt=".", color=colour, label=label)
            allowed, size = [r.allowed for r in kept], [max(r.size, 1e-17) for r in kept]
            sizes.plot(allowed, size, ".", color=colour)
    sides.axline((0, 0), slope=1, color="black", linewidth=0.5)
    sides.set(xlabel="what is due: d/dt E f, its negative, or 0", ylabel="E L f")
    sides.legend()
    sizes.axline((1, 1), slope=1, color="black", linewidth=0.5)
    sizes.set(xlabel="allowed", ylabel="|residual|", xscale="log", yscale="log")
    figure.savefig(file, dpi=150)


def _cells(r: Residual) -> list[str]:
    sides = [f"{r.change:+.4f}", f"{r.action:+.4f}"]
    verdict = "pass" if r.passed else "FAIL"
    return [f"{r.time:g}", r.function, *sides, f"{r.size:.1e}", f"{r.allowed:.1e}", verdict]


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _limits(found: Sequence[Verification]) -> str:
    """Return what is not resolved: the largest of the smallest errors that fail, and of which."""
    if not found:
        return ""
    coarsest = max(found, key=lambda v: v.resolution)
    row = " ".join(coarsest.labels.values())
    return (
        f"\nerrors below {coarsest.resolution:.1%} are not resolved ({row}); seed {coarsest.seed}"
    )


def _faults(found: Sequence[Verification]) -> str:
    notes = dict.fromkeys(v.note for v in found if v.note)
    return "".join(f"\n{note}" for note in notes)
