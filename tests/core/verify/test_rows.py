"""Rows: the whole table of solutions passes; wrong entries and sums are caught."""

from dataclasses import replace

import pytest
import torch

from feller.core.paths import GaussianPath, GeodesicPath
from feller.core.sources import Gaussian
from feller.core.spaces import Euclidean
from feller.core.verify import Plan, cases, verify_case
from feller.core.verify.rows import Case, Term, combined


def ours(case):
    """Whether an example is the core's: a domain that is installed tries its own."""
    here = (type(case.path), type(case.path.space))
    return all(c.__module__.startswith("feller.core.") for c in here)


CASES = list(filter(ours, cases()))


def name(case):
    return " ".join([*case.labels().values(), case.role])


every_case = pytest.mark.parametrize("case", CASES, ids=name)


def test_no_case_comes_twice():
    assert len({name(case) for case in CASES}) == len(CASES)


@every_case
def test_an_entry_passes(case):
    found = verify_case(case, Plan(times=(0.2, 0.7), samples=1000))
    assert found.passed, found.worst
    assert found.role == case.role


EXACT = [case for case in CASES if case.role == "forward" and case.points[0].numel() == 1]


@pytest.mark.parametrize("case", EXACT, ids=name)
def test_an_entry_off_by_one_percent_fails(case):
    (term,) = case.terms
    wrong = replace(case, terms=(replace(term, weight=1.01),))
    found = verify_case(wrong, Plan(times=(0.5,)))
    assert not found.passed
    assert found.note == "forward weights less backward weights sum to 1, these to 1.01"
    unit = max(abs(r.change) for r in found.residuals)
    assert max(r.size for r in found.residuals) == pytest.approx(0.01 * unit, abs=1e-5)


def test_a_sum_is_made_on_every_example_that_has_all_its_kinds():
    made = list(combined((Term("flow", 0.25), Term("jump", 0.75)), GaussianPath))
    assert not list(combined((Term("flow"), Term("jump")), GeodesicPath))
    assert made[0].labels()["generator"] == "0.25 flow + 0.75 jump"
    assert verify_case(made[1], Plan(times=(0.3,))).passed


def test_a_corrector_adds_at_any_weight_and_a_backward_part_takes_back():
    for terms in (
        (Term("flow"), Term("langevin", 3.0)),
        (Term("jump", 1.5), Term("jump", 0.5, backward=True)),
    ):
        for case in list(combined(terms, GaussianPath))[:2]:
            found = verify_case(case, Plan(times=(0.3,)))
            assert found.passed
            assert found.note == ""


def test_labels_say_what_it_is():
    case = Case(GaussianPath(), torch.zeros(2, 3), (Term("jump", backward=True),), "backward")
    assert case.labels() == {
        "path": "gaussian",
        "space": "euclidean 3",
        "schedule": "CondOT",
        "generator": "backward jump",
        "data": "2 points",
    }


def test_what_a_path_has_no_corrector_of_is_told():
    with pytest.raises(LookupError, match="no langevin of a GeodesicPath is known"):
        Term("langevin").solve(GeodesicPath(Euclidean(), Gaussian()))
