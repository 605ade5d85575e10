"""Nothing is made on the default device: with another default, all stays where the states are.

The default is `meta` here, which holds no numbers: what forgets its device fails when it meets a
state on the CPU. So this stands for an accelerator beside a CPU.
"""

import pytest
import torch

from feller.core.generators import Atoms, Diffusion, Flow, Jump
from feller.core.heads import FlowHead, JointHead, JumpHead, PosteriorHead
from feller.core.losses import Objective
from feller.core.models import GeneratorModel
from feller.core.paths import GaussianPath, GeodesicPath, MixturePath
from feller.core.posteriors import FiniteData
from feller.core.schedules import CondOT, Cosine, VariancePreserving
from feller.core.solutions import from_posterior, solution, solved
from feller.core.solvers import SOLVERS, Thinning, named_solver, simulate
from feller.core.sources import Masked, UniformSphere, UniformTokens
from feller.core.spaces import Sphere, Tokens

HERE = torch.device("cpu")
POINTS = torch.tensor([[-1.0, 0.5], [1.0, -0.5]])
TOKENS = torch.tensor([[0, 1], [2, 2]])


@pytest.fixture
def elsewhere():
    with torch.device("meta"):
        yield


@pytest.fixture
def here():
    return torch.Generator(device=HERE).manual_seed(0)


def state(path, n=4):
    if path.space.is_discrete:
        return torch.full((n, 2), path.space.size - 1, device=HERE)
    return torch.linspace(-1, 1, 2 * n, device=HERE).reshape(n, 2)


GAUSSIAN = [GaussianPath(schedule=s) for s in (CondOT(), Cosine(), VariancePreserving())]
CHAINS = [MixturePath(Tokens(4), Masked(3)), MixturePath(Tokens(3), UniformTokens(3))]


@pytest.mark.parametrize("path", GAUSSIAN + CHAINS, ids=str)
@pytest.mark.parametrize("t", [0.4, "rows", "elements"])
def test_paths_and_solutions(path, t, elsewhere, here):
    x = state(path)
    if t != 0.4:
        t = torch.full(x.shape if t == "elements" else x.shape[:1], 0.4, device=HERE)
    z = x % 3 if path.space.is_discrete else x.flip(0)
    assert path.sample(z, t, here).device == HERE
    for backward in (False, True):
        for of, kind in solved(backward=backward):
            if of is not type(path) or (kind is Diffusion and path.space.is_discrete):
                continue
            generator = solution(path, kind, backward=backward)(path, x, t, z)
            assert generator.step(path.space, x, 0.1, here).device == HERE


def test_the_sphere(elsewhere, here):
    path = GeodesicPath(Sphere(), UniformSphere())
    z = torch.nn.functional.normalize(state(GAUSSIAN[0]), dim=-1)
    x = path.sample(z, 0.3, here)
    assert solution(path, Flow)(path, x, 0.3, z).step(Sphere(), x, 0.1, here).device == HERE


@pytest.mark.parametrize("kind", [Flow, Diffusion, Jump])
def test_posteriors(kind, elsewhere, here):
    x = state(GAUSSIAN[0])
    law = Atoms(torch.zeros(*x.shape, 5, device=HERE), torch.linspace(-1, 1, 5, device=HERE))
    generator = from_posterior(GAUSSIAN[0], kind, x, 0.5, law)
    assert generator.step(GAUSSIAN[0].space, x, 0.1, here).device == HERE


HEADS = {
    "flow": FlowHead(),
    "jump": JumpHead(6),
    "posterior": PosteriorHead(6, flow=0.5, jump=0.5),
    "joint": JointHead((FlowHead(), JumpHead(6)), (0.5, 0.5)),
}


@pytest.mark.parametrize("name", HEADS)
def test_training(name, elsewhere, here):
    head = HEADS[name]

    def network(x, t, condition):
        return x if head.channels == 1 else x[..., None].expand(*x.shape, head.channels)

    model, x = GeneratorModel(network, GAUSSIAN[0], head), state(GAUSSIAN[0])
    t = torch.full((4,), 0.4, device=HERE)
    assert Objective()(model, GAUSSIAN[0], x.flip(0), t, x).device == HERE


@pytest.mark.parametrize("name", SOLVERS)
def test_solvers(name, elsewhere, here):
    solver = Thinning(margin=9.0) if name == "thinning" else named_solver(name)
    # Thinning calls the model at each candidate, and more candidates come near the data.
    grid = [0.1, 0.2] if name == "thinning" else [0.1, 0.5, 0.9]
    for path, kind in [(GAUSSIAN[0], Flow), (GAUSSIAN[0], Diffusion), (GAUSSIAN[0], Jump)] + [
        (chain, Jump) for chain in CHAINS
    ]:
        points = (TOKENS if path.space.is_discrete else POINTS).to(HERE)
        model = FiniteData(path, kind, points)
        try:
            found = simulate(model, state(path), grid, solver, here).state
        except ValueError as error:
            if not any(word in str(error) for word in ("takes", "needs", "lower")):
                raise
            continue
        assert found.device == HERE
