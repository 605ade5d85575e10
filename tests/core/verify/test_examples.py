"""Examples: every entry of the table has one, and a domain brings those of its own paths."""

import pytest
import torch

from feller.core.domains import Domain
from feller.core.generators import Flow
from feller.core.paths import BridgePath, ConditionalPath, GaussianPath
from feller.core.solutions import solution, solved
from feller.core.verify import Example, Examples, verify_case
from feller.core.verify import examples as known
from feller.core.verify.examples import EXAMPLES
from feller.core.verify.rows import Term, combined


def test_every_entry_has_an_example():
    for way in (False, True):
        entries = [
            (p, k) for p, k in solved(backward=way) if p.__module__.startswith("feller.core.")
        ]
        assert entries
        for path_class, kind in entries:  # a domain has its own examples
            kinds = [k for example in EXAMPLES[path_class]() for k in example.kinds]
            assert kind.__name__.lower() in kinds


def test_every_path_has_an_example():
    ours = {c for c in ConditionalPath.__subclasses__() if c.__module__.startswith("feller.core.")}
    assert ours == EXAMPLES.keys()


CORE = GaussianPath()


class Toy(ConditionalPath):
    """A path of a domain: that of the core under another name."""

    space, source, schedule = CORE.space, CORE.source, CORE.schedule

    def sample(self, z, t, rng=None, *, x_0=None):
        return CORE.sample(z, t, rng, x_0=x_0)

    def log_density(self, x, t, z):
        return CORE.log_density(x, t, z)


def still(path, x, t, z):
    """A flow that stands still leaves every path alone."""
    return Flow(torch.zeros_like(x + z))


def toys():
    point = torch.tensor([[0.7]], dtype=torch.float64)
    return Examples(
        {Toy: lambda: [Example(Toy(), point, ("rest", "langevin"))]},
        {"rest": (Toy, still), "langevin": (Toy, still)},
    )


@pytest.fixture
def brought(monkeypatch):
    domain = Domain("toys", "toys", examples=f"{__name__}:toys")
    monkeypatch.setattr(known, "domains", lambda: {"toys": domain, "none": Domain("none", "none")})
    monkeypatch.setattr(known, "resolve", {f"{__name__}:toys": toys}.__getitem__)
    monkeypatch.setattr(known, "brought", known.brought.__wrapped__)


def test_a_domain_brings_examples_and_correctors(brought):
    assert len(known.every()) == 3  # ours, those of bridges, and the toys
    assert known.correctors()["rest"] == [(Toy, still)]
    assert [path_class for path_class, _ in known.correctors()["langevin"]] == [
        GaussianPath,
        BridgePath,
        Toy,
    ]
    (case,) = combined((Term("rest"),), role="stationary")
    assert isinstance(case.path, Toy)
    assert verify_case(case).passed
    rows = list(combined((Term("langevin"),), role="stationary"))
    assert {type(row.path) for row in rows} == {GaussianPath, BridgePath, Toy}
    assert Term("langevin").solve(Toy()) is still
    assert Term("langevin").solve(GaussianPath()) is not still
    assert Term("flow").solve(GaussianPath()) is solution(GaussianPath(), Flow)
