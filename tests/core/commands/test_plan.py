import json

import pytest
from terminal import complaint, feller


def test_a_plan_takes_flags_of_the_recipe():
    argv = ("plan", "images/drawn-flow", "--gpus", "2", "--device", "l40s", "--json")
    code, out, _ = feller(*argv, "--training.batch-size", "64", "--training.steps", "100")
    assert code == 0
    found = json.loads(out)
    assert (found["devices"], found["samples_at_once"]) == (2, 32)
    assert found["days"] == pytest.approx(100 * found["seconds_a_step"] / 86_400)
    whole, sharded = found["memory"]["ddp"], found["memory"]["fsdp"]
    assert sharded["weights"] == whole["weights"] / 2


def test_a_page_says_whether_it_fits():
    code, out, _ = feller("plan", "images/drawn-flow", "--gpus", "1")
    assert code == 0
    assert "It fits as it is." in out
    assert "| samples a day |" in out


def test_what_cannot_be_planned_is_one_line():
    for argv in (["images/drawn-flow", "--gpus", "7"], ["text/owt-mask"], ["images/none"]):
        code, _, err = feller("plan", *argv)
        assert code == 2
        assert len(err.splitlines()) == 1


def test_a_utilisation_of_nothing_is_refused():
    assert "utilisation in (0, 1]" in complaint("plan", "images/drawn-flow", "--utilisation", 0)
