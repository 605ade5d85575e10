"""`feller app` on text."""

import re

import pytest

from feller.core.watching import framed
from feller.text.codec import HIDDEN
from feller.text.commands import app


def settings_of(watched, **changed):
    """The first values of the controls, but for some."""
    return watched.settings([changed.get(c.name, c.value) for c in watched.controls])


def test_a_text_is_revealed_between_what_is_given(chain):
    watched = app.watched(str(chain))
    frames = list(watched.frames(settings_of(watched, prompt="ab", suffix="d", steps=4)))
    assert len(frames) == 5
    hidden = [frame.markup.count(HIDDEN) for frame in frames]
    assert hidden[0] > hidden[-1] == 0
    assert sorted(hidden, reverse=True) == hidden
    for frame in frames:
        assert re.findall('class="given"[^>]*>(.)', frame.markup) == ["a", "b", "d"]
    assert "leap" in frames[-1].caption


def test_the_seed_chooses_the_text(chain):
    watched = app.watched(str(chain))
    first, again, other = (
        [f.markup for f in watched.frames(settings_of(watched, steps=4, seed=seed))]
        for seed in (1, 1, 2)
    )
    assert first == again != other


def test_a_prompt_that_fills_the_context_is_a_line(chain):
    watched = app.watched(str(chain))
    values = ["a" * 10_000, *(control.value for control in watched.controls[1:])]
    (line,) = framed(watched, values)
    assert "shorten them" in line


def test_a_baseline_is_refused(baseline):
    with pytest.raises(ValueError, match="baseline"):
        app.watched(str(baseline))
