"""Every schedule passes its check; what is none is caught."""

from dataclasses import dataclass

import pytest
import torch

from feller.core.schedules import CondOT, Polynomial, Schedule
from feller.core.testing import check_schedule

OURS = [c for c in Schedule.__subclasses__() if c.__module__.startswith("feller.core.")]


@pytest.mark.parametrize("kind", OURS)
def test_ours_pass(kind):
    check_schedule(kind())


@pytest.mark.parametrize("power", [0.5, 3.0])
def test_powers_pass(power):
    check_schedule(Polynomial(power))


@dataclass(frozen=True)
class Turned(Schedule):
    """A schedule on which one thing is wrong."""

    wrong: str

    def alpha(self, t):
        return {"start": 0.2 + 0.8 * t, "dip": t + 0.3 * torch.sin(torch.pi * 4 * t) ** 2}.get(
            self.wrong, t
        )

    def sigma(self, t):
        return {"rise": (1 - t) * (1 + 5 * t)}.get(self.wrong, 1 - t)

    def alpha_dot(self, t):
        rate = {"slope": 1.01, "nan": torch.nan}.get(self.wrong, 1.0)
        if self.wrong == "dip":
            return super().alpha_dot(t)
        return rate * torch.ones_like(t) * (0.8 if self.wrong == "start" else 1)

    def remainder(self, t):
        return 1 - t + (0.01 if self.wrong == "remainder" else 0.0)

    def hazard(self, t):
        return (2 if self.wrong == "hazard" else 1) / (1 - t)


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        ("start", "alpha of Turned is 0.2 at t = 0, not near 0"),
        ("dip", "alpha of Turned does not rise everywhere"),
        ("rise", "sigma of Turned does not fall everywhere"),
        ("slope", "alpha_dot of Turned is off by 0.01"),
        ("nan", "alpha_dot of Turned is off by inf"),
        ("remainder", "remainder of Turned is off by 0.01"),
        ("hazard", "hazard of Turned, relative, is off by 1"),
    ],
)
def test_what_is_wrong_is_told(wrong, complaint):
    with pytest.raises(AssertionError, match=complaint):
        check_schedule(Turned(wrong))


def test_the_right_one_of_these_passes():
    check_schedule(Turned("nothing"))


class Flat(Schedule):
    """A schedule that forgets the shape of its times."""

    def alpha(self, t):
        return CondOT().alpha(t).reshape(-1)

    def sigma(self, t):
        return CondOT().sigma(t)


def test_a_lost_shape_is_told():
    with pytest.raises(AssertionError, match=r"alpha of Flat has shape \(6,\)"):
        check_schedule(Flat())
