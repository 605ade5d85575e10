import json
import shutil
from dataclasses import replace

import points
import pytest
import torch
from accelerate import Accelerator

from feller.core.config import encode, leaves
from feller.core.couplings import IndependentCoupling, MinibatchOT
from feller.core.training.fingerprints import fingerprint
from feller.core.training.folder import (
    MAY_CHANGE,
    MAY_CHANGE_WITH_A_WORD,
    begin_session,
    check_folder,
    compare_run,
    order_of_run,
)
from feller.core.training.loop import build_run, training_steps
from feller.core.training.orders import ORDER
from feller.core.training.trainer import train


@pytest.fixture(scope="module")
def accelerator():
    return Accelerator(cpu=True)


@pytest.fixture
def claim(accelerator, tmp_path):
    """Begin a session of a recipe in a folder, as a run does that has taken so many steps."""

    def begin(recipe, *, step=0, **flags):
        out = tmp_path / "a"
        out.mkdir(exist_ok=True)
        run = build_run(recipe, accelerator)
        run.step = step
        data = fingerprint(run.data)
        compare_run(out, run, data, **flags)
        begin_session(out, run, data)
        return json.loads((out / "recipe.json").read_text())

    return begin


def with_a_step(out):
    (out / "log.jsonl").write_text('{"step": 1}\n')
    (out / "checkpoints" / "step_00000001").mkdir(parents=True)


def on(size, **training):
    return replace(points.recipe(**training), data=points.CornerData(size))


def test_a_fresh_folder_gets_the_recipe(claim, tmp_path):
    assert claim(points.recipe())["type"] == "recipe"
    assert sorted(p.name for p in (tmp_path / "a").iterdir()) == ["recipe.json", "run.json"]


def test_what_changes_no_step_may_change(claim, tmp_path):
    claim(points.recipe(steps=4, accumulate=1))
    with_a_step(tmp_path / "a")
    assert claim(points.recipe(steps=9, accumulate=2), step=1)["training"]["steps"] == 9


def test_other_pairs_are_told(claim, tmp_path, capsys):
    other = "from step 1 on pairs are made among 12 rows, and were among 24"
    for coupling in (MinibatchOT(), IndependentCoupling()):
        claim(replace(points.recipe(accumulate=1), coupling=coupling))
        with_a_step(tmp_path / "a")
        claim(replace(points.recipe(accumulate=1, keep=3), coupling=coupling), step=1)
        assert "pairs" not in capsys.readouterr().out
        claim(replace(points.recipe(accumulate=2), coupling=coupling), step=1)
        assert (other in capsys.readouterr().out) == (coupling == MinibatchOT())
        shutil.rmtree(tmp_path / "a")


def test_each_session_says_what_is_new_in_it(claim, tmp_path):
    claim(points.recipe(steps=4))
    with_a_step(tmp_path / "a")
    claim(points.recipe(steps=9, keep=3), step=1)
    sessions = json.loads((tmp_path / "a" / "run.json").read_text())["sessions"]
    assert [session["step"] for session in sessions] == [0, 1]
    assert sessions[0]["changed"] == {}
    assert sessions[1]["changed"] == {"training.keep": [2, 3], "training.steps": [4, 9]}
    assert {"torch", "python", "feller-core"} <= sessions[0].keys()


def test_what_changes_steps_may_not(claim, tmp_path):
    claim(points.recipe())
    with_a_step(tmp_path / "a")
    with pytest.raises(ValueError, match=r"begun with training\.batch_size = 24, not 48"):
        claim(points.recipe(batch_size=48))


@pytest.mark.parametrize("kept", ["checkpoints/step_00000002", "model"])
def test_nor_where_a_checkpoint_or_a_model_is(kept, claim, tmp_path):
    claim(points.recipe())
    (tmp_path / "a" / kept).mkdir(parents=True)
    with pytest.raises(ValueError, match=r"begun with training\.batch_size = 24, not 48"):
        claim(points.recipe(batch_size=48))


def test_a_run_without_a_step_may_begin_with_other_flags(claim, tmp_path):
    claim(points.recipe())
    (tmp_path / "a" / "log.jsonl").touch()
    assert claim(points.recipe(batch_size=48))["training"]["batch_size"] == 48


