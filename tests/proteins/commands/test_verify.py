"""`feller verify` for proteins: a model that knows its chains passes, and each fault is caught."""

import json
from dataclasses import dataclass, field, replace

import folds
import pytest
import structures
import tiny_proteins
import torch
from terminal import complaint, feller
from torch.testing import assert_close

from feller.core.generators import Categorical, Flow, Jump, Mixture, Point, Product, Superposition
from feller.core.solutions import solution
from feller.core.verify import Plan
from feller.proteins.commands.verify import FUNCTIONS, functions, verify_chains
from feller.proteins.models import MASK, ProteinModelConfig
from feller.proteins.so3.jumps import PosteriorJump
from feller.proteins.so3.rotations import exp
from feller.proteins.structure.frames import atoms_from_frames

CHAINS, LENGTH = 3, 6
PLAN = Plan((0.2, 0.5, 0.8), samples=8192, batch=4096)
ONE_TIME = Plan((0.5,), samples=8192, batch=4096)


@dataclass
class Chains:
    """A few chains as data."""

    raw: dict[str, torch.Tensor] = field(default_factory=dict)

    def __post_init__(self):
        g = torch.Generator().manual_seed(0)
        place = 0.4 * torch.randn(CHAINS, LENGTH, 3, generator=g)
        atoms = atoms_from_frames(place, exp(torch.randn(CHAINS, LENGTH, 3, generator=g)))
        residues = torch.randint(MASK, (CHAINS, LENGTH), generator=g)
        index = torch.arange(LENGTH).expand(CHAINS, LENGTH)
        self.raw = {"atoms": atoms, "residues": residues, "index": index}
        self.groups = torch.full((CHAINS,), LENGTH)

    def __len__(self):
        return CHAINS

    def __getitem__(self, rows):
        return {name: value[rows] for name, value in self.raw.items()}


class Knowing:
    """A model with the exact posterior over the chains, made wrong by a fault."""

    def __init__(self, chains, fault="", **config):
        self.config = ProteinModelConfig(**config)
        self.path, self.codec, self.fault = self.config.path, self.config.codec, fault
        self.data, _ = self.codec.encode(chains[list(range(CHAINS))])

    def parameters(self):
        yield torch.zeros(1)

    def posterior(self, x, t):
        logs = torch.zeros(len(x["residue"]), CHAINS)
        for name, path in self.path.factors.items():
            each = path.log_density(x[name][:, None], torch.tensor(t[name]), self.data[name][None])
            logs = logs + each.flatten(2).sum(-1)
        return logs.softmax(1)

    def __call__(self, x, t, condition):
        chance = self.posterior(x, t)
        if self.fault == "posterior":
            chance = torch.full_like(chance, 1 / CHAINS)
        place, turn, residue = self.path.factors.values()
        speed = {"place": 0.8}.get(self.fault, 1.0)
        velocity = speed * self.flow(place, "translation", x, t, chance)
        rotation = Superposition(())
        if self.config.flow:
            flow = Flow(self.flow(turn, "rotation", x, t, chance))
            rotation = rotation + self.config.flow * flow
        if self.config.jump:
            each = self.data["rotation"].transpose(0, 1)[None].expand(len(chance), -1, -1, -1, -1)
            law = Mixture(chance[:, None].expand(-1, LENGTH, -1), Point(each))
            rate = {"jump": 0.5}.get(self.fault, 1.0)
            leap = PosteriorJump(turn, t["rotation"], law, weight=rate)
            rotation = rotation + self.config.jump * leap
        named = torch.nn.functional.one_hot(self.data["residue"], MASK).float()
        law = torch.einsum("bk,knv->bnv", chance, named)
        if self.fault == "law":
            law = torch.full_like(law, 1 / MASK)
        often = {"residue": 0.8}.get(self.fault, 1.0)
        hazard = often * float(
            residue.schedule.hazard(torch.tensor(t["residue"], dtype=torch.float64))
        )
        fires = torch.where(x["residue"] == MASK, hazard, 0.0)
        chain = Jump(fires, Categorical(law.log()))
        return Product({"translation": Flow(velocity), "rotation": rotation, "residue": chain})

    def flow(self, path, name, x, t, chance):
        each = solution(path, Flow)(path, x[name][:, None], t[name], self.data[name][None]).velocity
        return torch.einsum("bk,bk...->b...", chance, each)


def found(fault="", plan=PLAN, **config):
    chains = Chains()
    return verify_chains(Knowing(chains, fault, **config), chains, plan)


FLOW, JUMP, BOTH = (1.0, 0.0), (0.0, 1.0), (0.5, 0.5)


