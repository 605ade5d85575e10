# /// script
# requires-python = ">=3.11"
# dependencies = [
#     "biopython",
#     "diffusers",
#     "feller-core",
#     "feller-images",
#     "feller-proteins",
#     "feller-text",
#     "flow-matching",
#     "geoopt",
#     "roma",
#     "torchcfm",
#     "torchdiffeq",
#     "torchsde",
# ]
#
# [tool.uv.sources]
# feller-core = { path = "../packages/core", editable = true }
# feller-images = { path = "../packages/images", editable = true }
# feller-proteins = { path = "../packages/proteins", editable = true }
# feller-text = { path = "../packages/text", editable = true }
# ///
"""How fast is feller beside its peers? Each comparison is of the same work, by turns.

    uv run benchmarks/run.py [--only steps,maps] [--rounds 15]

Times are of the processor, on one thread (`peers/job.py`). Results go to `results.json`, from which
the site makes its page; with `--only`, those of other parts stay. A peer that is not installed is
left out and named. About ten minutes on one core.
"""

import argparse
import importlib
import json
import os
import platform
import sys
import warnings
from collections.abc import Iterator
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from peers.job import Job, timed

HERE = Path(__file__).parent
# One thread, also in the processes of start-up. glibc gives pages back to the system by what else a
# process has freed, which is no matter of either side, and may make a step ten times as slow.
SETTINGS = {
    "OMP_NUM_THREADS": "1",
    "MALLOC_MMAP_THRESHOLD_": str(2**28),
    "MALLOC_TRIM_THRESHOLD_": str(2**32),
}
PARTS = ("steps", "pairs", "tokens", "maps", "structures", "training", "startup", "samples")


def processor() -> str:
    """Return the name of the processor."""
    file = Path("/proc/cpuinfo")
    lines = file.read_text().splitlines() if file.exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def rows(part: str, rounds: int | None) -> Iterator[dict[str, Any]]:
    """Measure the jobs of a part; yield a row for each, and one for each peer that is missing."""
    module = importlib.import_module(f"peers.{part}")
    for peer in module.__all__:
        try:
            for job in getattr(module, peer)():
                yield row(part, job, rounds)
        except ModuleNotFoundError as error:
            print(f"{part}: {peer} left out: {error}")
            yield {"module": part, "missing": peer, "reason": str(error)}


def row(part: str, job: Job, rounds: int | None) -> dict[str, Any]:
    """Measure a job."""
    if rounds is not None:
        object.__setattr__(job, "rounds", rounds)
    with torch.no_grad() if part != "training" else torch.enable_grad():
        found = timed(job)
    ours = {"module": part, "part": job.part, "job": job.name, "rounds": job.rounds}
    ours |= {"ours": found.ours, "items": job.items}
    if job.theirs is not None:
        peer = {"package": job.package, "version": version(job.package), "peer": job.peer}
        ours |= peer | {"theirs": found.theirs, "ratio": [found.value, found.low, found.high]}
    said = f"{found.value:.2f} ({found.low:.2f} to {found.high:.2f})" if job.theirs else "alone"
    print(f"{job.part:24} {job.name:56} {job.package:14} {said}", flush=True)
    return ours


def main() -> None:
    """Measure, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="parts, with commas between (default: all)")
    parser.add_argument("--rounds", type=int, help="of each comparison (default: its own)")
    parser.add_argument("--out", type=Path, default=HERE / "results.json", help="results file")
    options = parser.parse_args()
    if not SETTINGS.items() <= os.environ.items():  # they are read when a process begins
        os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | SETTINGS)
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    chosen = options.only.split(",") if options.only else list(PARTS)
    if unknown := [name for name in chosen if name not in PARTS]:
        raise SystemExit(f"no part {unknown[0]!r}: there are {', '.join(PARTS)}")
    kept = json.loads(options.out.read_text())["rows"] if options.out.exists() else []
    for part in chosen:
        found = list(rows(part, options.rounds))
        kept = sorted(
            [r for r in kept if r["module"] != part] + found, key=lambda r: PARTS.index(r["module"])
        )
        about = {"date": date.today().isoformat(), "threads": 1, "processor": processor()}
        about |= {"python": platform.python_version(), "torch": torch.__version__.split("+")[0]}
        options.out.write_text(json.dumps(about | {"rows": kept}, indent=1) + "\n")


if __name__ == "__main__":
    main()
