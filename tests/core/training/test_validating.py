"""The loss on held-out data: closed forms, pairs, processes and refusals."""

import json
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path

import points
import pytest
import torch
from accelerate import Accelerator
from launching import ENVIRONMENT, launched

from feller.core.config import tagged
from feller.core.intervals import QUANTILE
from feller.core.losses import Objective
from feller.core.times import LogitNormal
from feller.core.training.evaluating import figures_of
from feller.core.training.loop import build_run, training_steps
from feller.core.training.trainer import train
from feller.core.training.validating import Validation, begin_validation, stratified_mean


@tagged("test/split corners")
@dataclass(frozen=True)
class SplitCorners(points.CornerData):
    """Corners of which others are held out."""

    def build(self, split="train"):
        return Others(self.size) if split == "test" else points.Corners(self.size)


class Others(points.Corners):
    def __getitem__(self, indices):
        return super().__getitem__([3 * i + 1000 for i in indices])


class Grouped(Others):
    groups = torch.arange(100) % 3


def recipe(**training):
    found = points.recipe(steps=6, validate_every=3, validate_n=90, **training)
    return replace(found, data=SplitCorners())


@pytest.fixture(scope="module")
def run():
    return build_run(recipe(), Accelerator(cpu=True))


def test_the_log_has_losses_by_time_with_intervals(tmp_path):
    train(recipe(), tmp_path / "a", cpu=True)
    lines = list(map(json.loads, (tmp_path / "a" / "log.jsonl").read_text().splitlines()))
    found = [line for line in lines if "validation" in line]
    assert [line["step"] for line in found] == [3, 6]
    last = found[-1]
    assert last["validation/low"] < last["validation"] < last["validation/high"]
    bins = [last[f"validation/t {k / 5:.1f}-{(k + 1) / 5:.1f}"] for k in range(5)]
    assert sum(bins) / 5 == pytest.approx(last["validation"])  # 18 of 90 rows in each
    train(recipe(), tmp_path / "b", cpu=True)
    again = list(map(json.loads, (tmp_path / "b" / "log.jsonl").read_text().splitlines()))
    assert found == [line for line in again if "validation" in line]


def test_the_loss_is_that_of_the_averaged_weights_on_what_is_held_out(run):
    """By hand: the mean squared error of the velocity, at the times and states of each row."""
    seen = []

    @dataclass(frozen=True)
    class Spy(Objective):
        def by_part(self, model, path, z, t, x_t, *, condition=None):
            seen.append((model, z, t, x_t, condition))
            return super().by_part(model, path, z, t, x_t, condition=condition)

    spied = replace(run, recipe=replace(run.recipe, objective=Spy()))
    validation = Validation(spied, run.recipe.data.build("test"))
    figures = figures_of(spied, validation)
    errors, times = [], []
    for model, z, t, x_t, condition in seen:
        assert model is run.ema.model
        assert not model.training
        x_0 = (x_t - t[:, None] * z) / (1 - t[:, None])  # x_t = t z + (1 - t) x_0
        with torch.no_grad():
            velocity = model(x_t, t, condition).velocity
        errors.append((velocity - (z - x_0)).square().mean(1))
        times.append(t)
        assert (condition < 2).all()  # none is dropped
    assert figures["validation"] == pytest.approx(float(torch.cat(errors).mean()), rel=1e-4)
    spread = torch.cat(times).sort().values * 90
    assert torch.equal(spread.long(), torch.arange(90))  # a time in each ninetieth
    z = torch.cat([z for _, z, *_ in seen])
    known = validation.data[list(range(100))][0]
    assert all((known == row).all(1).any() for row in z)
    assert len(z.unique(dim=0)) > 20


