"""How proteins are sampled: steps, the weights of flow and jump, noise, and solvers.

Euler's method follows the three factors to one step before the end; the last step goes to the
network's estimate of the data: the mean position, the predicted rotation, and a draw of each
residue that is still masked. So `steps` is the number of network calls.

With a `sequence_solver` residues have their own token solver, which reaches the end by itself: it
makes additional network calls, and one more is made for the end of the frames.
"""

import math
import operator
from dataclasses import dataclass, replace
from numbers import Real
from typing import Any, cast

import torch

from feller.core.checks import check_weights
from feller.core.discrete.categorical import Shaping
from feller.core.discrete.solvers import (
    ByFactor,
    TokenSolver,
    check_token_solver,
    named_token_solver,
)
from feller.core.models import GeneratorModel
from feller.core.nn.self_conditioning import SelfConditionedRows
from feller.core.solvers import EndWithEstimate, Euler, Evaluation
from feller.core.solvers.base import Solver
from feller.core.weights import WeightLike, weight_of
from feller.proteins.design.conditioning import check_positive
from feller.proteins.networks.heads import check_noise
from feller.proteins.repulsion import Repelled

__all__ = ["Sampling"]

_NOISE = ("noise", "rotation_noise", "noise_scale", "final_noise_scale")
_OWN = (*_NOISE, "repulsion")


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How to sample.

    Attributes:
        steps: Steps of the grid: network calls per sample, unless there is a `sequence_solver`.
        power: Times are 1 - (1 - u)^power of equidistant u: above 1, more steps near the data,
            where bonds are made.
        flow: The weight of the flow of rotations, a number or a function of time; by default the
            model's, or what the jump leaves.
        jump: The weight of their jump, likewise.
        noise: Langevin noise of positions, 0 for none: it leaves their distribution unchanged and
            lets them correct errors. Its variance is noise (1 - t) / (t + 0.05) nm^2 per unit time.
            The model's if None.
        rotation_noise: The same of rotations, in units of their path's own variance. The model's if
            None.
        noise_scale: Factor on the noise up to t = 1/2: below 1 samples are more typical and less
            diverse than the distribution. The model's if None.
        final_noise_scale: The same at t = 1, reached linearly: with 1 folds are typical, and their
            geometry has the spread of the distribution. If None, `noise_scale` if that is given,
            else the model's.
        repulsion: Weight of the repulsion of residues whose CA are predicted nearer than 4 Angstrom
            (`feller.proteins.repulsion`): 1 parts a pair in a step, 0 leaves samples to the model's
            distribution. The model's if None.
        temperature: Divides the logits of residues; towards 0 takes the most likely.
        sequence_solver: How residues are drawn, by the name of a token solver
            (`feller.core.discrete.solvers.TOKEN_SOLVERS`): `events` is first hitting, exact at as
            many steps as residues, `remask` and `corrected` may change earlier residues. If None,
            Euler's method, which draws all remaining masks in the last step.
        sequence: Whether residues are sampled too, by a model trained on them; otherwise they stay
            unknown.
        batch_size: Samples in memory at once.
        keep: Whether to keep the states of every step.
    """

    steps: int = 100
    power: float = 2.0
    flow: WeightLike | None = None
    jump: WeightLike | None = None
    noise: float | None = None
    rotation_noise: float | None = None
    noise_scale: float | None = None
    final_noise_scale: float | None = None
    repulsion: float | None = None
    temperature: float = 1.0
    sequence_solver: str | None = None
    sequence: bool = True
    batch_size: int = 32
    keep: bool = False

    def __post_init__(self) -> None:
        """Check the values."""
        for name in ("steps", "batch_size"):
            check_positive(name, getattr(self, name))
        if not (isinstance(self.power, Real) and 0 < float(self.power) < math.inf):
            raise ValueError(f"power is positive and finite, not {self.power!r}")
        for name in (*_OWN, "temperature"):
            value = getattr(self, name)
            there = name == "temperature" or value is not None
            if there and not (isinstance(value, Real) and 0 <= float(value) < math.inf):
                raise ValueError(f"{name} is at least 0 and finite, not {value!r}")
        if self.flow is not None or self.jump is not None:
            for t in torch.linspace(0, 1, 5):
                now = (float(weight_of(weight).at(t, t)) for weight in self.weights)
                check_weights("flow and jump", tuple(now))
        if self.sequence_solver is not None:
            check_token_solver(self.sequence_solver)
            if not self.sequence:
                raise ValueError("sequence_solver draws residues: it excludes sequence=False")

    @property
    def weights(self) -> tuple[WeightLike, WeightLike]:
        """The weights of flow and jump, where one is given the other is the rest."""
        flow = _rest(self.jump) if self.flow is None else self.flow
        return flow, _rest(flow) if self.jump is None else self.jump

    def of(self, model: Any) -> "Sampling":
        """Return it with what it leaves to a model filled in.

        Raises:
            ValueError: When the rotations of the model cannot have noise, or there is a solver or
                a temperature of residues that the model does not draw.
        """
        shaped = self.sequence_solver is not None or self.temperature != 1
        if shaped and not model.config.sequence:
            name = "temperature" if self.sequence_solver is None else "sequence_solver"
            raise ValueError(f"the model was trained without residues: it takes no {name}")
        own = {name: getattr(model.config, name) for name in _OWN}
        if self.noise_scale is not None:
            own["final_noise_scale"] = None
        asked = {name: getattr(self, name) for name in _OWN}
        filled = {name: own[name] if asked[name] is None else asked[name] for name in _OWN}
        given = self.flow is not None or self.jump is not None
        flow, jump = self.weights if given else (model.config.flow, model.config.jump)
        if filled["rotation_noise"]:
            check_noise(model.path.factors["rotation"])
        sequence = self.sequence and model.config.sequence
        return replace(self, **filled, flow=flow, jump=jump, sequence=sequence)

    def reading(self, model: Any, rows: int) -> Evaluation:
        """Return a model as a simulation of `of(model)` asks it, shown its own predictions.

        Args:
            model: The model.
            rows: How many there are. A solver of residues, which has their temperature, asks for
                some of them.
        """
        noise = {"noise": self.noise, "rotation_noise": self.rotation_noise}
        scale = _scale(cast(float, self.noise_scale), self.final_noise_scale)
        network, index = model.by_factor, None
        if self.repulsion:
            network = Repelled(network, float(self.repulsion))
        if model.config.network.self_conditioning:
            index = torch.arange(rows, device=next(model.parameters()).device)
            network = SelfConditionedRows(network, rows, operator.itemgetter("translation"))
        temperature = self.temperature if self.sequence_solver is None else 1.0
        mixture = {"flow": self.flow, "jump": self.jump}
        head = model.config.head(temperature=temperature, noise_scale=scale, **noise, **mixture)
        return Evaluation(GeneratorModel(network, model.path, head), index)

    def solver(self, residues: int) -> Solver:
        """Return the solver of frames beside a number of residues to draw."""
        end = EndWithEstimate(Euler())
        if self.sequence_solver is None:
            return end
        own = self.residue_solver(residues)
        return ByFactor({"translation": end, "rotation": end, "residue": own})

    def residue_solver(self, residues: int) -> TokenSolver:
        """Return the solver of a number of residues to draw."""
        shaping = Shaping(float(self.temperature))
        return named_token_solver(str(self.sequence_solver), residues, self.steps, shaping)


def _scale(first: float, last: float | None) -> WeightLike:
    """Return `first` up to t = 1/2, and from there evenly to `last`."""
    if last is None or last == first:
        return first
    return lambda t: first + (last - first) * (2 * t - 1).clamp_min(0)


def _rest(weight: WeightLike | None) -> WeightLike:
    """Return 1 less a weight, at each time."""
    if callable(weight):
        return lambda t: 1 - weight(t)
    return 1 - cast(float, weight)
