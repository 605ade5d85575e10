# /// script
# requires-python = ">=3.11"
# dependencies = [
#     "azula",
#     "bionemo-moco",
#     "denoising-diffusion-pytorch",
#     "diffusers",
#     "feller-core",
#     "flow-matching",
#     "k-diffusion>=0.1.1",
#     "pyarrow<22",  # later ones want numpy 2, bionemo-moco and k-diffusion numpy 1
#     "rectified-flow",
#     "setuptools<81",
#     "smalldiffusion",
#     "torchcfm",
#     "torchsde",
#     "xlm-core",
#     "xlm-models",
# ]
#
# [tool.uv.sources]
# feller-core = { path = "../../packages/core", editable = true }
# ///
"""Do published samplers return the distribution of the data? Each is given the exact posterior.

    uv run benchmarks/samplers/run.py [--only diffusers_points,k_diffusion_samplers]

A perfect network leaves only the sampler to err. Results go to `results.json`, and the table in
`README.md` is written anew from them. With `--only`, the other adapters' results stay. A package
that is not installed is left out and named. About five minutes on one free core.
"""

import argparse
import importlib
import json
import time
import warnings
import zlib
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from measure import compare
from problems import Points, Sequences
from report import write
from sampler import Sampler

HERE = Path(__file__).parent
STEPS = (16, 64, 256)
ADAPTERS = (
    "exact",
    "feller_core",
    "flow_matching_solvers",
    "torchcfm_samplers",
    "diffusers_points",
    "diffusers_tokens",
    "k_diffusion_samplers",
    "azula_samplers",
    "smalldiffusion_samplers",
    "denoising_diffusion_samplers",
    "rectified_flow_samplers",
    "moco_tokens",
    "xlm_samplers",
)


def measure(sampler: Sampler, samples: int, steps: int) -> dict[str, Any]:
    """Return what the samples of one setting say, or the error they end with."""
    torch.manual_seed(zlib.crc32(f"{sampler.package} {sampler.name} {steps}".encode()))
    sampler.problem.calls = 0
    start = time.process_time()
    try:
        found = compare(sampler.problem, sampler.draw(min(samples, sampler.most), steps))
    except Exception as error:  # a peer may fail in any way: its row says how
        return {"steps": steps, "error": f"{type(error).__name__}: {error}".split("\n")[0]}
    return {
        "steps": steps,
        "variation": list(found.variation),
        "gap": found.gap,
        "calls": found.calls,
        "seconds": round(time.process_time() - start, 2),
    }


def row(adapter: str, sampler: Sampler, samples: int) -> dict[str, Any]:
    """Return the results of a sampler at every number of steps."""
    kind = "points" if isinstance(sampler.problem, Points) else "manifolds"
    return {
        "adapter": adapter,
        "package": sampler.package,
        "version": version(sampler.package),
        "name": sampler.name,
        "problem": "tokens" if isinstance(sampler.problem, Sequences) else kind,
        "like": sampler.like,
        "samples": min(samples, sampler.most),
        "results": [measure(sampler, samples, steps) for steps in STEPS],
    }


def rows(adapter: str, samples: int) -> list[dict[str, Any]]:
    """Return the results of an adapter; none, with a word, where its package is missing."""
    try:
        module = importlib.import_module(f"adapters.{adapter}")
    except ImportError as error:
        print(f"{adapter}: left out, {error}")
        return []
    found = []
    for sampler in module.samplers():
        found.append(row(adapter, sampler, samples))
        cells = [
            f"{r['variation'][0]:.3f}" if "gap" in r else "error" for r in found[-1]["results"]
        ]
        print(f"{sampler.package:28} {sampler.name:42} {'  '.join(cells)}", flush=True)
    return found


def main() -> None:
    """Measure, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="adapters, with commas between (default: all)")
    parser.add_argument("--samples", type=int, default=4096, help="of each setting (default: 4096)")
    parser.add_argument("--out", type=Path, default=HERE / "results.json", help="results file")
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    chosen = options.only.split(",") if options.only else list(ADAPTERS)
    if unknown := [name for name in chosen if name not in ADAPTERS]:
        raise SystemExit(f"no adapter {unknown[0]!r}: there are {', '.join(ADAPTERS)}")
    kept = json.loads(options.out.read_text())["rows"] if options.out.exists() else []
    for adapter in chosen:
        if found := rows(adapter, options.samples):
            kept = [r for r in kept if r["adapter"] != adapter] + found
        kept.sort(key=lambda r: ADAPTERS.index(r["adapter"]))
        results = {"torch": torch.__version__.split("+")[0], "rows": kept}
        options.out.write_text(json.dumps(results, indent=1) + "\n")
    write(options.out, HERE / "README.md")


if __name__ == "__main__":
    main()
