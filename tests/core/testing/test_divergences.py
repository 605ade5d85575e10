"""Every divergence passes its check; what is none is caught."""

import pytest

from feller.core.divergences import BregmanDivergence
from feller.core.divergences.base import REALS
from feller.core.testing import check_divergence

OURS = [c for c in BregmanDivergence.__subclasses__() if c.__module__.startswith("feller.core.")]


@pytest.mark.parametrize("kind", OURS)
def test_ours_pass(kind):
    check_divergence(kind())


class Wrong(BregmanDivergence):
    """The squared norm with one thing that is wrong."""

    domain = REALS

    def __init__(self, wrong):
        self.wrong = wrong

    def potential(self, a):
        return a**2

    def value(self, target, predicted):
        d = target - predicted
        return {
            "scale": 1.001 * d**2,
            "offset": d**2 + 1e-10,
            "absolute": d.abs(),
            "quartic": d**2 + 1e-8 * d**4,
        }.get(self.wrong, d**2)


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        ("scale", "Wrong, beside that of its potential, is off by"),
        ("absolute", "Wrong, beside that of its potential, is off by"),
        ("offset", "Wrong of a number and itself is off by 1e-10"),
        ("quartic", "Wrong, beside that of its potential, is off by|gradient of the conditional"),
    ],
)
def test_what_is_wrong_is_told(wrong, complaint):
    with pytest.raises(AssertionError, match=complaint):
        check_divergence(Wrong(wrong))


def test_the_right_one_of_these_passes():
    check_divergence(Wrong("nothing"))


def test_a_loss_that_is_not_affine_in_the_target_has_another_gradient(monkeypatch):
    """The absolute difference, whose own word for its potential is taken."""
    from feller.core.testing import divergences

    monkeypatch.setattr(
        divergences, "bregman", lambda f, target, predicted: (target - predicted).abs()
    )
    with pytest.raises(AssertionError, match="the gradient of the conditional loss of Wrong"):
        check_divergence(Wrong("absolute"))
