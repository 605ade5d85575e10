"""Solutions of the table pass their check; a wrong one is caught, with the numbers."""

import pytest
import torch

from feller.core.generators import Flow
from feller.core.paths import GaussianPath, MixturePath
from feller.core.solutions import solution, solved
from feller.core.testing import check_solution
from feller.core.verify import Plan
from feller.core.verify.examples import CORRECTORS, EXAMPLES

PLAN = Plan(times=(0.4,), samples=1000)
POINTS = torch.tensor([[0.7], [-1.1]], dtype=torch.float64)


@pytest.mark.parametrize("role", ["forward", "backward"])
def test_ours_pass(role):
    for path_class, kind in solved(backward=role == "backward"):
        if not path_class.__module__.startswith("feller.core."):
            continue  # a domain enters its own when it is imported, and tests them
        for example in EXAMPLES[path_class]():
            if kind.__name__.lower() in example.kinds:
                check_solution(example.path, kind, example.points[:1], role=role, plan=PLAN)


def test_correctors_pass():
    for name, (path_class, solve) in CORRECTORS.items():
        examples = [e for e in EXAMPLES[path_class]() if name in e.kinds]
        assert examples
        for example in examples:
            check_solution(example.path, solve, example.points[:1], role="stationary", plan=PLAN)


def fast(path, x, t, z):
    return Flow(1.01 * solution(path, Flow)(path, x, t, z).velocity)


def test_a_wrong_one_is_told():
    complaint = (
        r"^fast does not solve GaussianPath: at t = 0\.4 E L f is \S+ where \S+ is due, for "
        r"(sin|cos|tanh) \d \(allowed 1e-05\)$"
    )
    with pytest.raises(AssertionError, match=complaint):
        check_solution(GaussianPath(), fast, POINTS, plan=PLAN)


def test_every_point_is_looked_at():
    def right_on_the_right(path, x, t, z):
        return fast(path, x, t, z) if bool((z < 0).any()) else solution(path, Flow)(path, x, t, z)

    check_solution(GaussianPath(), right_on_the_right, POINTS[:1], plan=PLAN)
    with pytest.raises(AssertionError, match="right_on_the_right does not solve"):
        check_solution(GaussianPath(), right_on_the_right, POINTS, plan=PLAN)


def test_a_forward_one_is_no_backward_one():
    with pytest.raises(AssertionError, match="gaussian_flow does not solve"):
        check_solution(GaussianPath(), solution(GaussianPath(), Flow), POINTS, role="backward")


def test_what_the_table_lacks_is_told():
    path = MixturePath(
        EXAMPLES[MixturePath]()[0].path.space, EXAMPLES[MixturePath]()[0].path.source
    )
    with pytest.raises(LookupError, match="MixturePath x Flow"):
        check_solution(path, Flow, torch.tensor([[0, 1]]))
