"""Every solver passes its check; what is none is caught."""

import pytest
import torch

from feller.core.generators import Flow, Jump
from feller.core.solvers import (
    HEUN,
    SOLVERS,
    Euler,
    RungeKutta,
    Solver,
    Thinning,
    named_solver,
)
from feller.core.testing import check_solver

STEPS = {
    "midpoint": 40,
    "heun": 40,
    "rk4": 20,
    "dopri5": 10,
    "events": 1,
    "adaptive": 20,
    "thinning": 20,
}
# Thinning calls the model at each candidate, and the jumps here grow within a long step.
SAMPLES = {"thinning": 60}


@pytest.mark.gate
@pytest.mark.parametrize("name", SOLVERS)
def test_ours_pass(name):
    solver = Thinning(margin=2.0) if name == "thinning" else named_solver(name)
    check_solver(solver, steps=STEPS.get(name, 100), samples=SAMPLES.get(name, 3000))


def test_jumps_pass():
    check_solver(Euler(), kind=Jump, steps=80, samples=1000)


class Wrong(Solver):
    """Euler's method with one thing that is wrong."""

    takes = frozenset({Flow})

    def __init__(self, wrong):
        self.wrong, self.seen = wrong, []

    def step(self, model, x, t, s, rng):
        self.seen.append(1)
        if self.wrong == "asks nothing":
            return x
        h = s - t
        if isinstance(h, torch.Tensor):
            h = h[:, None]
        velocity = model(x, t).velocity
        if self.wrong == "law":
            velocity = 1.1 * velocity
        if self.wrong == "memory":
            velocity = velocity * (1 + 0.01 * (len(self.seen) > 153))
        if self.wrong == "rows":
            velocity = velocity + 1e-3 * x.mean()
        moved = x + h * velocity
        if self.wrong != "known" and isinstance(h, torch.Tensor):
            moved = torch.where(h == 0, x, moved)
        if self.wrong == "still" and isinstance(h, torch.Tensor):
            moved = torch.where((h == 0) & (s[:, None] < 1), x + 0.1, moved)
        return moved


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        (
            "law",
            r"Wrong does not return the distribution of two points .* \(0.3, 0.7\) at t = 0.9",
        ),
        ("asks nothing", "Wrong does not return the distribution|Wrong asks the model 0 times"),
        ("memory", "Wrong does not forget an earlier simulation"),
        ("rows", "Wrong does not return the distribution|a row of Wrong with its own rng depends"),
        ("known", "Wrong moves a state whose clock is at t = 1"),
        ("still", "Wrong moves a state whose clock stands still"),
    ],
)
def test_what_is_wrong_is_told(wrong, complaint):
    with pytest.raises(AssertionError, match=complaint):
        check_solver(Wrong(wrong), samples=3000)


def test_the_right_one_of_these_passes():
    check_solver(Wrong("nothing"), samples=3000)


def test_too_few_steps_are_told():
    with pytest.raises(AssertionError, match="RungeKutta does not return the distribution"):
        check_solver(RungeKutta(HEUN), steps=2, samples=10_000)


def test_a_solver_of_nothing_is_told():
    class Nothing(Wrong):
        """It takes no kind."""

        takes = frozenset()

    with pytest.raises(AssertionError, match="Nothing takes neither flows, diffusions nor jumps"):
        check_solver(Nothing("nothing"))


@pytest.mark.slow
def test_jumps_that_are_too_fast_are_told():
    class Quick(Solver):
        takes = frozenset({Jump})

        def step(self, model, x, t, s, rng):
            return model(x, t).scaled(1.1).step(model.space, x, s - t, rng)

    with pytest.raises(
        AssertionError, match=r"Quick does not return the distribution .* at t = 0.5"
    ):
        check_solver(Quick())
    check_solver(Euler(), kind=Jump)