def test_a_foreign_folder_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(ValueError, match="is not a run"):
        check_folder(tmp_path)
    with pytest.raises(ValueError, match="is a file"):
        check_folder(tmp_path / "thesis.tex")
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_recipe_from_before_a_field_is_that_with_its_default(claim, tmp_path):
    claim(points.recipe())
    with_a_step(tmp_path / "a")
    file = tmp_path / "a" / "recipe.json"
    written = json.loads(file.read_text())
    del written["training"]["bad_steps"], written["optimizer"]["final"]
    file.write_text(json.dumps(written))
    assert claim(points.recipe(), step=1)["training"]["bad_steps"] == 20
    del written["data"]["size"]  # its default is what the recipe has; here it has not
    file.write_text(json.dumps(written))
    with pytest.raises(ValueError, match=r"begun with data\.size = 100, not 60"):
        claim(on(60), step=1)


@pytest.mark.parametrize("text", ["", "[1]", "[" * 100_000, '{"type": "recipee"}', "\x00"])
def test_a_damaged_recipe_is_one_line(text, claim, tmp_path):
    claim(points.recipe())
    with_a_step(tmp_path / "a")
    (tmp_path / "a" / "recipe.json").write_text(text)
    with pytest.raises(ValueError, match=r"recipe\.json") as caught:
        claim(points.recipe(), step=1)
    assert "\n" not in str(caught.value)


class Reversed(points.Corners):
    def __getitem__(self, indices):
        return super().__getitem__([self.size - 1 - i for i in indices])


@pytest.mark.gate
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda self, split="train": points.Corners(50), r"50 items, not 100"),
        (lambda self, split="train": Reversed(100), r"the items themselves are others"),
    ],
)
def test_other_data_are_told_and_need_a_flag(change, reason, claim, tmp_path, monkeypatch):
    claim(points.recipe())
    with_a_step(tmp_path / "a")
    claim(points.recipe(), step=1)
    monkeypatch.setattr(points.CornerData, "build", change)
    with pytest.raises(ValueError, match=rf"the data of .* have changed \({reason}\): --new-data"):
        claim(points.recipe(), step=1)
    claim(points.recipe(), step=1, new_data=True)
    claim(points.recipe(), step=1)  # from then on they are the run's


def test_a_run_from_before_fingerprints_gets_one(claim, tmp_path, capsys):
    claim(points.recipe())
    with_a_step(tmp_path / "a")
    (tmp_path / "a" / "run.json").unlink()
    claim(points.recipe(), step=1)
    assert "has no fingerprint of its data" in capsys.readouterr().out
    assert json.loads((tmp_path / "a" / "run.json").read_text())["data"]["items"] == 100


def test_fewer_steps_than_taken_are_refused(claim, tmp_path):
    claim(points.recipe(steps=150))
    with_a_step(tmp_path / "a")
    with pytest.raises(ValueError, match=r"has taken 150 steps, more than --training\.steps 10"):
        claim(points.recipe(steps=10), step=150)
    written = json.loads((tmp_path / "a" / "recipe.json").read_text())
    assert written["training"]["steps"] == 150


def test_nor_does_a_finished_recipe_take_what_did_not_happen(claim, tmp_path):
    claim(points.recipe(steps=150, log_every=5))
    with_a_step(tmp_path / "a")
    claim(points.recipe(steps=150, log_every=7), step=150)
    assert json.loads((tmp_path / "a" / "recipe.json").read_text())["training"]["log_every"] == 5


def test_a_model_without_a_checkpoint_is_not_trained_over(claim, tmp_path):
    claim(points.recipe())
    (tmp_path / "a" / "model").mkdir()
    with pytest.raises(ValueError, match="has a model but no checkpoint to resume"):
        claim(points.recipe())


@pytest.mark.parametrize("sessions", [None, "two"])
def test_sessions_that_are_no_list_begin_anew(sessions, tmp_path):
    train(points.recipe(steps=1), tmp_path / "a", cpu=True)
    file = tmp_path / "a" / "run.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"sessions": sessions}))
    train(points.recipe(steps=2), tmp_path / "a", cpu=True)
    (session,) = json.loads(file.read_text())["sessions"]
    assert session["step"] == 1


