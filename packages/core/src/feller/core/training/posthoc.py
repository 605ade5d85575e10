r"""Averages of any width, computed after training from snapshots of two averages.

A snapshot after t_i steps of an average with exponent gamma_i holds the weights of the run with the
profile p_i(s) = (gamma_i + 1) s^gamma_i / t_i^(gamma_i + 1) on [0, t_i]. What sum of them is
nearest to the profile p of another width follows from least squares, with the inner products

    <p_i, p_j> = (gamma_i + 1) (gamma_j + 1) / (gamma_i + gamma_j + 1) r,
    r = (t_i / t_j)^gamma_j / t_j  where t_i <= t_j, and the same exchanged elsewhere,

and the sum of weights is 1. Source: Karras et al., arXiv 2312.02696, section 3.2.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from safetensors.torch import load_file, save_file
from torch import Tensor

from feller.core.files import published, sweep, verify
from feller.core.nn.ema import EMA, Decay, PowerFunction
from feller.core.nn.shards import full
from feller.core.training.config import Training

__all__ = [
    "WIDTHS", "Profile", "average_of_width", "further_averages", "is_due", "save_snapshot",
    "snapshot_of", "weights_of",
]  # fmt: skip

WIDTHS = (0.05, 0.1)
"""Of the averages of which there are snapshots."""


class Profile(NamedTuple):
    """The profile of an average: how much it holds of each step.

    Attributes:
        steps: The steps of the run so far.
        exponent: The exponent of the power function.
    """

    steps: float
    exponent: float


def weights_of(snapshots: Sequence[Profile], target: Profile) -> np.ndarray:
    """Return the weights `(n,)` of n snapshots whose sum is nearest to a profile; they sum to 1.

    Example:
        >>> some = [Profile(10, 7.0), Profile(20, 7.0), Profile(20, 17.0)]
        >>> weights_of(some, Profile(20, 17.0)).round(6) + 0.0
        array([0., 0., 1.])
    """
    n = len(snapshots)
    t, g = np.array(snapshots, dtype=float).T
    gram, aim = _products(t[:, None], g[:, None], t, g), _products(t, g, *target)
    scale = np.sqrt(np.diag(gram))  # profiles of unit norm
    system = np.ones((n + 1, n + 1))
    system[:n, :n], system[n, n] = gram / np.outer(scale, scale), 0
    system[:n, n] = system[n, :n] = scale.min() / scale
    right = np.append(aim / scale, scale.min())
    found = np.linalg.lstsq(system, right, rcond=1e-13)[0][:n] / scale
    return found / found.sum()


def further_averages(training: Training) -> dict[str, Decay]:
    """Return the averages of a run other than the default, by name.

    Example:
        >>> list(further_averages(Training(ema_decays=(0.9999,), ema_snapshot_every=100)))
        ['0.9999', 'width=0.05', 'width=0.1']
    """
    found: dict[str, Decay] = {f"{decay:g}": decay for decay in training.ema_decays}
    if training.ema_snapshot_every:
        found |= {f"width={width:g}": PowerFunction(width) for width in WIDTHS}
    return found


def is_due(step: int, every: int, last: int) -> bool:
    """Return whether something is due every few steps, and at the last; never, at 0.

    Example:
        >>> [step for step in range(1, 8) if is_due(step, 3, 7)]
        [3, 6, 7]
    """
    return bool(every) and (step % every == 0 or step == last)


def snapshot_of(ema: EMA) -> dict[str, dict[str, Tensor]]:
    """Return the averages of `WIDTHS`, whole; every process calls it."""
    states = {width: ema.others[f"width={width:g}"].state_dict() for width in WIDTHS}
    return {f"{w:g}": {k: full(v) for k, v in state.items()} for w, state in states.items()}


def save_snapshot(states: Mapping[str, Mapping[str, Tensor]], step: int, out: Path) -> None:
    """Write what `snapshot_of` returns after a step into the folder of a run."""
    folder = out / "snapshots"
    if folder.exists():
        sweep(folder)
    with published(folder / f"step_{step:08d}", sealed=True) as fresh:
        for width, state in states.items():
            tensors = {k: v.detach().cpu().contiguous().clone() for k, v in state.items()}
            save_file(tensors, fresh / f"{width}.safetensors")


def average_of_width(out: Path, width: float, steps: int) -> dict[str, Tensor]:
    """Return the averaged weights of some width at a step, from the snapshots of a run.

    What is not a floating-point number, such as a count, is that of the last snapshot.

    Args:
        out: The folder of the run.
        width: The width, as a fraction of the run.
        steps: The step at whose end the average is.

    Raises:
        ValueError: When the run has no snapshot of that step, or one is damaged.
    """
    target = Profile(steps, PowerFunction(width).exponent)
    taken = [folder for folder in _snapshots(out) if _step_of(folder) <= steps]
    if not taken or _step_of(taken[-1]) != steps:
        raise ValueError(
            f"{out} has no snapshots up to step {steps} of which an average of width {width:g} is "
            "made: train with --training.ema-snapshot-every"
        )
    profiles = [Profile(_step_of(f), PowerFunction(w).exponent) for f in taken for w in WIDTHS]
    weights = iter(weights_of(profiles, target))
    total: dict[str, Tensor] = {}
    for folder in taken:
        try:
            verify(folder)
        except (ValueError, OSError) as error:
            raise ValueError(f"{folder} is damaged: {error}") from None
        for each in WIDTHS:
            _add(total, load_file(folder / f"{each:g}.safetensors"), float(next(weights)))
    kinds = load_file(taken[-1] / f"{WIDTHS[0]:g}.safetensors")
    return {name: value.to(kinds[name].dtype) for name, value in total.items()}


def _add(total: dict[str, Tensor], state: dict[str, Tensor], weight: float) -> None:
    for name, value in state.items():
        if not value.is_floating_point():
            total[name] = value
        elif name in total:
            total[name] += weight * value.double()
        else:
            total[name] = weight * value.double()


def _products(t: Any, g: Any, s: Any, h: Any) -> np.ndarray:
    """Return <p, q> of profiles after t and s steps with exponents g and h."""
    earlier = np.where(t <= s, (t / s) ** h / s, (s / t) ** g / t)
    return (g + 1) * (h + 1) / (g + h + 1) * earlier


def _snapshots(out: Path) -> list[Path]:
    home = out / "snapshots"
    found = home.iterdir() if home.is_dir() else []
    return sorted((p for p in found if re.fullmatch(r"step_\d{8,}", p.name)), key=_step_of)


def _step_of(folder: Path) -> int:
    return int(folder.name.removeprefix("step_"))
