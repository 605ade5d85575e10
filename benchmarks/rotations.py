"""What the exponential, the logarithm and the angle of 100,000 rotations cost, in float32.

    uv run --with roma python benchmarks/rotations.py [--threads 2]

Beside feller stand roma, where it is installed, and the usual closed forms (Rodrigues' formula; the
angle by the trace), which lose half of the digits near 0 and pi. Errors are in radians: of
log(exp(v)) over angles up to pi - 1e-4, and of the angle, with its steepest slope, near pi. The bar
is roma's time, for exp and log.
"""

import argparse
import importlib
import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from paired import compare, show
from torch import Tensor

from feller.proteins.so3 import rotations

COUNT = 100_000

Function = Callable[[Tensor], Tensor]


def rodrigues(v: Tensor) -> Tensor:
    """Return the rotations of vectors, in the fewest lines."""
    w = v.norm(dim=-1)[..., None, None]
    k = rotations.hat(v) / w
    return torch.eye(3) + w.sin() * k + (1 - w.cos()) * (k @ k)


def trace_angle(m: Tensor) -> Tensor:
    """Return the angles of rotations, in the fewest lines."""
    return ((m.diagonal(dim1=-2, dim2=-1).sum(-1) - 1) / 2).clamp(-1, 1).arccos()


def trace_log(m: Tensor) -> Tensor:
    """Return the vectors of rotations, in the fewest lines."""
    w = trace_angle(m)[..., None]
    return rotations.vee(m) * w / w.sin()


def contestants() -> dict[str, tuple[Function, Function, Function]]:
    """Return who takes part: an exponential, a logarithm and an angle each."""
    found = {
        "closed form": (rodrigues, trace_log, trace_angle),
        "feller": (rotations.exp, rotations.log, rotations.angle),
    }
    try:
        roma: Any = importlib.import_module("roma")
    except ModuleNotFoundError:
        print("roma is not installed: uv run --with roma ...")
        return found
    distance, here = roma.rotmat_geodesic_distance, torch.eye(3).expand(COUNT, 3, 3)
    theirs = (roma.rotvec_to_rotmat, roma.rotmat_to_rotvec, lambda m: distance(here, m))
    return {"roma": theirs, **found}


def angle_error(angle: Function, v: Tensor) -> tuple[float, float]:
    """Return the largest error of an angle, and its largest slope in the nine numbers."""
    m = rotations.exp(v.double()).float().requires_grad_()
    found = angle(m)
    (slope,) = torch.autograd.grad(found.sum(), m)
    return float((found.detach() - v.norm(dim=-1)).abs().max()), float(slope.abs().max())


def main() -> None:
    """Time each in turn, then show their errors."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=30)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    rng = torch.Generator().manual_seed(0)
    axes = torch.nn.functional.normalize(torch.randn(COUNT, 3, generator=rng), dim=-1)
    v = axes * torch.linspace(1e-4, math.pi - 1e-4, COUNT)[:, None]
    near = axes * (math.pi - torch.logspace(-4, -2, COUNT)[:, None])
    those, m = contestants(), rotations.exp(v)
    for i, (name, x) in enumerate({"exp": v, "log": m, "angle": m}.items()):
        calls = {who: partial(functions[i], x) for who, functions in those.items()}
        show(f"{name}, ms", 1e-3, compare(calls, rounds=options.rounds), 1.0)
    print("\nerror of log(exp(v)), of the angle near pi, slope of the angle there")
    for who, (exp, log, angle) in those.items():
        error = float((log(exp(v)) - v).norm(dim=-1).max())
        wrong, slope = angle_error(angle, near)
        print(f"  {who:28} {error:10.1e}  {wrong:10.1e}  {slope:10.1e}")


if __name__ == "__main__":
    main()
