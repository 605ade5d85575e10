"""The page of speed beside peers, from `benchmarks/results.json`: worst first."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

__all__ = ["RESULTS", "speed_page"]

RESULTS = Path(__file__).parents[1] / "benchmarks" / "results.json"

HEAD = """# Speed beside peers

This page is made from `benchmarks/results.json`, which `uv run benchmarks/run.py` writes. It
installs feller from the clone and the peers from their packages.

Each row is one piece of work that both do, by turns in one process and in random order, on
{threads} thread. Times are of the processor, so other work on the machine does not add to them;
freed memory is kept (`MALLOC_TRIM_THRESHOLD_`), so that neither side pays for pages that the other
gave back. **Ratio** is feller's time over the peer's: below 1 feller is faster. The interval holds
the median of the rounds' ratios with 95% probability; of fewer than six rounds it is all of them.
Rows are in the order of the ratio, worst first; in **bold**, feller is slower.

Measured on {date}: {processor}, Python {python}, torch {torch}.

| ratio | 95% interval | what | feller | peer | of |
|---|---|---|---|---|---|
"""

ALONE = """
## Without a peer

No package on the index does the same work with the same network.

| what | feller |
|---|---|
"""

MISSING = """
## Left out

| peer | why |
|---|---|
{rows}
"""

NO_PACKAGE = {
    "MDLM, SEDD, RFdiffusion, FrameFlow, FoldFlow": "repositories without a package: what they "
    "compute is compared in [Imported families](../imported-families.md)",
    "stix-ml": "wants Python 3.12 or later, and the other peers were measured on 3.11",
}


def speed_page(found: dict[str, Any]) -> str:
    """Return the page of results as `benchmarks/run.py` writes them."""
    rows = found["rows"]
    beside = sorted(
        (row for row in rows if "ratio" in row), key=lambda row: row["ratio"][0], reverse=True
    )
    alone = [row for row in rows if "ratio" not in row and "missing" not in row]
    missing = NO_PACKAGE | {row["missing"]: row["reason"] for row in rows if "missing" in row}
    page = HEAD.format(**{k: found[k] for k in ("threads", "date", "processor", "python", "torch")})
    page += "".join(map(_row, beside))
    page += ALONE + "".join(f"| {row['part']}: {row['job']} | {_time(row)} |\n" for row in alone)
    return page + MISSING.format(rows="\n".join(f"| {k} | {v} |" for k, v in missing.items()))


def _row(row: dict[str, Any]) -> str:
    value, low, high = row["ratio"]
    ratio = f"**{value:.2f}**" if low > 1 else f"{value:.2f}"
    times = f"{_time(row)} | {_time(row, 'theirs')}"
    who = f"{row['package']} {row['version']}, `{row['peer']}`"
    return (
        f"| {ratio} | {low:.2f} to {high:.2f} | {row['part']}: {row['job']} | {times} | {who} |\n"
    )


def _time(row: dict[str, Any], whose: str = "ours") -> str:
    """Return a time with its unit, and samples a second where there are samples."""
    seconds = row[whose]
    units: Sequence[tuple[float, str]] = ((1.0, "s"), (1e-3, "ms"), (1e-6, "us"))
    size, unit = next((u for u in units if seconds >= u[0]), units[-1])
    rate = f", {row['items'] / seconds:.3g} samples a second" if row["items"] else ""
    return f"{seconds / size:.3g} {unit}{rate}"
