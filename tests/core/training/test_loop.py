import os
import signal
from dataclasses import dataclass, replace
from itertools import islice
from types import SimpleNamespace

import points
import pytest
import torch
from accelerate import Accelerator
from accelerate.utils import TorchDynamoPlugin

from feller.core.config import tagged
from feller.core.couplings import (
    EntropicOT,
    GivenPairs,
    IndependentCoupling,
    MinibatchOT,
    ProductCoupling,
    coupling_of,
)
from feller.core.grids import uniform_grid
from feller.core.heads import FlowHead, JointHead, PosteriorHead, ProductHead, ScoreHead
from feller.core.models import GeneratorModel
from feller.core.pair_data import PairData
from feller.core.paths import BridgePath, BrownianNoise, GaussianPath, MixturePath, ProductPath
from feller.core.solvers import Euler, RungeKutta, simulate
from feller.core.sources import DataSource, Masked
from feller.core.spaces import Tokens
from feller.core.training import DataConfig, ModelConfig, loop
from feller.core.training.batches import ProcessRows
from feller.core.training.loop import build_run, losses_of_rows, training_steps


@pytest.fixture(scope="module")
def accelerator():
    return Accelerator(cpu=True)


def clipped(recipe, clip):
    return replace(recipe, optimizer=replace(recipe.optimizer, clip=clip))


def losses(recipe, accelerator):
    return [float(record.loss) for record in training_steps(build_run(recipe, accelerator))]


def without_dropout(recipe):
    return replace(recipe, model=points.PointModelConfig())


def test_same_seed_same_losses(accelerator):
    recipe = points.recipe(steps=5)
    assert losses(recipe, accelerator) == losses(recipe, accelerator)
    other = replace(recipe, training=replace(recipe.training, seed=1))
    assert losses(recipe, accelerator) != losses(other, accelerator)


def test_accumulation_changes_nothing(accelerator):
    whole = without_dropout(points.recipe(steps=8))
    parts = replace(whole, training=replace(whole.training, accumulate=4))
    assert losses(whole, accelerator) == pytest.approx(losses(parts, accelerator), rel=1e-5)


