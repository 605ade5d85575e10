"""KID of an image model by every solver that suits it, at 1 to 200 network calls.

    python benchmarks/image_quality.py NAME --out table [--n 1000] [--budget-minutes 60]

writes `table.json` after each figure, and `table.md`; the same command goes on where it ended.
Quality, not time: all solvers start from the same noise with the same labels, guidance costs calls
too, and a solver without a number of steps to choose (dopri5) has one figure.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor

from feller.core import load
from feller.core.files import write_text
from feller.core.solvers import SOLVERS
from feller.images.commands.evaluate import usual_data
from feller.images.metrics.features import feature_network
from feller.images.metrics.kid import kernel_distance
from feller.images.metrics.report import uniform_labels
from feller.images.metrics.splits import splits
from feller.images.sampling import Sampling

CALLS = (1, 2, 4, 8, 16, 32, 64, 100, 200)


def steps_of(model: Any, how: Sampling, labels: Tensor | None, calls: int) -> tuple[int, bool]:
    """Return the most steps that cost at most so many calls, 0 for none; and whether they count."""
    few = [model.draw(1, labels, replace(how, steps=n))[1] for n in (1, 2)]
    if few[0] >= few[1]:  # it chooses its steps
        return 20, False
    return (0 if calls < few[0] else 1 + (calls - few[0]) // (few[1] - few[0])), True


class Table:
    """Figures in a file.

    Args:
        file: Where they are.
        setting: What all have in common; a file of other settings is refused.
    """

    def __init__(self, file: Path, setting: dict[str, Any]) -> None:
        self.file, self.setting = file, setting
        self.rows: dict[str, dict[str, Any]] = {}
        if file.is_file():
            read = json.loads(file.read_text())
            if read["setting"] != setting:
                raise SystemExit(f"{file} is of other settings, {read['setting']}: choose --out")
            self.rows = read["rows"]

    def add(self, solver: str, calls: int, row: dict[str, Any]) -> None:
        """Add a figure, and write all."""
        self.rows[f"{solver} {calls}"] = {"solver": solver, "calls": calls, **row}
        text = json.dumps({"setting": self.setting, "rows": self.rows}, indent=2)
        write_text(self.file, text + "\n")
        write_text(self.file.with_suffix(".md"), self.page())

    def page(self) -> str:
        """Return the figures as Markdown: a line a solver, a column a number of calls."""
        calls = sorted({row["calls"] for row in self.rows.values()})
        lines = [["solver", *(str(n) for n in calls)], ["---"] * (len(calls) + 1)]
        for solver in dict.fromkeys(row["solver"] for row in self.rows.values()):
            rows = [self.rows.get(f"{solver} {n}", {}) for n in calls]
            lines.append([solver, *map(_cell, rows)])
        reasons = dict.fromkeys(
            f"{row['solver']}: {row['none']}" for row in self.rows.values() if "none" in row
        )
        setting = ", ".join(f"{name} {value}" for name, value in self.setting.items())
        table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
        return f"KID (95% interval) by network calls; {setting}.\n\n{table}\n\n" + "".join(
            f"- {reason}\n" for reason in reasons
        )


def _cell(row: dict[str, Any]) -> str:
    if "value" not in row:
        return ""
    used = "" if row["nfe"] == row["calls"] else f", {row['nfe']} calls"
    return f"{row['value']:.4f} ({row['low']:.4f} to {row['high']:.4f}{used})"


def figures(table: Table, calls: list[int], solvers: list[str], flags: Any) -> Iterator[str]:
    """Measure what the table has not; yield what was found."""
    model = load(flags.name, device="auto")
    data = usual_data(flags.name, [])
    data = replace(data, root=flags.data_root) if flags.data_root else data
    network = feature_network(flags.features, model.codec, next(model.parameters()).device)
    real = network.embed(splits(model, data).test)
    labels = uniform_labels(model, flags.n, flags.seed)
    base = Sampling(guidance=flags.guidance, mix=tuple(flags.mix))
    one = None if labels is None else labels[:1]
    pace, spent = 0.0, time.perf_counter()
    for count in calls:  # the cheapest first
        for solver in solvers:
            if f"{solver} {count}" in table.rows:
                continue
            if time.perf_counter() - spent + pace * count > 60 * flags.budget_minutes:
                yield "no time is left: the same command goes on"
                return
            how = replace(base, solver=solver)
            try:
                steps, counted = steps_of(model, how, one, count)
                if not steps or (not counted and count != calls[0]):
                    continue
                start = time.perf_counter()
                images, nfe = model.draw(
                    flags.n, labels, replace(how, steps=steps), seed=flags.seed
                )
            except (LookupError, ValueError) as error:
                solvers = [name for name in solvers if name != solver]
                table.add(solver, count, {"none": " ".join(str(error).split())})
                continue
            found = kernel_distance(network.embed(images), real)
            pace = max(pace, (time.perf_counter() - start) / nfe)
            table.add(solver, count, {**found._asdict(), "nfe": nfe, "steps": steps})
            yield f"{solver}, {count} calls: {found}"


def main() -> None:
    """Measure a model."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("name", help="a model by name or folder")
    parser.add_argument(
        "--out", type=Path, default=Path("image-quality"), help="files, without ending"
    )
    parser.add_argument("--data-root", default="", help="where the data are (default: as trained)")
    parser.add_argument("--n", type=int, default=1000, help="samples a figure")
    parser.add_argument("--calls", type=int, nargs="+", default=list(CALLS), help="network calls")
    parser.add_argument("--solvers", nargs="+", default=[], help="their names (default: all)")
    parser.add_argument("--guidance", type=float, default=1.0)
    parser.add_argument("--mix", type=float, nargs="*", default=[], help="weights of a joint model")
    parser.add_argument("--features", default="auto", help="as of feller evaluate")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--budget-minutes", type=float, default=float("inf"))
    flags = parser.parse_args()
    shown = ("name", "n", "guidance", "mix", "features", "seed")
    table = Table(flags.out.with_suffix(".json"), {name: getattr(flags, name) for name in shown})
    solvers = flags.solvers or [
        *(name for name in SOLVERS if name != "euler_maruyama"),
        "first_hitting",
    ]
    for line in figures(table, sorted(flags.calls), solvers, flags):
        print(line, file=sys.stderr, flush=True)
    print(table.page())


if __name__ == "__main__":
    main()
