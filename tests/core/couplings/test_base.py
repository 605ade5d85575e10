"""Couplings: a permutation, for optimal transport the best one, and what holds under it.

The exact transport of N(0, 1) to N(2, 0.3^2) is x_1 = 2 + 0.3 x_0, and its flow is known.
"""

import inspect
import itertools
from dataclasses import dataclass

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from feller.core.algebra import stationary
from feller.core.config import decode, encode
from feller.core.couplings import (
    AlignedPoints,
    ConditionalOT,
    Coupling,
    EntropicOT,
    GivenPairs,
    IndependentCoupling,
    MinibatchOT,
    ProductCoupling,
    UnbalancedOT,
    check_independent,
    check_score,
    couple,
    coupling_of,
    set_coupling,
)
from feller.core.generators import Diffusion, Flow, Jump
from feller.core.guidance import Guided
from feller.core.heads import (
    DriftHead,
    FlowHead,
    Head,
    JointHead,
    JumpHead,
    PosteriorHead,
    ScoreHead,
)
from feller.core.likelihood import evidence_bound, log_likelihood
from feller.core.models import GeneratorModel, Model
from feller.core.noise import Langevin, Noised
from feller.core.pairs import Pair
from feller.core.paths import BridgePath, GaussianPath, MixturePath
from feller.core.posteriors import FiniteData, NormalMixture
from feller.core.reweighted import Reweighted
from feller.core.solvers import (
    DDIM,
    DPMSolverPP2M,
    Euler,
    PredictorCorrector,
    RungeKutta,
    Solver,
    StochasticHeun,
    simulate,
)
from feller.core.sources import UniformBox, UniformTokens
from feller.core.spaces import Tokens
from feller.core.times import expand_time
from feller.core.verify import Reference, verify

COUPLINGS = [IndependentCoupling(), MinibatchOT(), ConditionalOT(), GivenPairs("a model")]
DRAWN = [EntropicOT(0.5), UnbalancedOT(0.5, 5.0), ConditionalOT(EntropicOT(0.5), 3.0)]
GRID = [0.999 * i / 50 for i in range(51)]
D = torch.float64


def cost(x_0, x_1):
    return (x_0 - x_1).square().sum()


def ot(x_0, x_1):
    return MinibatchOT()(x_0, x_1).pair.x_0


def batches(rng, b=5, event=(2, 3)):
    return torch.randn(2, b, *event, generator=rng, dtype=torch.float64)


def transport(x, t):
    """The velocity of x_t = (1 - t) x_0 + t (2 + 0.3 x_0)."""
    t = expand_time(t, x)
    return 2 - 0.7 * (x - 2 * t) / (1 - 0.7 * t)


@dataclass(frozen=True)
class Transported(Model):
    """The exact flow of optimal transport, which says what it is, or does not."""

    coupling: Coupling
    path = GaussianPath()
    space = path.space
    kinds = frozenset({Flow})

    def __call__(self, x, t, condition=None):
        return Flow(transport(x, t))


@dataclass(frozen=True)
class Fast(Transported):
    """Two percent too fast."""

    def __call__(self, x, t, condition=None):
        return Flow(1.02 * transport(x, t))


SAYS, DOES_NOT = Transported(MinibatchOT()), Transported(IndependentCoupling())


class BoxPath(GaussianPath):
    """A path from a source that is not Gaussian: its flow is right, its score is not known."""

    source = UniformBox()


def std(model, solver, rng):
    x_0 = torch.randn(4000, 1, generator=rng, dtype=D)
    return float(simulate(model, x_0, GRID, solver, rng).state.std())


def test_every_coupling_is_tested():
    ours = {c for c in Coupling.__subclasses__() if c.__module__.startswith("feller.core.")}
    apart = {AlignedPoints, ProductCoupling}  # in test_factors.py
    assert ours == {type(coupling) for coupling in COUPLINGS + DRAWN} | apart


@pytest.mark.parametrize("coupling", COUPLINGS + DRAWN, ids=str)
def test_a_coupling_survives_json(coupling):
    assert decode(encode(coupling)) == coupling


