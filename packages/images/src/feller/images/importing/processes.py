r"""How others make data of noise, as a path, a head and a network time of ours.

A diffusion of N discrete steps, of which step k has :math:`\bar\alpha_k` (the square of its data
coefficient), is `Tabulated` with the time k = N (1 - t) - 1: exact. A rectified flow of diffusers
has the noise level s = 1 - t, the time N s, and learns noise minus data, which is minus our
velocity.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from feller.core.heads import FlowHead
from feller.core.parametrizations import Parametrization
from feller.core.paths import GaussianPath
from feller.core.schedules import CondOT, Schedule
from feller.core.spaces import Euclidean
from feller.images.schedules import Tabulated

__all__ = [
    "SCHEDULER_FIELDS", "Process", "data_flow", "discrete", "forward_flow", "from_diffusers",
]  # fmt: skip

_PREDICTIONS: Mapping[str, Parametrization] = MappingProxyType(
    {"epsilon": "noise", "sample": "x_1", "v_prediction": "v"}
)
# What belongs to their way of drawing, not to the process.
_DRAWING = ("clip_sample", "thresholding")


@dataclass(frozen=True, kw_only=True)
class Process:
    """What a network of others was trained on.

    Attributes:
        schedule: The schedule of the path.
        prediction: What the network predicts.
        time_scale: Scale of the time tau = scale * t + offset that the network is shown.
        time_offset: Its offset.
        backwards: Whether the network returns minus what we predict.
        reading: What is to be said of it.
    """

    schedule: Schedule
    prediction: Parametrization
    time_scale: float
    time_offset: float = 0.0
    backwards: bool = False
    reading: Mapping[str, str] = field(default_factory=dict)

    @property
    def path(self) -> GaussianPath:
        """The path."""
        return GaussianPath(Euclidean(3), self.schedule)

    @property
    def head(self) -> FlowHead:
        """The head."""
        return FlowHead(self.prediction)

    def timed(self, network: Any) -> Any:
        """Return the configuration of a network with that time."""
        return replace(network, time_scale=self.time_scale, time_offset=self.time_offset)

    def turned(self, output: Tensor) -> Tensor:
        """Return weights of the last layer, such that it returns what we predict."""
        return -output if self.backwards else output

    def described(self) -> dict[str, str]:
        """Return how the process is read."""
        minus = "minus " if self.backwards else ""
        offset = f" {self.time_offset:+g}" if self.time_offset else ""
        return {
            "path": f"GaussianPath, schedule {self.schedule}",
            "head": f"FlowHead of {self.prediction} ({minus}what the network returns)",
            "time": f"the network is shown {self.time_scale:g} t{offset}; t is 0 at noise",
            **self.reading,
        }


def discrete(table: Tensor, prediction: str, reading: Mapping[str, str]) -> Process:
    """Return the process of a diffusion of discrete steps.

    Args:
        table: The square of the data coefficient at each step, first that with least noise.
        prediction: What the network predicts, in the words of diffusers.
        reading: What is to be said of it.

    Raises:
        ValueError: When a table or a prediction is not supported.
    """
    if prediction not in _PREDICTIONS:
        known = ", ".join(_PREDICTIONS)
        raise ValueError(f"prediction_type = {prediction!r} is not supported: {known} are")
    steps = len(table)
    return Process(
        schedule=Tabulated(tuple(table.tolist())),
        prediction=_PREDICTIONS[prediction],
        time_scale=float(-steps),
        time_offset=steps - 1.0,
        reading=reading,
    )


def forward_flow(time_scale: float = 1.0) -> Process:
    """Return the process of a flow from noise at 0 to data at 1, whose network sees that time."""
    return Process(schedule=CondOT(), prediction="velocity", time_scale=time_scale)


def data_flow() -> Process:
    """Return the process of a flow from noise to data whose network predicts the data."""
    return Process(schedule=CondOT(), prediction="x_1", time_scale=1.0)


SCHEDULER_FIELDS = frozenset(
    {
        *("prediction_type", "num_train_timesteps", "trained_betas", "rescale_betas_zero_snr"),
        *("beta_schedule", "beta_start", "beta_end", "clip_sample", "timestep_spacing"),
        *("shift", "flow_shift", "use_flow_sigmas", "use_dynamic_shifting", "invert_sigmas"),
    }
)
"""Fields of a scheduler that say which process it is of; a network has none of them."""


def from_diffusers(theirs: Mapping[str, Any]) -> Process:
    """Read a `scheduler_config.json`.

    Args:
        theirs: What it holds; what is missing has diffusers' default.

    Raises:
        ValueError: When no path of ours is that process.

    Example:
        >>> from_diffusers({"_class_name": "DDPMScheduler"}).prediction
        'noise'
    """
    name = theirs.get("_class_name", "DDPMScheduler")
    if name.startswith("FlowMatch"):
        return _flow(theirs)
    table = {"DDPM", "DDIM", "PNDM", "DEIS", "Heun", "LMS", "Euler", "KDPM2", "DPMSolver", "UniPC"}
    if not any(name.startswith(known) for known in table):
        raise ValueError(f"a {name} is not supported: those of DDPM's steps and FlowMatch... are")
    if theirs.get("use_flow_sigmas") or theirs.get("prediction_type") == "flow_prediction":
        return _flow({**theirs, "shift": theirs.get("flow_shift", 1.0)})
    if theirs.get("rescale_betas_zero_snr"):
        raise ValueError(
            "rescale_betas_zero_snr is not supported: its last step has no information on the data"
        )
    left = [key for key in _DRAWING if theirs.get(key)]
    reading = {"not held": f"{', '.join(left)}: of their way of drawing"} if left else {}
    return discrete(_table(theirs), theirs.get("prediction_type", "epsilon"), reading)


def _flow(theirs: Mapping[str, Any]) -> Process:
    steps = float(theirs.get("num_train_timesteps", 1000))
    reading = {}
    if theirs.get("invert_sigmas"):
        raise ValueError("invert_sigmas is not supported: false is")
    if (shift := float(theirs.get("shift") or 1.0)) != 1 or theirs.get("use_dynamic_shifting"):
        amount = "by the size" if theirs.get("use_dynamic_shifting") else f"by {shift:g}"
        reading["not held"] = f"their grid, shifted {amount}: draw with --grid shifted"
    return Process(
        schedule=CondOT(),
        prediction="velocity",
        time_scale=-steps,
        time_offset=steps,
        backwards=True,
        reading=reading,
    )


def _table(theirs: Mapping[str, Any]) -> Tensor:
    """Return the product of 1 - the fraction of noise of each step, in double precision."""
    if (trained := theirs.get("trained_betas")) is not None:
        fractions = torch.tensor(trained, dtype=torch.float64)
    else:
        steps = int(theirs.get("num_train_timesteps", 1000))
        first, last = (float(theirs.get(f"beta_{end}", d)) for end, d in _ENDS.items())
        kind = theirs.get("beta_schedule", "linear")
        if kind not in _KINDS:
            raise ValueError(f"beta_schedule = {kind!r} is not supported: {', '.join(_KINDS)} are")
        fractions = _KINDS[kind](first, last, steps)
    return (1 - fractions).cumprod(0)


def _even(first: float, last: float, steps: int) -> Tensor:
    return torch.linspace(first, last, steps, dtype=torch.float64)


def _cosine(first: float, last: float, steps: int) -> Tensor:
    """Return the steps of Nichol and Dhariwal, arXiv 2102.09672, equation 17."""
    turn = (torch.arange(steps + 1, dtype=torch.float64) / steps + 0.008) / 1.008 * math.pi / 2
    left = turn.cos() ** 2
    return (1 - left[1:] / left[:-1]).clamp(max=0.999)


def _logistic(first: float, last: float, steps: int) -> Tensor:
    return first + (last - first) * _even(-6.0, 6.0, steps).sigmoid()


_ENDS = MappingProxyType({"start": 1e-4, "end": 0.02})
_KINDS: Mapping[str, Callable[[float, float, int], Tensor]] = MappingProxyType(
    {
        "linear": _even,
        "scaled_linear": lambda first, last, steps: _even(first**0.5, last**0.5, steps) ** 2,
        "squaredcos_cap_v2": _cosine,
        "sigmoid": _logistic,
    }
)
