import json

import points
import pytest
from accelerate import Accelerator

from feller.core.training.folder import claim_folder


@pytest.fixture(scope="module")
def accelerator():
    return Accelerator(cpu=True)


def test_a_fresh_folder_gets_the_recipe(accelerator, tmp_path):
    claim_folder(tmp_path / "a" / "b", points.recipe(), accelerator)
    assert json.loads((tmp_path / "a" / "b" / "recipe.json").read_text())["type"] == "recipe"
    assert [p.name for p in (tmp_path / "a" / "b").iterdir()] == ["recipe.json"]


def test_what_changes_no_step_may_change(accelerator, tmp_path):
    claim_folder(tmp_path / "a", points.recipe(steps=4, accumulate=1), accelerator)
    claim_folder(tmp_path / "a", points.recipe(steps=9, accumulate=2), accelerator)
    assert json.loads((tmp_path / "a" / "recipe.json").read_text())["training"]["steps"] == 9


def test_what_changes_steps_may_not(accelerator, tmp_path):
    claim_folder(tmp_path / "a", points.recipe(), accelerator)
    (tmp_path / "a" / "log.jsonl").write_text('{"step": 1}\n')
    with pytest.raises(ValueError, match=r"begun with training\.batch_size = 24, not 48"):
        claim_folder(tmp_path / "a", points.recipe(batch_size=48), accelerator)


@pytest.mark.parametrize("kept", ["checkpoints/step_00000002", "model"])
def test_nor_where_a_checkpoint_or_a_model_is(kept, accelerator, tmp_path):
    claim_folder(tmp_path / "a", points.recipe(), accelerator)
    (tmp_path / "a" / kept).mkdir(parents=True)
    with pytest.raises(ValueError, match=r"begun with training\.batch_size = 24, not 48"):
        claim_folder(tmp_path / "a", points.recipe(batch_size=48), accelerator)


def test_a_run_without_a_step_may_begin_with_other_flags(accelerator, tmp_path):
    claim_folder(tmp_path / "a", points.recipe(), accelerator)
    (tmp_path / "a" / "log.jsonl").touch()
    claim_folder(tmp_path / "a", points.recipe(batch_size=48), accelerator)
    written = json.loads((tmp_path / "a" / "recipe.json").read_text())
    assert written["training"]["batch_size"] == 48


def test_a_foreign_folder_is_left_alone(accelerator, tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(ValueError, match="is not a run"):
        claim_folder(tmp_path, points.recipe(), accelerator)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]
