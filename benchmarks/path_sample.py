"""What drawing x_t with its target costs beside flow_matching, on one thread.

    python benchmarks/path_sample.py

flow_matching is no dependency: pip install flow_matching torchdiffeq. Both are given the same
source samples and times. feller is timed twice: `draw`, which returns both at once, and as training
does it, `sample` and then the solution of the table, which knows x_t and the data alone.
"""

from collections.abc import Callable
from typing import Any

import torch
from paired import compare, show

from feller.core import CondOT, Cosine, Euclidean, Flow, GaussianPath, Schedule, solution


def contestants(
    shape: tuple[int, ...], schedule: Schedule, theirs: Any
) -> dict[str, Callable[[], object]]:
    """Return what is timed for states of one shape."""
    from flow_matching.path import AffineProbPath

    z, x_0, t = torch.randn(shape), torch.randn(shape), torch.rand(shape[0])
    path, other = GaussianPath(Euclidean(len(shape) - 1), schedule), AffineProbPath(theirs)
    flow = solution(path, Flow)
    return {
        "flow_matching": lambda: other.sample(x_0=x_0, x_1=z, t=t),
        "feller draw": lambda: path.draw(z, t, x_0=x_0),
        "feller sample + solution": lambda: flow(path, path.sample(z, t, x_0=x_0), t, z),
    }


def main() -> None:
    """Time all in turn, on states of three sizes."""
    from flow_matching.path.scheduler import CondOTScheduler, CosineScheduler

    torch.set_num_threads(1)
    for shape in ((256, 2), (128, 3, 32, 32), (64, 3, 64, 64)):
        for schedule, theirs in ((CondOT(), CondOTScheduler()), (Cosine(), CosineScheduler())):
            results = compare(contestants(shape, schedule, theirs), rounds=40, calls=10)
            show(f"{shape}, {type(schedule).__name__}, us", 1e-6, results, 1.0)


if __name__ == "__main__":
    main()
