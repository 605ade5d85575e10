r"""The loss of frames: a Bregman divergence for each factor, and the geometry of what is predicted.

- positions: :math:`|E[x_1] - x_1|^2 / (1 - \min(t, 0.9))^2`, nm^2 per unit time squared: near the
  end the squared error of the velocity would explode, and is held at that of t = 0.9;
- rotations: the squared error of the velocity, in rad^2 per unit time squared, and minus the log
  density of the data rotation: the two learn the flow and the jump;
- residues: the cross-entropy of those that are masked;
- geometry: squared errors of predicted backbone atoms in nm^2, and of the distances of atoms of
  neighbours in the chain, with the weight of positions. These are not generator divergences: the
  mean of structures is a little short of bonds, and this pulls it towards a structure. They count
  from t = 1/2 on, where the posterior is narrow;
- contacts: from t = 1/2 on, too, squared errors of the distances of CA that are near and not
  neighbours in the chain, in nm^2: the mean of structures also runs into itself. No divergence,
  either.

Weights depend on times alone. An element whose clock stands at 1 is known and costs nothing.

Source: Yim et al., arXiv 2310.05297, section 3.3, for the hold at 0.9 and the geometry; Generator
Matching, arXiv 2410.20587, proposition 2, for the rest.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import torch
from jaxtyping import Float
from torch import Tensor

from feller.core.config import tagged
from feller.core.losses import Loss, Sample, check_path
from feller.core.nn.modes import without_autocast
from feller.core.nn.shards import is_shared
from feller.core.times import factor_times
from feller.proteins.codec import consecutive
from feller.proteins.models import MASK
from feller.proteins.networks.heads import Prediction
from feller.proteins.paths import FramePath
from feller.proteins.so3.paths import IsotropicPath
from feller.proteins.so3.rotations import relative, vee
from feller.proteins.so3.solutions import isotropic_flow
from feller.proteins.structure.frames import ANGSTROM, atoms_from_frames
from feller.proteins.times import residue_clocks

__all__ = ["FrameLoss"]

_CONTACT, _CLASH, _APART = 0.8, 0.39, 3  # nanometres, and residues along the chain


@tagged(
    "proteins/frame_loss",
    renamed={
        "place": "translation",
        "turn": "rotation_velocity",
        "law": "rotation_likelihood",
    },
)
@dataclass(frozen=True, kw_only=True)
class FrameLoss(Loss):
    """The weighted sum of the losses of a sample, each a mean over its residues.

    Attributes:
        translation: Weight of the loss of positions.
        rotation_velocity: Weight of the loss of rotation velocities.
        rotation_likelihood: Weight of the negative log-likelihood of rotations.
        residue: Weight of the loss of residues.
        geometry: Weight of the loss of atoms and of distances between neighbours.
        contact: Weight of the loss of contacts.
        hold: Time in [0, 1] from which the weight over time no longer rises.
        settle: Time up to which the weight of rotation velocities rises, as the cube of time; 0 if
            it is the same at all times. Early velocities are large and hard to predict.
    """

    translation: float = 2.0
    rotation_velocity: float = 0.25
    rotation_likelihood: float = 0.25
    residue: float = 0.25
    geometry: float = 1.0
    contact: float = 0.0
    hold: float = 0.9
    settle: float = 0.0

    def __call__(
        self,
        model: Any,
        path: FramePath,
        z: Mapping[str, Tensor],
        t: Any,
        x_t: Mapping[str, Tensor],
        *,
        condition: Tensor | None = None,
    ) -> Float[Tensor, " b"]:
        """Return the loss of each sample: the sum of its parts."""
        parts = self.by_part(model, path, z, t, x_t, condition=condition)
        return torch.stack([*parts.values()]).sum(0)

    def by_part(self, *sample: Any, condition: Tensor | None = None) -> dict[str, Tensor]:
        """Return each loss at its weight, by its name; the network is asked once for all.

        Args:
            sample: Model, path, z, t and x_t.
            condition: The index of the residues; consecutive if None.
        """
        model, path, z, t, x_t = sample
        check_path(model, path)
        bare = getattr(model, "module", model)  # under the wrapper of its process group
        previous = _first_look(bare, x_t, t, condition)
        found: Prediction = model(x_t, t, condition, previous=previous, predict=True)
        index = consecutive(z["residue"].shape, z["residue"]) if condition is None else condition
        # Rotations compose in the precision of the data, whatever the network computes in: in half
        # of it targets near t = 1 are half wrong.
        with without_autocast(z["translation"]):
            found = found.to(z["translation"].dtype)
            parts = self.parts(path, Sample(z, t, x_t), found, index)
        return {name: getattr(self, name) * loss for name, loss in parts.items()}

    def parts(
        self,
        path: FramePath,
        sample: Sample,
        found: Prediction,
        index: Tensor,
    ) -> dict[str, Float[Tensor, " b"]]:
        """Return each loss by its name, without its weight."""
        z, t, x_t = sample
        clocks = residue_clocks(z, t)
        weight = 1 / (1 - clocks["translation"].clamp_max(self.hold)) ** 2
        away = (found.translation - z["translation"]).square().sum(-1)
        now, turning = clocks["rotation"], cast(IsotropicPath, path.factors["rotation"])
        aim = isotropic_flow(turning, x_t["rotation"], now, z["rotation"])
        target = vee(relative(x_t["rotation"], aim.velocity))
        miss = (found.velocity(turning, x_t["rotation"], now) - target).square().sum(-1)
        if self.settle:
            miss = miss * (now / self.settle).clamp_max(1) ** 3
        unknown = {name: (clock < 1).float() for name, clock in clocks.items()}
        frames = torch.minimum(unknown["translation"], unknown["rotation"])
        late = frames * (clocks["translation"] > 0.5) * (now > 0.5) * weight
        return {
            "translation": (unknown["translation"] * weight * away).mean(1),
            "rotation_velocity": (unknown["rotation"] * miss).mean(1),
            "rotation_likelihood": -(unknown["rotation"] * found.log_density(z["rotation"])).mean(
                1
            ),
            "residue": _residues(found.residue, z["residue"], x_t["residue"]),
            "geometry": (late * _geometry(found, z, index)).mean(1),
            "contact": (late * _contacts(found.translation, z["translation"], index)).mean(1),
        }


@torch.no_grad()
def _first_look(model: Any, x: Mapping[str, Tensor], t: Any, index: Any) -> Tensor | None:
    """Return what half of the rows predict without self-conditioning, for the second look.

    Which half is read off their times, so that a row does the same in whatever batch it is.
    """
    if not model.config.network.self_conditioning:
        return None
    clocks = {name: torch.as_tensor(clock) for name, clock in factor_times(t, x).items()}
    first = clocks["translation"]
    first = first.amin(1) if first.ndim > 1 else first  # 1 is the clock of what is known
    rows = (first * 2**12 % 1 < 0.5).expand(len(x["residue"]))
    previous = torch.full_like(x["translation"], torch.nan)
    looks = rows.any()
    if looks or is_shared(model):  # others that share the weights look, and wait for this process
        some = rows if looks else torch.arange(len(rows), device=rows.device) == 0
        of_x = {name: value[some] for name, value in x.items()}
        of_t = {name: clock[some] if clock.ndim else clock for name, clock in clocks.items()}
        chosen = None if index is None else index[some]
        found = model(of_x, of_t, chosen, predict=True).translation
        previous[some] = found if looks else torch.nan
    return previous


def _residues(logits: Tensor, z: Tensor, x: Tensor) -> Tensor:
    """Return the mean cross-entropy of masked residues whose names are known, 0 without any."""
    asked = (x == MASK) & (z < MASK)
    each = torch.nn.functional.cross_entropy(
        logits.flatten(0, 1), z.clamp_max(MASK - 1).flatten(), reduction="none"
    )
    return (each.view(z.shape) * asked).sum(1) / asked.sum(1).clamp_min(1)


def _geometry(found: Prediction, z: Mapping[str, Tensor], index: Tensor) -> Tensor:
    """Return the squared errors of atoms, and of distances to the next residue's atoms, in nm^2."""
    atoms = ANGSTROM * atoms_from_frames(found.translation, found.rotation)
    truth = ANGSTROM * atoms_from_frames(z["translation"], z["rotation"])
    each = (atoms - truth)[..., :3, :].square().sum(-1).mean(-1)
    if atoms.shape[1] < 2:
        return each
    linked = index.diff(dim=1) == 1
    error = (_neighbours(atoms) - _neighbours(truth)).square().sum((-1, -2))
    links = torch.nn.functional.pad(torch.where(linked, error, 0.0), (0, 1))
    return each + links


def _contacts(found: Tensor, truth: Tensor, index: Tensor) -> Tensor:
    """Return the squared errors of the distances to each residue's contacts, in nm^2.

    Pairs that clash in what is found, and not in the truth, cost ten times as much.
    """
    ours, theirs = _distances(found), _distances(truth)
    apart = (index[:, :, None] - index[:, None]).abs() >= _APART
    near = apart & ((theirs < _CONTACT) | (ours < _CLASH))
    weight = torch.where((ours < _CLASH) & (ours < theirs), 10.0, 1.0) * near
    return (weight * (ours - theirs).square()).sum(-1)


def _distances(position: Tensor) -> Tensor:
    """Return the distances of all pairs; their gradient is finite where positions coincide."""
    return (position[:, :, None] - position[:, None]).square().sum(-1).clamp_min(1e-8).sqrt()


def _neighbours(atoms: Tensor) -> Tensor:
    """Return the distances of a residue's CA, C and O from the next one's N, CA and C."""
    here, there = atoms[..., :-1, 1:, None, :], atoms[..., 1:, None, :3, :]
    return (here - there).square().sum(-1).clamp_min(1e-8).sqrt()
