"""The page of results: every number on it comes from `results.json`."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from explanations import explanation

__all__ = ["write"]

TITLES = {
    "points": "Ten points of the plane behind Gaussian noise",
    "manifolds": "Six points on the sphere and the torus",
    "tokens": "Sequences of three tokens out of four",
}
PAGE = """# Published samplers, given the exact posterior

This page is written by `uv run benchmarks/samplers/run.py`; do not edit it.

A sampler of a diffusion, flow or jump model is exact, or errs by so much a step, when its network
is perfect. Here it is: the data are a few points with known probabilities, and every sampler is
given their exact posterior in its own conventions (`problems.py`, `adapters/`). What is left is the
sampler's own error.

- **Cells** are the total variation between the samples and the data, with a 95% interval, at 16, 64
  and 256 steps: by how much the probability of a set of data points is wrong, at most. The set is
  chosen on a quarter of the samples and measured on the rest, so exact samples give 0 within the
  interval, and one cell in twenty leaves it by chance, to either side. **Bold**: all of it is above
  0.
- **Gap** is the mean distance to the nearest data point at 256 steps (for tokens, how many are left
  masked), **calls** the network calls a sample there.
- **feller** is the cell of feller's own solver of the same kind at 256 steps.
- An error of order 1 / steps, shrinking by four from column to column, is what the theory says of
  first-order solvers. What a star marks is explained below, most with a script of a few lines in
  `findings/`. Many of these are choices, made for quality with imperfect networks; a row says
  what the choice does to the distribution, and is no reproach.

{packages}
"""


def write(results: Path, page: Path) -> None:
    """Write the page of some results."""
    data = json.loads(results.read_text())
    rows = data["rows"]
    own = {r["name"]: r for r in rows if r["package"] == "feller-core"}
    published = [r for r in rows if r["package"] != "feller-core"]
    peers = sorted({(r["package"], r["version"]) for r in published})
    packages = f"{len(published)} samplers of {len(peers)} packages: " + ", ".join(
        f"{package} {version}" for package, version in peers
    )
    sizes = sorted({r["samples"] for r in rows})
    packages += f"; torch {data['torch']}; {sizes[-1]} samples a setting, "
    packages += f"for slow ones down to {sizes[0]}. "
    plain = [r for r in published if explanation(r["package"], r["name"]) is None]
    packages += (
        f"At the most steps 0 is below the interval for {_above(own.values())} of feller's"
        f" {len(own)} rows, {_above(plain)} of {len(plain)} rows without a star and"
        f" {_above(published) - _above(plain)} of {len(published) - len(plain)} with one."
    )
    parts = [PAGE.format(packages=packages)]
    for problem, title in TITLES.items():
        these = [r for r in rows if r["problem"] == problem]
        if these:
            parts.append(f"## {title}\n\n{_table(these, own)}\n")
    explained = [line for r in published if (line := _explained(r))]
    if explained:
        parts.append("## Notes on the starred rows\n\n" + "\n".join(explained) + "\n")
    page.write_text("\n".join(parts).rstrip() + "\n")


def _above(rows: Iterable[dict[str, Any]]) -> int:
    """Return how many rows are too far from the data to be exact, at the most steps."""
    return sum(r["results"][-1].get("variation", [0, 1])[1] > 0 for r in rows)


def _table(rows: list[dict[str, Any]], own: dict[str, dict[str, Any]]) -> str:
    steps = [result["steps"] for result in rows[0]["results"]]
    head = ["package", "sampler", *map(str, steps), "gap", "calls", "feller"]
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    for r in rows:
        last = r["results"][-1]
        like = own.get(r["like"])
        cells = [
            r["package"],
            r["name"] + (" *" if explanation(r["package"], r["name"]) else ""),
            *map(_cell, r["results"]),
            f"{last['gap']:.4f}" if "gap" in last else "",
            str(last["calls"]) if "calls" in last else "",
            _cell(like["results"][-1]) if like else "",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(result: dict[str, Any]) -> str:
    if "error" in result:
        return result["error"].split(":")[0]
    value, low, high = result["variation"]
    text = f"{value:.3f} ± {(high - low) / 2:.3f}"
    return f"**{text}**" if low > 0 else text


def _explained(row: dict[str, Any]) -> str:
    found = explanation(row["package"], row["name"])
    if found is None:
        return ""
    script = f" ([script](findings/{found.script}.py))" if found.script else ""
    return f"- **{row['package']} {row['version']}, {row['name']}**: {found.why}.{script}"
