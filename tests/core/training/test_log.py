import json
import os

import points
import pytest

from feller.core.training.by_time import bin_names
from feller.core.training.log import forget_lost_steps
from feller.core.training.trainer import train

LINES = '{"step": 1, "loss": 1.0}\n{"step": 2, "loss": 1.0}\n'


@pytest.mark.parametrize(
    "line",
    [
        '{"step": 3, "loss": 1.0}', '{"step": 2, "lo', "[1, 2]", "7", "null", '"step"',
        '{"loss": 1}', '{"step": null}', '{"step": "x"}', "", "[" * 100_000, "\x00\x00",
    ],
)  # fmt: skip
def test_lost_steps_and_what_is_no_record_go(line, tmp_path):
    file = tmp_path / "log.jsonl"
    file.write_text(f"{LINES}{line}\n")
    forget_lost_steps(file, 2)
    assert file.read_text() == LINES


def test_bytes_that_are_no_text_go(tmp_path):
    file = tmp_path / "log.jsonl"
    file.write_bytes(LINES.encode() + b"\xff\xfe")
    forget_lost_steps(file, 2)
    assert file.read_text() == LINES
    forget_lost_steps(tmp_path / "none", 2)


def test_a_kill_leaves_the_old_or_the_new_log(tmp_path, monkeypatch):
    file = tmp_path / "log.jsonl"
    file.write_text(f'{LINES}{{"step": 3}}\n')

    def die(*_):
        raise KeyboardInterrupt

    for name in ("fsync", "replace"):
        with monkeypatch.context() as patch:
            patch.setattr(os, name, die)
            with pytest.raises(KeyboardInterrupt):
                forget_lost_steps(file, 2)
        assert file.read_text() == f'{LINES}{{"step": 3}}\n'
    forget_lost_steps(file, 2)
    assert [found.name for found in tmp_path.iterdir()] == ["log.jsonl"]


def test_a_line_has_the_loss_by_time_and_its_mean_is_the_loss(tmp_path):
    """Times are stratified: each interval has as many rows as the next."""
    recipe = points.recipe(steps=6, log_every=3, batch_size=20)
    train(recipe, tmp_path / "a", cpu=True)
    for text in (tmp_path / "a" / "log.jsonl").read_text().splitlines():
        line = json.loads(text)
        found = [line[f"loss/{name}"] for name in bin_names()]
        assert sum(found) / len(found) == pytest.approx(line["loss"], rel=1e-5)
        assert line["gradient_norm"] > 0
        assert line["samples_per_second"] > 0