@pytest.mark.parametrize("coupling", COUPLINGS, ids=str)
@pytest.mark.parametrize("b", [1, 5, 64])
def test_a_coupling_uses_every_row_once_and_costs_no_more(coupling, b, rng):
    x_0, x_1 = batches(rng, b)
    paired = coupling(x_0, x_1).pair.x_0
    assert sorted(paired[:, 0, 0].tolist()) == sorted(x_0[:, 0, 0].tolist())
    assert cost(paired, x_1) <= cost(x_0, x_1)


def test_pairs_as_drawn(rng):
    x_0, x_1 = batches(rng)
    for coupling in (IndependentCoupling(), GivenPairs()):
        pair = coupling(x_0, x_1).pair
        assert pair.x_0 is x_0
        assert pair.x_1 is x_1


@pytest.mark.parametrize("shift", [0.0, 100.0])
def test_optimal_transport_is_the_best_permutation(shift, rng):
    for _ in range(10):
        x_0, x_1 = batches(rng)
        x_1 = x_1 + shift
        best = min(
            itertools.permutations(range(5)), key=lambda order: cost(x_0[list(order)], x_1).item()
        )
        assert_close(ot(x_0, x_1), x_0[list(best)], rtol=0, atol=0)


def test_optimal_transport_sorts_the_line(rng):
    x_0, x_1 = batches(rng, 200, (1,))
    order = x_1.flatten().argsort()
    assert_close(ot(x_0, x_1)[order], x_0.sort(0).values)


def test_optimal_transport_pairs_half_precision(rng):
    x_0, x_1 = batches(rng, 20, (1,)).bfloat16()
    assert_close(ot(x_0, x_1)[x_1.flatten().argsort()], x_0.sort(0).values)


@pytest.mark.parametrize(
    ("x_0", "x_1", "reason"),
    [
        (torch.zeros(3, 1), torch.zeros(2, 1), r"one shape, not of \(3, 1\) and \(2, 1\)"),
        (torch.zeros(2, 1), torch.zeros(3, 1), r"one shape, not of \(2, 1\) and \(3, 1\)"),
        (torch.zeros(2, 3, 1), torch.zeros(2, 1, 3), "two batches of one shape"),
        (torch.zeros(2, 1).long(), torch.zeros(2, 1).long(), r"by their distance, not torch.int64"),
        (torch.tensor([[torch.nan]]), torch.zeros(1, 1), "pairs finite numbers"),
    ],
)
def test_what_cannot_be_paired_is_refused(x_0, x_1, reason):
    """Without the check of types that tests have and users do not."""
    with pytest.raises(ValueError, match=reason) as caught:
        inspect.unwrap(MinibatchOT.rows)(MinibatchOT(), x_0, x_1, None, None)
    assert "\n" not in str(caught.value)


# Taken without a word as a flow of independent pairs, noise ends far from the true deviation of
# 0.3: the velocity does not tell its score.
NOISY = {
    "ddpm": (DDIM(churn=1.0), lambda model: model),
    "churn": (DDIM(churn=0.3), lambda model: model),
    "predictor_corrector": (PredictorCorrector(), lambda model: model),
    "noised": (Euler(), Noised),
    "stationary": (Euler(), lambda model: 1.0 * model + 1.0 * stationary(Langevin(model))),
}


@pytest.mark.parametrize(("solver", "change"), NOISY.values(), ids=NOISY.keys())
def test_noise_on_coupled_pairs_is_refused_and_would_be_wrong(solver, change, rng):
    assert std(change(DOES_NOT), solver, rng) < 0.288
    with pytest.raises(ValueError, match=r"independent pairs of .* with MinibatchOT$") as caught:
        std(change(SAYS), solver, rng)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "solver",
    [Euler(), RungeKutta(), DDIM(), DPMSolverPP2M(), StochasticHeun()],
    ids=lambda solver: type(solver).__name__,
)
def test_the_flow_of_coupled_pairs_is_right(solver, rng):
    x_0 = torch.randn(50, 1, generator=rng, dtype=D)
    x_1 = simulate(SAYS, x_0, [i / 50 for i in range(51)], solver, rng).state
    assert_close(x_1, 2 + 0.3 * x_0, rtol=0, atol=2e-3 if isinstance(solver, Euler) else 1e-3)


