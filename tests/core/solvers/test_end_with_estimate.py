import pytest
import torch
from torch.testing import assert_close

from feller.core import random
from feller.core.discrete.solvers import ByFactor, Leap
from feller.core.generators import Flow, Jump
from feller.core.heads import FlowHead, PosteriorHead, ProductHead
from feller.core.models import GeneratorModel
from feller.core.paths import GaussianPath, MixturePath, ProductPath
from feller.core.posteriors import FiniteData, FiniteProductData
from feller.core.solvers import (
    DDIM,
    HEUN,
    EndWithEstimate,
    Euler,
    Evaluation,
    PredictorCorrector,
    RungeKutta,
    follow,
    simulate,
)
from feller.core.sources import Masked
from feller.core.spaces import Tokens

MASK = 3


def network(x, t, condition):
    """Places tend to 2; of tokens the first is said."""
    logits = torch.tensor([0.0, -torch.inf, -torch.inf]).expand(*x["token"].shape, 3)
    return {"place": torch.full_like(x["place"], 2.0), "token": logits}


@pytest.fixture
def product():
    path = ProductPath({"place": GaussianPath(), "token": MixturePath(Tokens(4), Masked(MASK))})
    head = ProductHead({"place": FlowHead("x_1"), "token": PosteriorHead(3)})
    return GeneratorModel(network, path, head)


def states(b=2):
    return {"place": torch.zeros(b, 3), "token": torch.full((b, 3), MASK)}


def test_the_last_step_goes_where_the_data_are(product):
    found = simulate(
        product, states(), [0.0, 0.5, 1.0], EndWithEstimate(Euler()), random.rows(0, 0, 2)
    )
    assert (found.state["place"] == 2).all() and not found.state["token"].any()
    assert found.nfe == 2


def test_the_steps_before_are_the_solvers():
    seen = []
    flow = GeneratorModel(lambda x, t, condition: seen.append(x) or -x, GaussianPath())
    grid, x = [0.0, 0.3, 0.6, 1.0], torch.ones(2, 3)
    plain = simulate(flow, x, grid[:-1], RungeKutta(HEUN))
    found = simulate(flow, x, grid, EndWithEstimate(RungeKutta(HEUN)))
    assert_close(seen[-1], plain.state)
    assert_close(found.state, plain.state * (1 - 0.4))
    assert found.nfe == plain.nfe + 1


def test_what_stands_still_stays_and_tokens_that_are_data_do(product):
    x = states()
    x["token"][:, 1], x["place"][:, 2] = 2, 7.0
    known = torch.tensor([False, False, True])
    clock = torch.where(known, 1.0, torch.tensor([0.0, 0.5, 1.0])[:, None, None]).expand(3, 2, 3)
    found = simulate(
        product, x, {"place": clock, "token": torch.tensor([0.0, 0.0, 0.0])},
        EndWithEstimate(Euler()), random.rows(0, 0, 2),
    ).state  # fmt: skip
    assert found["place"].tolist() == [[2.0, 2.0, 7.0]] * 2
    assert found["token"].equal(x["token"])
    found = simulate(product, x, [0.5, 1.0], EndWithEstimate(Euler()), random.rows(0, 0, 2)).state
    assert found["token"].tolist() == [[0, 2, 0]] * 2


def test_what_a_solver_keeps_more_of_a_state_is_shown_at_each_step(product):
    solver = EndWithEstimate(ByFactor({"place": Euler(), "token": Leap()}))
    evaluation, grid = Evaluation(product), [0.0, 0.4, 0.8, 1.0]
    *before, last = follow(evaluation, states(), grid, solver, random.rows(0, 0, 2))
    assert all(step["token"].shape == (2, 3) for step in before) and evaluation.nfe == 3
    assert (last["place"] == 2).all() and not last["token"].any()


def test_factors_ask_for_the_end_together(product):
    end = EndWithEstimate(Euler())
    simulation = simulate(
        product, states(), [0.0, 0.5, 1.0], ByFactor({"place": end, "token": end}),
        random.rows(0, 0, 2),
    )  # fmt: skip
    assert (simulation.state["place"] == 2).all() and not simulation.state["token"].any()
    assert simulation.nfe == 3


def test_factors_have_their_own_copies_of_solvers(product):
    """Nothing that the solver within learns comes back."""
    inner = DDIM()
    solver = ByFactor({"place": EndWithEstimate(inner), "token": Leap()})
    begun = solver.fork()
    begun.begin(Evaluation(product), states(), [0.0, 0.5, 1.0], random.rows(0, 0, 2))
    assert begun._own["place"][0].solver is not inner


def test_a_simulation_leaves_the_solver_as_it_was(product):
    solver = EndWithEstimate(PredictorCorrector(Euler(), product))
    for _ in range(2):
        assert simulate(product, states(), [0.0, 0.5, 1.0], solver, random.rows(0, 0, 2)).nfe == 3
    assert solver == EndWithEstimate(PredictorCorrector(Euler(), product))


def test_what_cannot_end_so_is_refused(product):
    with pytest.raises(ValueError, match="goes to t = 1"):
        simulate(product, states(), [0.0, 0.5, 0.9], EndWithEstimate(Euler()))
    model = FiniteData(GaussianPath(), Flow, torch.ones(1, 1))
    by_factor = ByFactor({"place": EndWithEstimate(Euler()), "token": Leap()})
    data = {"place": torch.ones(1, 3), "token": torch.ones(1, 3, dtype=torch.int64)}
    exact = FiniteProductData(product.path, {"place": Flow, "token": Jump}, data)
    with pytest.raises(LookupError, match="does not say where the data are"):
        simulate(exact, states(), [0.0, 0.5, 1.0], by_factor)
    with pytest.raises(LookupError, match="FiniteData does not say where the data are"):
        simulate(model, torch.zeros(1, 1), [0.0, 0.5, 1.0], EndWithEstimate(Euler()))
    with pytest.raises(ValueError, match="needs a grid of times"):
        EndWithEstimate(Euler()).begin(Evaluation(product), states(), None, None)
    with pytest.raises(ValueError, match="EndWithEstimate takes"):
        simulate(product, states(), [0.0, 1.0], EndWithEstimate(RungeKutta(HEUN)))