def test_the_rate_may_change_with_a_word(claim, tmp_path, capsys):
    recipe = points.recipe(steps=4)
    claim(recipe)
    with_a_step(tmp_path / "a")
    slower = replace(recipe, optimizer=replace(recipe.optimizer, lr=1e-3))
    claim(slower, step=1)
    assert "from step 1 on optimizer.lr is 0.001, and was 0.01\n" in capsys.readouterr().out
    sessions = json.loads((tmp_path / "a" / "run.json").read_text())["sessions"]
    assert sessions[1]["changed"] == {"optimizer.lr": [0.01, 0.001]}


@pytest.mark.parametrize("changed", [{"steps": 2}, {"lr": 1e-3}])
def test_a_finished_run_stays_what_it_was(changed, claim, tmp_path):
    """The recipe never says what did not happen."""
    recipe = points.recipe(steps=4)
    claim(recipe)
    with_a_step(tmp_path / "a")
    claim(recipe, step=4)
    training = replace(recipe.training, steps=changed.get("steps", 4))
    optimizer = replace(recipe.optimizer, lr=changed.get("lr", 1e-2))
    with pytest.raises(ValueError, match=r"taken 4 steps, more than|took its 4 steps with optimiz"):
        claim(replace(recipe, training=training, optimizer=optimizer), step=4)
    written = json.loads((tmp_path / "a" / "recipe.json").read_text())
    assert written["training"]["steps"] == 4 and written["optimizer"]["lr"] == 1e-2


def test_what_may_change_is_said_once():
    assert not MAY_CHANGE.keys() & MAY_CHANGE_WITH_A_WORD.keys()
    known = {key.rstrip(".0123456789") for key in leaves(encode(points.recipe()))}
    ours = {*MAY_CHANGE, *MAY_CHANGE_WITH_A_WORD}
    assert {key for key in ours if not key.startswith("data.")} <= known


def test_a_run_goes_on_with_the_order_of_data_it_began_with(tmp_path):
    train(points.recipe(steps=1), tmp_path / "a", cpu=True)
    file = tmp_path / "a" / "run.json"
    assert json.loads(file.read_text())["order"] == ORDER == order_of_run(tmp_path / "a")
    for steps, written in ((2, {"order": 1}), (3, {})):  # the second is a run from before
        facts = json.loads(file.read_text())
        del facts["order"]
        file.write_text(json.dumps(facts | written))
        assert order_of_run(tmp_path / "a") == 1
        train(points.recipe(steps=steps), tmp_path / "a", cpu=True)
        assert json.loads(file.read_text())["order"] == 1


@pytest.mark.parametrize("text", ["{", '{"order": 1e999}', '{"order": [2]}'])
def test_an_order_that_was_written_and_is_lost_is_refused(text, tmp_path):
    train(points.recipe(steps=1), tmp_path / "a", cpu=True)
    (tmp_path / "a" / "run.json").write_text(text)
    with pytest.raises(ValueError, match=r"run\.json is damaged, and with it the order"):
        train(points.recipe(steps=2), tmp_path / "a", cpu=True)


def test_another_order_of_the_data_trains_another_model(tmp_path, monkeypatch):
    """The order of a run is what its steps see: with groups, 1 and 2 are not the same."""
    monkeypatch.setattr(points.CornerData, "build", lambda self, split="train": Grouped(100))
    weights = []
    for version in (1, 2):
        run = build_run(points.recipe(steps=2), Accelerator(cpu=True))
        run.order = version
        for _ in training_steps(run):
            pass
        weights.append(torch.cat([p.flatten() for p in run.bare_model.parameters()]))
    assert not torch.equal(*weights)


class Grouped(points.Corners):
    groups = torch.zeros(100, dtype=torch.int64)


def test_trackers_may_change_whatever_their_number(claim, tmp_path):
    claim(points.recipe(trackers=("tensorboard",)))
    with_a_step(tmp_path / "a")
    assert claim(points.recipe(trackers=()), step=1)["training"]["trackers"] == []


def test_a_run_that_was_killed_as_it_began_begins_again(tmp_path):
    """Its recipe was half written: nothing else is there but the lock."""
    (tmp_path / "a").mkdir()
    for name in (".lock", ".recipe.json.partial"):
        (tmp_path / "a" / name).write_text("{")
    check_folder(tmp_path / "a")
    (tmp_path / "a" / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match="exists and is not a run"):
        check_folder(tmp_path / "a")
