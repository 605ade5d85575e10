r"""`feller verify` for a protein model: how well it solves the forward equation.

States x_t are made from native chains. A test function is a mean along the chain of something that
no motion of the world changes: where a residue stands in the frame of another, how the two frames
are turned to each other, squared distances, and which residue is beside what. Each is linear in
each rotation and in the indicators of each residue, so that a jump enters through where it leads on
average, as a flow by its velocity:

.. math:: \mathcal{L} f(x) = D f(x)[m], \qquad
    m_e = u_e + \lambda_e \, E_{y \sim J_e}[y - x_e].

The path moves the same entries given the data: d/dt E f = E D f(x_t)[m(x_t | z)].
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import torch
import torch.nn.functional as F
import tyro
from einops import einsum
from jaxtyping import Float
from torch import Tensor

from feller.core import random
from feller.core.flags import parse_flags
from feller.core.generators import Flow, Generator, Jump
from feller.core.registry import data_of, load
from feller.core.solutions import solution
from feller.core.verify import Plan, Probe, Residual, Verification
from feller.core.verify.report import ModelFlags, report_model
from feller.proteins.data.dataset import ProteinData
from feller.proteins.models import MASK
from feller.proteins.sampling import Sampling
from feller.proteins.so3.jumps import PosteriorJump

__all__ = ["FUNCTIONS", "VerifyFlags", "functions", "verify_chains", "verify_model"]

State = Mapping[str, Tensor]

GAPS = (1, 4)
"""How far along the chain two residues are that a function looks at."""

DRAWS = 4
"""Jumps of rotations drawn at each state, for where they lead on average."""

FUNCTIONS = (
    *(f"{what}, {gap} on" for gap in GAPS for what in ("x", "y", "z", "turn", "distance^2")),
    "gyration^2",
    "named",
    "hash",
    "hash, next turn",
)
"""The names of the test functions; the last three look at residues."""


@dataclass(frozen=True)
class VerifyFlags:
    """Compare d/dt E f with E L f, at states made from native chains.

    Residues stay masked for a model without them.
    """

    data: ProteinData = field(default_factory=ProteinData)
    """Chains (default: those of the model's run); with `--data.path`, others, cropped as its recipe
    does."""
    flow: float | None = None
    """Weight of the flow of rotations, 0 to 1; the model's default if None."""
    jump: float | None = None
    """Weight of the jump of rotations, 0 to 1; 1 - flow if None."""
    check: tyro.conf.OmitArgPrefixes[ModelFlags] = field(default_factory=lambda: ModelFlags(n=256))
    """What is compared, and how large an error passes."""


def verify_model(name: str, argv: Sequence[str]) -> int:
    """Print the errors of a model; return 0 when they are below the threshold, else 1.

    Raises:
        ValueError: When the structures are missing, or too short for the functions.
    """
    flags = parse_flags(
        VerifyFlags,
        argv,
        default=VerifyFlags(data=data_of(name) or ProteinData()),
        prog=f"feller verify {name}",
    )
    model = load(name, device=flags.check.device)
    if flags.flow is not None or flags.jump is not None:
        flow, jump = Sampling(flow=flags.flow, jump=flags.jump).weights
        model = model.weighted(flow=cast(float, flow), jump=cast(float, jump))
    found = verify_chains(model, flags.data.build(flags.check.split), flags.check.plan(32))
    return report_model(found, flags.check.threshold, flags.check.output)


def functions(x: State) -> Float[Tensor, "b f"]:
    """Return the test functions of states.

    Args:
        x: `translation` (b, n, 3) in nanometres, `rotation` (b, n, 3, 3), and `residue` (b, n, 21)
            as an indicator of each id, or the last id, the mask.

    Example:
        >>> position, residue = torch.zeros(1, 6, 3), torch.zeros(1, 6, 21)
        >>> x = {"translation": position, "rotation": torch.eye(3).expand(1, 6, 3, 3)}
        >>> found = functions(x | {"residue": residue})
        >>> dict(zip(FUNCTIONS, found[0].tolist()))["turn, 4 on"]  # the trace
        3.0
    """
    position, rotation, residue = x["translation"], x["rotation"], x["residue"]
    terms = []
    for gap in GAPS:
        away = position[:, gap:] - position[:, :-gap]
        seen = einsum(rotation[:, :-gap], away, "b n x c, b n x -> b n c")
        terms += [*seen.unbind(-1), _turned(rotation, gap), away.square().sum(-1)]
    spread = (position - position.mean(1, keepdim=True)).square().sum(-1)
    numbers = torch.rand(MASK, generator=torch.Generator().manual_seed(0)).to(residue) - 0.5
    hashed = residue[..., :MASK] @ numbers
    terms += [spread, residue[..., :MASK].sum(-1), hashed, hashed[:, :-1] * _turned(rotation, 1)]
    return torch.stack([term.mean(1) for term in terms], 1)


def _turned(rotation: Tensor, gap: int) -> Tensor:
    """Return the trace of the turn from each frame to another."""
    return (rotation[:, :-gap] * rotation[:, gap:]).sum((-1, -2))


def verify_chains(model: Any, chains: Any, plan: Plan) -> Verification:
    """Compare d/dt E f with E L f for a model of proteins, without self-conditioning.

    Args:
        model: The model, or what answers as a `ProteinModel` does.
        chains: The data, as `Parts`.
        plan: Times, numbers and bounds; its own functions do not count.

    Returns:
        A residual for each time and function.

    Raises:
        ValueError: When a chain has fewer than 5 residues.
    """
    if int(chains.groups.min()) <= max(GAPS):
        raise ValueError(f"functions look {max(GAPS)} residues on: --data holds shorter chains")
    count = len(FUNCTIONS) if model.config.sequence else FUNCTIONS.index("named")
    residuals: list[Residual] = []
    for t in plan.chosen_times:
        both = torch.cat([_sides(model, rows, t, plan) for rows in _batches(chains, plan)], 1)
        pairs = zip(FUNCTIONS[:count], both.cpu().double().unbind(-1), strict=False)
        residuals += [Residual.measured(Probe(t, name), sides, plan) for name, sides in pairs]
    return Verification(tuple(residuals), "mean motion")


def _batches(chains: Any, plan: Plan) -> list[dict[str, Tensor]]:
    """Draw chains; a batch has those of one length."""
    rng = torch.Generator().manual_seed(plan.seed)
    drawn = torch.randint(len(chains), (plan.samples,), generator=rng)
    groups = chains.groups[drawn]
    alike = [drawn[groups == length] for length in groups.unique()]
    return [chains[part.tolist()] for rows in alike for part in rows.split(plan.batch)]


@torch.no_grad()
def _sides(model: Any, raw: Mapping[str, Tensor], t: float, plan: Plan) -> Tensor:
    """Return what each state contributes to d/dt E f and to E L f: `(2, b, functions)`."""
    device = next(model.parameters()).device
    z, index = model.codec.encode({name: value.to(device) for name, value in raw.items()})
    clocks = {"translation": t, "rotation": t, "residue": t if model.config.sequence else 0.0}
    seed = random.seed_of(plan.seed, t, *index.shape, *z["translation"].flatten()[:1].tolist())
    rng = torch.Generator().manual_seed(seed)
    x = model.path.sample(z, clocks, rng)
    state = {**x, "residue": _indicators(x["residue"])}
    motions = (
        _path_motion(model.path, x, clocks, z),
        {
            name: _motion(part, x[name], rng)
            for name, part in model(x, clocks, index).factors.items()
        },
    )
    return torch.stack([torch.func.jvp(functions, (state,), (m,))[1] for m in motions])


def _path_motion(path: Any, x: State, clocks: Mapping[str, float], z: State) -> dict[str, Tensor]:
    """Return how the entries of states move under the path, given the data."""
    moved: dict[str, Any] = {
        name: solution(path.factors[name], Flow)(path.factors[name], x[name], clocks[name], z[name])
        for name in ("translation", "rotation")
    }
    clock = torch.tensor(clocks["residue"], dtype=torch.float64)
    hazard = float(path.factors["residue"].schedule.hazard(clock))
    named = hazard * (_indicators(z["residue"]) - _indicators(x["residue"]))
    return {name: flow.velocity for name, flow in moved.items()} | {"residue": named}


def _motion(generator: Generator, x: Tensor, rng: torch.Generator) -> Tensor:
    """Return how the entries of a factor move on average under a generator, part by part."""
    moves = [
        p.weight * _MOTIONS[type(p.generator)](p.generator, x, rng) for p in generator.leaves()
    ]
    return torch.stack(moves).sum(0)


def _flow(flow: Flow, x: Tensor, rng: torch.Generator) -> Tensor:
    return flow.velocity


def _jumps_of_residues(jump: Jump, x: Tensor, rng: torch.Generator) -> Tensor:
    points, weights = jump.destination.quadrature()
    landed = (_indicators(points) * weights[..., None]).sum(-2)
    return jump.intensity[..., None] * (landed - _indicators(x))


def _jumps_of_rotations(jump: PosteriorJump, x: Tensor, rng: torch.Generator) -> Tensor:
    return torch.stack([_leap(jump.given(x, rng), x, rng) for _ in range(DRAWS)]).mean(0)


def _leap(jump: Jump, x: Tensor, rng: torch.Generator) -> Tensor:
    return jump.intensity[..., None, None] * (jump.destination.sample(rng) - x)


_MOTIONS: Mapping[type[Generator], Any] = {
    Flow: _flow,
    Jump: _jumps_of_residues,
    PosteriorJump: _jumps_of_rotations,
}


def _indicators(residue: Tensor) -> Tensor:
    return F.one_hot(residue, MASK + 1).float()
