"""`feller app` on proteins."""

import pytest
import tiny_proteins

from feller.proteins.commands import app


@pytest.mark.gate
def test_backbones_are_drawn_at_each_step_and_at_last_in_3d(tmp_path):
    watched = app.watched(str(tiny_proteins.save(tmp_path / "tiny")))
    settings = {control.name: control.value for control in watched.controls}
    frames = list(watched.frames(settings | {"steps": 3, "length": 40}))
    lines = [frame.markup.count("<line") for frame in frames]
    assert lines == [app.CHAINS * 39] * 4 + [0]
    assert len({frame.markup for frame in frames}) == 5
    assert "<iframe srcdoc=" in frames[-1].markup
    assert frames[-1].caption == "step 3 of 3, 3 network calls"


def test_the_weight_of_the_jump_counts():
    model = tiny_proteins.model()
    settings = {"length": 40, "noise_scale": 0.0, "steps": 3, "seed": 0}
    flow, jump = (
        [*app.frames(model, "tiny", settings | {"jump": jump})][-2].markup for jump in (0.0, 1.0)
    )
    assert flow != jump
