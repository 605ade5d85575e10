"""Rotations that flow, jump, or do both: what one network draws, over mixtures and steps.

    python benchmarks/jump_and_flow.py MODEL --reference STRUCTURES.zip [--out results.json]

Flow and jump have one marginal distribution, and so has every mixture of them, also one whose
weights change with time (Generator Matching, arXiv 2410.20587, proposition 3): what differs is how
errors of the network and of the steps add up. There is neither noise nor repulsion. What was
measured is kept in `--out`, so that the same command goes on; `--figure FILE` draws it, `--table`
prints it.
"""

import argparse
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from feller.core.registry import load
from feller.proteins.data.filters import Filters
from feller.proteins.design.inputs import read_structures
from feller.proteins.metrics.report import Settings, report
from feller.proteins.structure.chain import Chain
from feller.proteins.structure.reading import sorted_out

MIXTURES: dict[str, Any] = {
    "flow": 0.0,
    "half": 0.5,
    "jump": 1.0,
    "flow first": lambda t: t,
    "jump first": lambda t: 1 - t,
}
"""The weight of the jump; the flow has the rest."""

STEPS = (10, 20, 50, 100, 200)
SHOWN = (
    "C-N bonds",
    "clashes",
    "helix or strand",
    "fragment RMSD",
    "Ramachandran JS",
    "pairwise TM",
    "nearest TM",
    "radius over reference",
)


PLAIN = {"noise": 0.0, "rotation_noise": 0.0, "repulsion": 0.0}


def chains(model: Any, weight: Any, steps: int, n: int) -> list[Chain]:
    """Draw as many chains of each of ten lengths from 60 to 96 residues."""
    how = {"jump": weight, "steps": steps, "sequence": False, **PLAIN}
    lengths = range(60, 100, 4)
    per_length = n // len(lengths)
    return [c for m in lengths for c in model.sample(per_length, length=m, seed=m, **how)]


def measured(found: dict[str, Any]) -> dict[str, Any]:
    """Return figures and divergences alike: value, low, high, and those of native chains."""
    rows = {**found["figures"], **found["divergences"]}
    kept = ("value", "low", "high", "reference", "baseline")
    return {name: {k: row[k] for k in kept if k in row} for name, row in rows.items()}


def missing(done: dict[str, Any]) -> Iterator[tuple[str, str, int]]:
    """Yield what has not been measured: the key, the mixture and the steps."""
    for steps in STEPS:
        for name in MIXTURES:
            if (key := f"{name}, {steps} steps") not in done:
                yield key, name, steps


def draw(results: dict[str, Any], file: Path) -> None:
    """Draw each figure against the steps, a line a mixture, natives as a grey line."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(2, 4, figsize=(13, 6), layout="constrained")
    for axis, name in zip(axes.flat, SHOWN, strict=True):
        for i, mixture in enumerate(MIXTURES):
            rows = [results[f"{mixture}, {steps} steps"][name] for steps in STEPS]
            at = [steps * 1.04 ** (i - 2) for steps in STEPS]
            values = [row["value"] for row in rows]
            spread = [
                [row["value"] - row["low"] for row in rows],
                [row["high"] - row["value"] for row in rows],
            ]
            axis.errorbar(at, values, spread, label=mixture, marker="o", markersize=3, linewidth=1)
        native = rows[-1].get("reference") or rows[-1].get("baseline")
        if native:
            axis.axhline(native["value"], color="grey", linestyle="--", linewidth=1)
        axis.set(title=name, xscale="log", xticks=STEPS, xticklabels=STEPS, xlabel="steps")
        axis.minorticks_off()
    axes.flat[0].legend(fontsize="small")
    figure.savefig(file, dpi=110)


def table(results: dict[str, Any]) -> str:
    """Return the figures as Markdown, a row for each number of steps and mixture."""
    lines = [f"| steps | rotations | {' | '.join(SHOWN)} |", "|---" * (len(SHOWN) + 2) + "|"]
    for steps in STEPS:
        for mixture in MIXTURES:
            rows = [results[f"{mixture}, {steps} steps"][name] for name in SHOWN]
            cells = [f"{row['value']:.3f} ({row['low']:.3f} to {row['high']:.3f})" for row in rows]
            lines.append(f"| {steps} | {mixture} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Measure what is missing, and print or draw what there is."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", help="a model of backbones whose rotations flow and jump")
    parser.add_argument("--reference", type=Path, required=True, help="native structures")
    parser.add_argument("--n", type=int, default=60, help="samples of each (default: 60)")
    parser.add_argument("--tm", type=int, default=20, help="chains to align (default: 20)")
    parser.add_argument("--threads", type=int, default=1, help="threads of torch (default: 1)")
    parser.add_argument("--out", type=Path, default=Path("jump_and_flow.json"), help="results")
    parser.add_argument("--figure", type=Path, help="file to draw; none if not given")
    parser.add_argument("--table", action="store_true", help="print what was measured as a table")
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    done = json.loads(asked.out.read_text()) if asked.out.exists() else {}
    model = load(asked.model)
    native, _ = sorted_out(Filters().sift(read_structures(asked.reference)[0], Counter()))
    for key, name, steps in missing(done):
        drawn = chains(model, MIXTURES[name], steps, asked.n)
        done[key] = measured(report(drawn, native, Settings(tm=asked.tm)))
        asked.out.write_text(json.dumps(done, indent=1) + "\n")
        shown = {k: round(done[key][k]["value"], 4) for k in SHOWN if k in done[key]}
        print(f"{key}: {shown}", flush=True)
    if asked.figure:
        draw(done, asked.figure)
    if asked.table:
        print(table(done))


if __name__ == "__main__":
    main()