@pytest.mark.parametrize(
    ("weights", "sequence", "plan"),
    [
        (FLOW, True, ONE_TIME),
        (BOTH, False, ONE_TIME),
        *(
            pytest.param(weights, sequence, PLAN, marks=pytest.mark.slow)
            for weights in (FLOW, JUMP, BOTH)
            for sequence in (True, False)
        ),
    ],
)
def test_exact_posteriors_have_no_residual(weights, sequence, plan):
    flow, jump = weights
    known = found(plan=plan, flow=flow, jump=jump, sequence=sequence)
    assert known.passed
    assert known.noise() < 0.2  # a jump is seen by where it lands
    assert known.relative() <= 2 * known.noise()
    names = FUNCTIONS if sequence else FUNCTIONS[:-3]
    assert {r.function for r in known.residuals} == set(names)


class Told(Knowing):
    """A model that keeps the residues and clocks it is given."""

    def __call__(self, x, t, condition):
        self.told = x["residue"], t["residue"]
        return super().__call__(x, t, condition)


@pytest.mark.parametrize("sequence", [True, False])
def test_only_a_model_of_residues_is_given_some(sequence):
    chains = Chains()
    model = Told(chains, sequence=sequence)
    verify_chains(model, chains, Plan((0.8,), samples=64))
    residues, clock = model.told
    assert bool((residues != MASK).any()) == sequence
    assert clock == (0.8 if sequence else 0.0)


FAULTS = {
    "posterior": {"gyration^2", "turn, 1 on", "hash"},
    "place": {"distance^2, 1 on", "gyration^2"},
    "jump": {"turn, 1 on"},
    "residue": {"named"},
    "law": {"hash"},
}


@pytest.mark.gate
@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_is_seen_by_a_function_that_looks_there(fault):
    known = found(fault, ONE_TIME, flow=0.0, jump=1.0)
    caught = {r.function for r in known.residuals if not r.passed}
    assert caught & FAULTS[fault]
    assert not known.passed


def test_functions_do_not_change_with_the_world(rng):
    place = torch.randn(2, 7, 3, generator=rng, dtype=torch.float64)
    rotation = exp(torch.randn(2, 7, 3, generator=rng, dtype=torch.float64))
    residue = torch.rand(2, 7, MASK + 1, generator=rng, dtype=torch.float64)
    turn = exp(torch.randn(3, generator=rng, dtype=torch.float64))
    still = {"translation": place, "rotation": rotation, "residue": residue}
    moved = still | {"translation": place @ turn.T + 2, "rotation": turn @ rotation}
    assert functions(still).shape == (2, len(FUNCTIONS))
    assert_close(functions(moved), functions(still))


@pytest.mark.parametrize("factor", ["rotation", "residue"])
def test_functions_are_linear_where_something_jumps(factor, rng):
    """Else where a jump leads on average would not be enough."""
    x = {
        "translation": torch.randn(1, 7, 3, generator=rng, dtype=torch.float64),
        "rotation": torch.randn(1, 7, 3, 3, generator=rng, dtype=torch.float64),
        "residue": torch.rand(1, 7, MASK + 1, generator=rng, dtype=torch.float64),
    }
    for e in range(7):
        step = torch.zeros_like(x[factor])
        step[:, e] = torch.randn(step[:, e].shape, generator=rng, dtype=torch.float64)
        at = [functions(x | {factor: x[factor] + a * step}) for a in (0.0, 1.0, 2.0)]
        assert_close(at[2] - at[1], at[1] - at[0])


@pytest.fixture
def flags(tmp_path):
    made = [folds.mixed(48, seed=i) for i in range(4)]
    chains = [replace(chain, residues=chain.residues % MASK) for chain in made]
    data = structures.folder_of_chains(tmp_path / "data", chains)
    return "--data.path", data, "--data.cache", tmp_path / "cache", "--device", "cpu"


def test_the_command_prints_both_sides_and_takes_weights(tmp_path, flags):
    folder = tiny_proteins.save(tmp_path / "model")
    asked = (
        "--data.test-fraction",
        0.9,
        "-n",
        16,
        "--times",
        0.5,
        "--seed",
        0,
        "--json",
        "--details",
    )
    code, out, said = feller("verify", folder, *flags, *asked)
    assert out, said
    (row,) = json.loads(out)
    assert code == 1  # its weights are random
    assert row["method"] == "mean motion"
    assert len(row["residuals"]) == len(FUNCTIONS)
    (jumped,) = json.loads(feller("verify", folder, *flags, *asked, "--jump", 1).out)
    of = {r["function"]: r["action"] for r in row["residuals"]}
    other = {r["function"]: r["action"] for r in jumped["residuals"]}
    assert other["turn, 1 on"] != of["turn, 1 on"]
    assert other["gyration^2"] == of["gyration^2"]


def test_one_line_says_what_is_wrong(tmp_path):
    folder = tiny_proteins.save(tmp_path / "model")
    assert "give --data.path" in complaint("verify", folder)
