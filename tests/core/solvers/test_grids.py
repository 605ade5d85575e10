"""Which grid suits a model: the same work in each step."""

import torch
from oracles import MASKED, MODELS, on_numbers, on_tokens, source
from torch.testing import assert_close

from feller.core.generators import Jump
from feller.core.grids import logarithmic_grid, uniform_grid
from feller.core.solvers import Euler, follow, grid_for
from feller.core.solvers.base import Evaluation


def test_the_grid_of_each_kind():
    assert_close(grid_for(MODELS["flow"], 8), uniform_grid(8))
    assert_close(grid_for(on_tokens(MASKED), 8), uniform_grid(8))
    assert_close(grid_for(MODELS["product"], 8), uniform_grid(8))
    for kind in ("diffusion", "jump", "flow+jump", "all"):
        assert_close(grid_for(MODELS[kind], 8), logarithmic_grid(8))


def test_a_jump_has_the_same_chance_in_each_step(rng):
    """Of the conditional process; the chance is that of leaving, to within sampling noise."""
    from feller.core.posteriors import FiniteData

    model = FiniteData(on_numbers(Jump).path, Jump, torch.zeros(1, 1))
    x, shares = source(model, 50_000, rng), []
    for later in follow(Evaluation(model), x, grid_for(model, 40), Euler(), rng):
        shares.append(float((later != x).double().mean()))
        x = later
    middle = torch.tensor(shares[4:])
    assert float(middle.std() / middle.mean()) < 0.05
    uniform = [float((b - a) / (1 - a)) for a, b in uniform_grid(40)[:-1].unfold(0, 2, 1)]
    assert max(uniform) > 10 * min(uniform)