def test_the_likelihood_of_coupled_pairs_is_right():
    x_1 = torch.linspace(1.4, 2.6, 5, dtype=D)[:, None]
    truth = torch.distributions.Normal(2.0, torch.tensor(0.3, dtype=D)).log_prob(x_1)[:, 0]
    assert_close(log_likelihood(SAYS, x_1, times=(0.0, 1.0)).nats, truth, rtol=0, atol=1e-4)


def test_the_bound_of_coupled_pairs_is_refused_and_would_be_none(rng):
    z = torch.full((10_000, 1), 2.0, dtype=D)
    density = torch.distributions.Normal(2.0, 0.3).log_prob(torch.tensor(2.0))
    assert evidence_bound(DOES_NOT, z, rng=rng).nats.mean() > density + 0.2  # above what it bounds
    with pytest.raises(ValueError, match="evidence_bound of a flow holds for independent pairs"):
        evidence_bound(SAYS, z, rng=rng)


def test_verify_refuses_coupled_pairs():
    points = torch.randn(20, 1, dtype=D)
    with pytest.raises(ValueError, match="verify without pairs holds for independent pairs"):
        verify(SAYS, Reference(points))


def test_verify_takes_the_pairs_themselves(rng):
    """The flow of transport is right for its pairs, and one two percent too fast is not."""
    x_0 = torch.randn(20_000, 1, generator=rng, dtype=D)
    reference = Reference(Pair(x_0, 2 + 0.3 * x_0))
    assert verify(SAYS, reference).passed
    assert not verify(Fast(MinibatchOT()), reference).passed


def test_wrappers_pass_the_coupling_on():
    for model in (Guided(SAYS), 1.0 * SAYS, Reweighted(1.0 * SAYS, (1.0,)), 1.0 * Guided(SAYS)):
        assert coupling_of(model) == MinibatchOT()
        with pytest.raises(ValueError, match="independent pairs"):
            check_score(model, "noise")
    assert coupling_of(1.0 * DOES_NOT) == IndependentCoupling()


def test_a_superposition_has_one_coupling():
    flow = FiniteData(GaussianPath(), Flow, torch.zeros(1, 1))
    with pytest.raises(ValueError, match=r"share their coupling: Indep.*\(\), MinibatchOT\(\)"):
        assert 0.5 * flow + 0.5 * SAYS


def test_a_score_from_another_source_is_refused():
    model = GeneratorModel(nn.Identity(), BoxPath())
    with pytest.raises(ValueError, match=r"noise is of a Gaussian source, not of UniformBox"):
        check_score(model, "noise")
    with pytest.raises(ValueError, match="Gaussian source"):
        Noised(model)
    with pytest.raises(ValueError, match="evidence_bound is of a Gaussian source"):
        evidence_bound(model, torch.zeros(1, 1))
    one = torch.ones(1)
    for make in (
        lambda: FiniteData(BoxPath(), Flow, one[:, None])(one[:, None], 0.5),
        lambda: FiniteData(BoxPath(), Diffusion, one[:, None])(one[:, None], 0.5),
        lambda: NormalMixture(BoxPath(), one[:, None], one, one),
    ):
        with pytest.raises(ValueError, match="is of a Gaussian source, not of UniformBox"):
            make()


@pytest.mark.parametrize(
    "head", [FlowHead(), FlowHead("x_1"), PosteriorHead(3, flow=1.0, jump=0.0)]
)
def test_a_model_says_its_coupling(head):
    model = GeneratorModel(nn.Identity(), GaussianPath(), head)
    set_coupling(model, IndependentCoupling())
    assert coupling_of(model) == IndependentCoupling()
    outer = nn.Sequential(model)
    set_coupling(outer, MinibatchOT())
    assert coupling_of(outer) == coupling_of(model) == MinibatchOT()
    assert coupling_of(model.network) == IndependentCoupling()
    with pytest.raises(ValueError, match=r"^it holds for independent pairs"):
        check_independent(model, "it")
    assert coupling_of(GeneratorModel(nn.Identity(), GaussianPath(), head, MinibatchOT())) == (
        MinibatchOT()
    )