def test_the_same_noise_comes_each_time_and_training_does_not_see_it(run):
    validation = begin_validation(run)
    before = torch.get_rng_state()
    assert figures_of(run, validation) == figures_of(run, validation)
    assert torch.equal(before, torch.get_rng_state())
    plain = build_run(replace(recipe(), training=replace(recipe().training, validate_every=0)),
                      Accelerator(cpu=True))  # fmt: skip
    looked = build_run(recipe(), Accelerator(cpu=True))
    look = begin_validation(looked)
    for one, other in zip(training_steps(plain), training_steps(looked), strict=True):
        figures_of(looked, look)
        assert torch.equal(one.loss, other.loss)


def test_rows_are_those_of_any_number_of_processes(run):
    """Blocks are what processes share: in any order they have the same rows."""
    validation = begin_validation(run)
    backwards = [validation.look(b) for b in reversed(range(validation.blocks))]
    assert torch.equal(
        torch.cat(backwards[::-1]),
        torch.cat([validation.look(b) for b in range(validation.blocks)]),
    )
    assert validation.blocks == 2


def test_blocks_have_one_group(run):
    validation = Validation(run, Grouped(100))
    for part in validation.parts:
        assert len({i % 3 for i in part.indices}) == 1
    assert sorted(i for part in validation.parts for i in part.rows) == list(range(90))
    assert len({i for part in validation.parts for i in part.indices}) == 90


def test_times_follow_the_distribution_of_training_times(run):
    late = replace(run, recipe=replace(run.recipe, times=LogitNormal(mean=3.0)))
    figures = figures_of(late, Validation(late, Others(100)))
    assert "validation/t 0.0-0.2" not in figures
    assert "validation/t 0.8-1.0" in figures


def test_intervals_hold_what_they_say():
    """Of 2,000 stratified samples, 95% of intervals hold the mean, which is .5 * (0 + 10)."""
    rng, stratum = torch.Generator().manual_seed(0), torch.arange(40) % 2
    hit, spread = 0, []
    for _ in range(2_000):
        values = torch.randn(40, generator=rng, dtype=torch.float64) + 10 * stratum
        found = stratified_mean(values, stratum)
        hit += found.low <= 5 <= found.high
        spread.append(found.high - found.value)
    assert 0.92 < hit / 2_000 < 0.97
    assert torch.tensor(spread).mean().item() == pytest.approx(QUANTILE / 40**0.5, rel=0.02)


def test_what_is_trained_on_is_not_held_out():
    wrong = points.recipe(steps=2, validate_every=1)
    with pytest.raises(ValueError, match="the held-out data are those that are trained on"):
        begin_validation(build_run(wrong, Accelerator(cpu=True)))


def test_a_part_of_the_loss_has_its_mean(run):
    two = Objective().named("one") + 0.5 * Objective().named("two")
    parts = replace(run, recipe=replace(run.recipe, objective=two))
    figures = figures_of(parts, Validation(parts, Others(100)))
    assert figures["validation/two"] == pytest.approx(0.5 * figures["validation/one"])
    assert figures["validation"] == pytest.approx(1.5 * figures["validation/one"])


TRAIN = """
import sys
from dataclasses import dataclass, replace
import points
from feller.core.config import tagged
from feller.core.training.trainer import train

@tagged("test/split corners")
@dataclass(frozen=True)
class SplitCorners(points.CornerData):
    def build(self, split="train"):
        return points.Corners(self.size + 30 * (split == "test"))

recipe = points.recipe(steps=6, validate_every=3, validate_n=130)
train(replace(recipe, data=SplitCorners()), sys.argv[1], cpu=True)
"""


@pytest.mark.slow
def test_two_processes_have_the_losses_of_one(tmp_path):
    (tmp_path / "run.py").write_text(TRAIN)
    home = str(Path(points.__file__).parent)
    found = []
    for number in (1, 2):
        done = subprocess.run(
            launched(number, tmp_path / "run.py", tmp_path / f"{number}"),
            env=ENVIRONMENT | {"PYTHONPATH": home}, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        lines = map(json.loads, (tmp_path / f"{number}" / "log.jsonl").read_text().splitlines())
        found.append([line for line in lines if "validation" in line])
    for one, two in zip(*found, strict=True):
        assert one == pytest.approx(two, rel=1e-5)
