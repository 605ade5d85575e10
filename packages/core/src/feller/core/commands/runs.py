"""`feller runs DIR`: the runs in a folder, and a page of their losses."""

import argparse
import html
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from feller.core.files import write_text
from feller.core.runs import RunRecord, find_runs

__all__ = ["run"]

PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta name="generator" content="feller runs">
<title>feller runs</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem;
  color: #222; background: #fff }}
table {{ border-collapse: collapse }}
th, td {{ text-align: left; padding: .2rem 1rem .2rem 0; font-weight: normal }}
th {{ border-bottom: 1px solid #999 }}
svg {{ width: 100%; height: auto }}
</style>
<h1>feller runs</h1>
{table}
{figures}
</html>
"""
HEADS = ("run", "status", "steps", "loss", "samples/s", "best")
WIDTH, HEIGHT, EDGE = 900, 260, 60


def run(argv: Sequence[str]) -> None:
    """Print a table of runs, or write a page of them."""
    parser = argparse.ArgumentParser(
        "feller runs", description="List the runs in a folder, with the progress of each."
    )
    parser.add_argument(
        "folder",
        type=Path,
        nargs="?",
        default=Path("runs"),
        help="a run, or a folder of runs (default: runs)",
    )
    parser.add_argument(
        "--out", type=Path, help="HTML page to write, with the loss of each run (default: none)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON (default: text)")
    options = parser.parse_args(argv)
    found = find_runs(options.folder)
    rows = [_row(record, options.folder) for record in found]
    if options.json:
        print(json.dumps([_facts(record) for record in found], indent=2))
    else:
        print(_table(rows) if rows else f"no runs in {options.folder}")
        for record in found:
            if record.why:
                print(f"{record.folder}: {record.why}")
    if options.out:
        _check_page(options.out)
        write_text(options.out, _page(found, rows))
        if not options.json:
            print(f"open {options.out}")


def _facts(record: RunRecord) -> dict[str, Any]:
    best = {name: {"step": at, "value": value} for name, (at, value) in record.best().items()}
    return {
        "folder": str(record.folder),
        "status": record.status,
        "why": record.why,
        "step": record.step,
        "steps": record.steps,
        "loss": record.last("loss"),
        "samples_per_second": record.last("samples_per_second"),
        "best": best,
    }


def _row(record: RunRecord, folder: Path) -> tuple[str, ...]:
    name = record.folder.relative_to(folder).as_posix()
    loss, speed = record.last("loss"), record.last("samples_per_second")
    best = ", ".join(f"{n} {value:.4g} at {at}" for n, (at, value) in record.best().items())
    return (
        folder.resolve().name if name == "." else name,
        record.status,
        f"{record.step}/{record.steps}",
        "" if loss is None else f"{loss:.4g}",
        "" if speed is None else f"{speed:.4g}",
        best,
    )


def _table(rows: Sequence[tuple[str, ...]]) -> str:
    every = [HEADS, *rows]
    widths = [max(len(row[i]) for row in every) for i in range(len(HEADS))]
    return "\n".join(
        "  ".join(f"{cell:{w}}" for cell, w in zip(row, widths, strict=True)).rstrip()
        for row in every
    )


def _check_page(out: Path) -> None:
    """Refuse to write over something else than such a page."""
    if out.is_dir():
        raise ValueError(f"{out} is a folder: give --out a file, such as runs.html")
    if out.exists():
        text = out.read_text(encoding="utf-8", errors="replace")
        if 'content="feller runs"' not in text:
            raise ValueError(f"{out} exists and is not a page of runs: choose another --out")


def _page(found: Sequence[RunRecord], rows: Sequence[tuple[str, ...]]) -> str:
    head = "".join(f"<th>{html.escape(each)}</th>" for each in HEADS)
    body = "".join(
        f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in row)}</tr>\n" for row in rows
    )
    figures = "\n".join(
        _figure(row[0], record.series("loss"))
        for row, record in zip(rows, found, strict=True)
        if len(record.series("loss")) > 1
    )
    return PAGE.format(table=f"<table><tr>{head}</tr>\n{body}</table>", figures=figures)


def _figure(name: str, series: Sequence[tuple[int, float]]) -> str:
    """Draw a loss against steps, its axis from the smallest to the largest value."""
    steps, losses = [step for step, _ in series], [loss for _, loss in series]
    left, right, low, high = min(steps), max(steps), min(losses), max(losses)
    across, up = (right - left) or 1, (high - low) or 1.0
    points = " ".join(
        f"{EDGE + (WIDTH - EDGE) * (step - left) / across:.1f},"
        f"{5 + (HEIGHT - 30) * (high - loss) / up:.1f}"
        for step, loss in series
    )
    title = html.escape(name)
    return (
        f'<h2>{title}</h2>\n<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="loss of {title}" font-size="13" fill="#555">'
        f'<text x="0" y="15">{high:.4g}</text><text x="0" y="{HEIGHT - 25}">{low:.4g}</text>'
        f'<text x="{EDGE}" y="{HEIGHT - 5}">step {left}</text>'
        f'<text x="{WIDTH}" y="{HEIGHT - 5}" text-anchor="end">step {right}</text>'
        f'<polyline points="{points}" fill="none" stroke="#1f5fa8" stroke-width="1.5"/></svg>'
    )