@pytest.mark.parametrize(
    ("path", "head", "named"),
    [
        (GaussianPath(), JumpHead(4), "MinibatchOT trains the Flow of a GaussianPath.* Jump is of"),
        (
            GaussianPath(),
            PosteriorHead(4, flow=0.5, jump=0.5),
            "the model's Jump is of independent",
        ),
        (GaussianPath(), PosteriorHead(4, diffusion=1.0, jump=0.0), "the model's Diffusion is of"),
    ],
)
def test_kinds_that_are_wrong_for_pairs_are_refused(path, head: Head, named):
    with pytest.raises(ValueError, match=named):
        GeneratorModel(nn.Identity(), path, head, MinibatchOT())


def test_jumps_of_a_mixture_path_are_right_for_pairs():
    path = MixturePath(Tokens(3), UniformTokens(3))
    model = GeneratorModel(nn.Identity(), path, PosteriorHead(3), MinibatchOT())
    assert coupling_of(model) == MinibatchOT()
    assert model.kinds == frozenset({Jump})


def test_a_bridge_is_right_for_pairs_whatever_the_kind():
    head = JointHead((FlowHead(), ScoreHead()), (1.0, 1.0))
    model = GeneratorModel(nn.Identity(), BridgePath(), head, EntropicOT())
    assert coupling_of(model) == EntropicOT()
    model = GeneratorModel(nn.Identity(), BridgePath(), DriftHead(), GivenPairs("a model"))
    assert coupling_of(model) == GivenPairs("a model")


@pytest.mark.parametrize("coupling", [MinibatchOT(), EntropicOT(), UnbalancedOT()], ids=str)
def test_a_condition_wants_a_coupling_that_heeds_it(coupling, rng):
    x_0, x_1 = batches(rng)
    with pytest.raises(ValueError, match=r"for training without conditions.*ConditionalOT"):
        coupling(x_0, x_1, rng, torch.zeros(5))
    for heeding in (IndependentCoupling(), GivenPairs(), ConditionalOT(coupling)):
        assert heeding.respects_condition
        assert len(heeding(x_0, x_1, rng, torch.zeros(5).long()).condition) == 5


def test_training_data_are_coupled(rng):
    x_0, x_1 = batches(rng, 8, (1,))
    drawn = couple(GaussianPath(), IndependentCoupling(), x_1, rng.manual_seed(1))
    assert_close(drawn.pair.x_0, GaussianPath().sample_source((8, 1), rng.manual_seed(1), like=x_1))
    pair = Pair(x_0, x_1)
    assert couple(GaussianPath(), GivenPairs(), pair).pair.x_0 is x_0
    assert couple(BridgePath(), IndependentCoupling(), pair).pair.x_0 is x_0
    assert_close(couple(BridgePath(), MinibatchOT(), pair).pair.x_0, ot(x_0, x_1))
    with pytest.raises(ValueError, match="the data are pairs, and the coupling says independent"):
        couple(GaussianPath(), IndependentCoupling(), pair)
    with pytest.raises(ValueError, match="GivenPairs is of data that are pairs; these are not"):
        couple(GaussianPath(), GivenPairs(), x_1)


def test_every_solver_says_whether_it_takes_the_score():
    assert not Solver.takes_score
    assert DDIM(churn=0.1).takes_score
    assert not DDIM().takes_score
    assert PredictorCorrector().takes_score
    assert not PredictorCorrector(corrector=DOES_NOT).takes_score
    ddpm = DDIM(churn=1.0)
    assert PredictorCorrector(ddpm, corrector=DOES_NOT).takes_score


def test_they_say_whether_a_pair_depends_on_other_rows():
    alone = (IndependentCoupling(), GivenPairs(), AlignedPoints())
    assert not any(coupling.joins_rows for coupling in alone)
    for inner in (*alone, MinibatchOT(), EntropicOT(), UnbalancedOT()):
        joins = inner not in alone
        for coupling in (inner, ConditionalOT(inner), ProductCoupling({"a": inner})):
            assert coupling.joins_rows == joins