@pytest.mark.gate
def test_it_learns_the_corners(accelerator):
    run = build_run(without_dropout(points.recipe(steps=400, batch_size=64)), accelerator)
    first = None
    for record in training_steps(run):
        first = record.loss if first is None else first
    assert float(record.loss) < 0.6 * float(first)
    x_0 = torch.randn(200, 2, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(200) % 2
    drawn = simulate(run.ema.model, x_0, uniform_grid(20), RungeKutta(), condition=labels).state
    assert ((drawn.sum(1) > 0).long() == labels).float().mean() > 0.95


def test_rows_are_the_objective_by_hand(accelerator):
    """The loss of a step is the mean squared error of the velocity z - x_0 at its own times."""
    recipe = without_dropout(points.recipe(condition_drop=0.0, stratified=False))
    run = build_run(recipe, accelerator)
    z, labels = recipe.data.build()[list(range(24))]
    seen = {}
    inner = run.model.generator.network.forward

    def spy(x, t, condition=None):
        seen.update(x=x, t=t, condition=condition)
        return inner(x, t, condition)

    run.model.generator.network.forward = spy
    (loss,) = losses_of_rows(run, (z, labels), range(24)).values()
    t = seen["t"][:, None]
    x_0 = (seen["x"] - t * z) / (1 - t)
    assert torch.equal(seen["condition"], labels)
    assert 0 < seen["t"].min() < 0.2
    assert 0.8 < seen["t"].max() < 1
    error = (inner(seen["x"], seen["t"], labels) - (z - x_0)).detach()
    assert float(loss.detach()) == pytest.approx(float(error.square().mean()), rel=1e-4)


def test_conditions_are_dropped_at_the_asked_share(accelerator):
    recipe = without_dropout(points.recipe(condition_drop=0.25, batch_size=2000))
    run = build_run(recipe, accelerator)
    seen = []
    inner = run.model.generator.network.forward
    run.model.generator.network.forward = lambda x, t, c=None: (seen.append(c), inner(x, t, c))[1]
    losses_of_rows(run, recipe.data.build()[[i % 100 for i in range(2000)]], range(2000))
    assert float((seen[0] == 2).float().mean()) == pytest.approx(0.25, abs=0.04)


def test_coupling_is_used_without_conditions_and_refused_with_them(accelerator, monkeypatch):
    recipe = without_dropout(points.recipe(steps=1))
    coupled = replace(recipe, coupling=MinibatchOT())
    with pytest.raises(ValueError, match="training without conditions"):
        losses(coupled, accelerator)
    monkeypatch.setattr(points.PointCodec, "encode", lambda self, raw, rng=None: (raw[0], None))
    recipe = without_dropout(points.recipe(steps=1, condition_drop=0.0))
    coupled = replace(recipe, coupling=MinibatchOT())
    assert losses(coupled, accelerator) < losses(recipe, accelerator)


def test_the_global_generator_does_not_matter(accelerator):
    recipe = points.recipe(steps=3)  # with dropout
    first = losses(recipe, accelerator)
    torch.manual_seed(123)
    assert losses(recipe, accelerator) == first


@pytest.mark.parametrize("clip", [0.0, 1.0])
def test_the_gradient_is_reported_as_it_was_before_clipping(clip, accelerator):
    recipe = points.recipe(steps=1)
    run = build_run(clipped(recipe, clip), accelerator)
    seen = []
    run.optimizer.optimizer.register_step_pre_hook(
        lambda *_: seen.append(torch.cat([p.grad.flatten() for p in run.model.parameters()]).norm())
    )
    (record,) = training_steps(run)
    assert float(record.gradient_norm) > 2
    expected = min(clip, record.gradient_norm) if clip else record.gradient_norm
    assert float(seen[0]) == pytest.approx(float(expected), rel=1e-4)
    assert not record.skipped


def test_share_mismatch_is_an_error_before_data_are_read(accelerator):
    with pytest.raises(ValueError, match="does not divide"):
        ProcessRows(25, world=2)
    assert len(list(islice(training_steps(build_run(points.recipe(), accelerator)), 2))) == 2


class PairCodec(points.PointCodec):
    def encode(self, raw, rng=None):
        place, label = raw
        return {"place": place[:, :1], "token": label[:, None]}, None


class PairNetwork(torch.nn.Module):
    """A number and a token, each seen by both outputs."""

    def __init__(self):
        super().__init__()
        self.body = torch.nn.Sequential(
            torch.nn.Linear(6, 32), torch.nn.SiLU(), torch.nn.Linear(32, 3)
        )

    def forward(self, x, t, condition=None):
        token = torch.nn.functional.one_hot(x["token"][:, 0], 3).float()
        clocks = torch.stack([t["place"], t["token"]], 1)
        out = self.body(torch.cat([x["place"], token, clocks], 1))
        return {"place": out[:, :1], "token": torch.nn.functional.pad(out[:, None, 1:], (0, 1))}


@tagged("test/pair")
@dataclass(frozen=True)
class PairConfig(ModelConfig):
    def build(self):
        path = ProductPath({"place": GaussianPath(), "token": MixturePath(Tokens(3), Masked(2))})
        head = ProductHead({"place": FlowHead(), "token": PosteriorHead(3)})
        model = GeneratorModel(PairNetwork(), path, head)
        model.codec = PairCodec()
        return model


@pytest.mark.gate
def test_products_train_in_the_same_loop(accelerator):
    """Corners come out with their labels: the place tells of the token."""
    recipe = replace(points.recipe(batch_size=64, condition_drop=0.0), model=PairConfig())
    run = build_run(replace(recipe, training=replace(recipe.training, steps=600)), accelerator)
    for _ in training_steps(run):
        pass
    model, rng = run.ema.model, torch.Generator().manual_seed(0)
    like = {"place": torch.empty(0), "token": torch.empty(0, dtype=torch.int64)}
    x_0 = model.path.sample_source({"place": (400, 1), "token": (400, 1)}, rng, like=like)
    drawn = simulate(model, x_0, uniform_grid(50, end=0.98), Euler(), rng).state
    known = drawn["token"][:, 0] < 2
    assert known.float().mean() > 0.9
    assert ((drawn["place"][:, 0] > 0).long() == drawn["token"][:, 0])[known].float().mean() > 0.9


def test_a_coupling_of_tensors_pairs_a_factor_of_products(accelerator, monkeypatch):
    recipe = replace(points.recipe(condition_drop=0.0), model=PairConfig(), coupling=MinibatchOT())
    with pytest.raises(ValueError, match="use a ProductCoupling"):
        next(training_steps(build_run(recipe, accelerator)))
    seen, sample = [], ProductPath.sample
    monkeypatch.setattr(
        ProductPath, "sample", lambda *a, x_0: seen.append((a[1], x_0)) or sample(*a, x_0=x_0)
    )
    coupling = ProductCoupling({"place": MinibatchOT()})
    next(training_steps(build_run(replace(recipe, coupling=coupling), accelerator)))
    z, x_0 = (state["place"][:, 0] for state in seen[0])
    assert float(x_0[z > 0].min()) >= float(x_0[z < 0].max())  # on a line transport keeps order


@tagged("test_loop/pairs")
@dataclass(frozen=True)
class TwoSets(DataConfig):
    """Normals about 0 and the same turned round about 2: row by row, or in any order."""

    paired: bool = True

    def build(self, split="train"):
        x_0 = torch.randn(2000, 2, generator=torch.Generator().manual_seed(0))
        return PairData(x_0, 4 - x_0, paired=self.paired)


@tagged("test_loop/bridge")
@dataclass(frozen=True)
class BridgeConfig(ModelConfig):
    noisy: bool = False

    def build(self):
        noise = BrownianNoise(0.5) if self.noisy else None
        path = BridgePath(noise=noise, source=DataSource())
        head = JointHead((FlowHead(), ScoreHead()), (1.0, 1.0)) if self.noisy else FlowHead()
        model = GeneratorModel(PairMlp(head.channels), path, head)
        model.codec = points.PointCodec()
        return model


class PairMlp(torch.nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.channels = channels
        self.body = torch.nn.Sequential(
            torch.nn.Linear(3, 32), torch.nn.SiLU(), torch.nn.Linear(32, 2 * channels)
        )

    def forward(self, x, t, condition=None):
        return self.body(torch.cat([x, t[:, None]], 1)).view(-1, 2, self.channels).squeeze(-1)


def trained_on_pairs(accelerator, coupling, model, steps=300, *, paired=True):
    recipe = replace(
        points.recipe(batch_size=64, condition_drop=0.0, steps=steps),
        model=model,
        data=TwoSets(paired),
        coupling=coupling,
    )
    run = build_run(recipe, accelerator)
    return run, [float(record.loss) for record in training_steps(run)]


@pytest.mark.gate
def test_a_bridge_learns_to_translate_given_pairs(accelerator):
    """In the middle all pairs meet at 2: the mean velocity there is that of 0 to 4."""
    run, _ = trained_on_pairs(accelerator, GivenPairs("a test"), BridgeConfig())
    model = run.ema.model
    assert coupling_of(model) == GivenPairs("a test")
    x_1 = simulate(model, torch.zeros(1, 2), uniform_grid(20), RungeKutta()).state
    assert torch.allclose(x_1, torch.full((1, 2), 4.0), atol=0.6)


@pytest.mark.gate
def test_sets_that_do_not_belong_together_are_coupled_in_the_loop(accelerator):
    """Transport of unpaired sets moves by 4, without the turn of the pairs."""
    run, _ = trained_on_pairs(accelerator, MinibatchOT(), BridgeConfig(), paired=False)
    x_0 = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
    x_1 = simulate(run.ema.model, x_0, uniform_grid(20), RungeKutta()).state
    assert torch.allclose(x_1, 4 + x_0, atol=0.7)


def test_one_network_learns_velocity_and_score_in_the_loop(accelerator):
    coupling = EntropicOT(0.5)
    run, seen = trained_on_pairs(accelerator, coupling, BridgeConfig(noisy=True), 30, paired=False)
    assert coupling_of(run.ema.model) == coupling
    assert torch.tensor(seen).isfinite().all()
    rng = torch.Generator().manual_seed(0)
    x_1 = simulate(run.ema.model, torch.zeros(8, 2), uniform_grid(20), Euler(), rng).state
    assert x_1.isfinite().all()


def test_pairs_want_a_coupling_that_says_so(accelerator):
    with pytest.raises(ValueError, match="the data are pairs, and the coupling says independent"):
        trained_on_pairs(accelerator, IndependentCoupling(), points.PointModelConfig(), 1)


def test_pairs_train_a_model_of_the_gaussian_path_again(accelerator):
    _, seen = trained_on_pairs(accelerator, GivenPairs(), points.PointModelConfig())
    assert sum(seen[-10:]) < 0.5 * sum(seen[:10])


class Infinite(torch.autograd.Function):
    """Zero, with an infinite gradient."""

    @staticmethod
    def forward(ctx, x):
        return x.sum() * 0

    @staticmethod
    def backward(ctx, grad):
        return torch.full((1,), torch.inf)


def times(losses, factor):
    return {name: loss * factor for name, loss in losses.items()}


@pytest.mark.parametrize("clip", [0.0, 1.0])
@pytest.mark.parametrize("name", ["adamw", "muon"])
def test_a_step_with_an_infinite_gradient_changes_nothing_but_the_count(name, clip, monkeypatch):
    recipe = clipped(points.recipe(steps=5), clip)
    recipe = replace(recipe, optimizer=replace(recipe.optimizer, name=name))
    run = build_run(recipe, Accelerator(cpu=True))
    plain = loop.losses_of_rows

    def wild(run, batch, rows):
        bad = run.step in (2, 3)
        some = run.bare_model.generator.network.body[-1].bias[:1]
        (loss,) = plain(run, batch, rows).values()
        return {"": loss + (Infinite.apply(some) if bad else 0)}

    monkeypatch.setattr(loop, "losses_of_rows", wild)
    seen = []
    for record in training_steps(run):
        assert record.loss.isfinite()
        weights = [*run.bare_model.state_dict().values(), *run.ema.state_dict().values()]
        seen.append(
            (record.skipped, run.row, run.skipped, torch.cat([w.flatten() for w in weights]))
        )
    assert [found[:3] for found in seen] == [
        (False, 0, 0), (False, 0, 0), (True, 1, 1), (True, 2, 2), (False, 0, 2),
    ]  # fmt: skip
    assert seen[1][3].equal(seen[2][3]) and seen[2][3].equal(seen[3][3])
    assert seen[4][3].isfinite().all() and not seen[4][3].equal(seen[3][3])


@pytest.mark.parametrize(("scale", "row"), [(65536.0, 0), (0.5, 1)])
def test_a_scaler_that_looks_for_its_scale_is_no_fault(scale, row, monkeypatch):
    """It skips the step itself; what overflows unscaled is a fault."""
    run, stepped = build_run(points.recipe(steps=1), Accelerator(cpu=True)), []
    run.accelerator.scaler = SimpleNamespace(get_scale=lambda: scale, scale=lambda x: x)
    monkeypatch.setattr(run.optimizer, "step", lambda: stepped.append(run.step))
    plain = loop.losses_of_rows
    monkeypatch.setattr(loop, "losses_of_rows", lambda *given: times(plain(*given), torch.inf))
    (record,) = training_steps(run)
    assert record.skipped
    assert stepped == [0]
    assert (run.skipped, run.row) == (1, row)


def test_what_is_squared_without_clipping_is_small_enough_to_be(accelerator, monkeypatch):
    run = build_run(clipped(points.recipe(steps=2), 0.0), accelerator)
    plain = loop.losses_of_rows
    monkeypatch.setattr(loop, "losses_of_rows", lambda *given: times(plain(*given), 1e30))
    assert [record.skipped for record in training_steps(run)] == [True, True]
    assert not run.optimizer.state


class Dying(points.Corners):
    def __getitem__(self, indices):
        if torch.utils.data.get_worker_info() is not None:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__getitem__(indices)


def test_a_killed_process_that_reads_data_is_one_line(accelerator):
    run = build_run(points.recipe(workers=1), accelerator)
    run.data = Dying(100)
    with pytest.raises(OSError, match=r"that reads data was killed, .*--training\.workers 0"):
        next(training_steps(run))


def test_a_compiled_model_is_bare_underneath(accelerator, monkeypatch):
    plugin = TorchDynamoPlugin(backend="eager")
    monkeypatch.setitem(type(accelerator.state)._shared_state, "dynamo_plugin", plugin)
    run = build_run(points.recipe(steps=1), accelerator)
    assert type(run.model) is not points.PointModel  # it is compiled
    assert type(run.bare_model) is points.PointModel
    assert list(run.bare_model.state_dict()) == list(run.ema.state_dict())


def test_no_condition_is_dropped_where_the_data_give_none(monkeypatch):
    monkeypatch.setattr(points.PointCodec, "encode", lambda self, raw, rng=None: (raw[0], None))
    run = build_run(points.recipe(condition_drop=0.25), Accelerator(cpu=True))
    with pytest.raises(
        ValueError, match=r"condition_drop is 0\.25, but the data give no condition"
    ):
        next(training_steps(run))
