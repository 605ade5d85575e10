"""`feller app` on images."""

import base64
import io
import re

import numpy as np
import pictures
import torch
from PIL import Image

from feller.core.heads import FlowHead, JointHead, JumpHead
from feller.images.commands import app
from feller.images.plots import sheet_png
from feller.images.sampling import Sampling


def picture(frame):
    """The pixels of a frame."""
    data = base64.b64decode(re.search('base64,([^"]*)"', frame.markup)[1])
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image)


def last(model, **settings):
    """The last frame of a sampling."""
    *_, frame = app.frames(model, {"steps": 3, "seed": 1, **settings})
    return frame


def test_frames_end_with_what_the_model_draws(tmp_path):
    watched = app.watched(str(pictures.save(tmp_path / "tiny")))
    assert [control.name for control in watched.controls] == ["label", "guidance", "steps", "seed"]
    settings = {"label": app.EACH, "guidance": 2, "steps": 3, "seed": 1}
    frames = list(watched.frames(settings))
    assert [frame.caption for frame in frames] == [
        "step 0 of 3, 0 network calls, heun",
        "step 1 of 3, 4 network calls, heun",
        "step 2 of 3, 8 network calls, heun",
        "step 3 of 3, 10 network calls, heun",
    ]
    labels = torch.arange(3).repeat_interleave(app.ROWS)
    drawn, _ = pictures.model().draw(6, labels, Sampling(steps=3, guidance=2.0), seed=1)
    with Image.open(io.BytesIO(sheet_png(drawn, labels, pictures.CLASSES))) as image:
        assert np.array_equal(picture(frames[-1]), np.asarray(image))
    assert not np.array_equal(picture(frames[0]), picture(frames[-1]))


def test_guidance_is_for_images_with_a_label():
    model = pictures.model()
    free = last(model, label=app.ANY, guidance=3)
    assert free == last(model, label=app.ANY, guidance=1)
    assert last(model, label="dog", guidance=3) != last(model, label="dog", guidance=1)


def test_a_joint_model_is_weighted_between_its_flow_and_its_jump(tmp_path):
    head = JointHead((FlowHead(), JumpHead(bins=8)), (0.5, 0.5))
    config = pictures.replace(pictures.UNCONDITIONAL, head=head)
    watched = app.watched(str(pictures.save(tmp_path / "joint", config)))
    assert [control.name for control in watched.controls] == ["mix", "steps", "seed"]
    model = pictures.model(config)
    flow, jump = last(model, mix=0.0), last(model, mix=1.0)
    assert flow.caption.endswith("heun")
    assert jump.caption.endswith("mixed")
    assert flow.markup != jump.markup
