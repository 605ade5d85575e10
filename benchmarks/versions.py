"""What the solvers cost in another checkout beside this one, by turns, on one machine.

    python benchmarks/versions.py ../old/.venv/bin/python [--threads 1] [--rounds 30]

Each checkout runs in a process of its own, which waits for its turn: a busy machine slows both
alike. The velocity is -x, the noise 1; states are 64 x 3 x 32 x 32, in 50 steps.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Callable

import torch
from paired import compare, show

from feller.core.generators import Diffusion, Flow
from feller.core.grids import uniform_grid
from feller.core.paths import GaussianPath
from feller.core.solvers import named_solver, simulate
from feller.core.spaces import Euclidean

METHODS = {
    Flow: ("euler", "heun", "rk4", "dopri5", "ddim", "ddpm", "dpm++", "mixed"),
    Diffusion: ("euler", "stochastic_heun", "additive_heun", "mixed"),
}
# glibc gives pages back to the system by what else a process has freed, which is no matter of the
# solvers, and may make a step three times as slow.
KEEP_PAGES = {"MALLOC_MMAP_THRESHOLD_": str(2**28), "MALLOC_TRIM_THRESHOLD_": str(2**32)}


def serve(threads: int) -> None:
    """Simulate what each line of the input names, and say when it is done."""
    from feller.core.models import Model

    class Decay(Model):
        """The flow of velocity -x."""

        path = GaussianPath(Euclidean(3))
        space, kinds = path.space, frozenset({Flow})

        def __call__(self, x: torch.Tensor, t: float, condition: None = None) -> Flow | Diffusion:
            return Flow(-x)

    class NoisyDecay(Decay):
        """The diffusion of drift -x and unit noise."""

        kinds = frozenset({Diffusion})

        def __call__(self, x: torch.Tensor, t: float, condition: None = None) -> Flow | Diffusion:
            return Diffusion(-x, torch.ones(()))

    torch.set_num_threads(threads)
    x = torch.randn(64, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    models, grid = {"Flow": Decay(), "Diffusion": NoisyDecay()}, uniform_grid(50)
    with torch.no_grad():
        for line in sys.stdin:
            kind, name = line.split()
            simulate(models[kind], x, grid, named_solver(name))
            print("done", flush=True)


def asker(process: subprocess.Popen[str], job: str) -> Callable[[], None]:
    """Return a function that has a process do a job, and waits for it."""
    assert process.stdin is not None
    assert process.stdout is not None
    given, answers = process.stdin, process.stdout

    def ask() -> None:
        print(job, file=given, flush=True)
        if not answers.readline():
            raise SystemExit(f"a checkout cannot do {job}")

    return ask


def main() -> None:
    """Time both checkouts in turn."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("other", nargs="?", help="the interpreter of the other checkout")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=30)
    options = parser.parse_args()
    if options.other is None:
        serve(options.threads)
        return
    processes = [
        subprocess.Popen(
            [python, __file__, "--threads", str(options.threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | KEEP_PAGES,
        )
        for python in (options.other, sys.executable)
    ]
    for kind, names in METHODS.items():
        for job in (f"{kind.__name__} {name}" for name in names):
            runs = {n: asker(p, job) for n, p in zip(("other", "this"), processes, strict=True)}
            show(f"{job}, ms", 1e-3, compare(runs, rounds=options.rounds, calls=2), 1.05)


if __name__ == "__main__":
    main()
