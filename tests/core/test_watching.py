"""What `feller app` shows: controls, and the frames of a sampling."""

from types import SimpleNamespace

import pytest

from feller.core.watching import Choice, Frame, Slider, Watched, Words, framed

CONTROLS = (
    Slider(name="steps", label="Steps", value=2, low=1, high=9),
    Slider(name="mix", label="Mix", value=0.5, low=0, high=1, step=0.05),
    Choice(name="label", label="Class", choices=("cat", "dog")),
    Words(name="prompt", label="Begins with", value="a"),
)
VALUES = [3.0, 1, "dog", None]


def test_settings_are_values_by_name():
    settings = Watched(controls=CONTROLS, frames=iter).settings(VALUES)
    assert settings == {"steps": 3, "mix": 1.0, "label": "dog", "prompt": ""}
    assert [type(value) for value in settings.values()] == [int, float, str, str]


@pytest.mark.parametrize(
    ("i", "value", "said"),
    [
        (0, 10, "steps is 1 to 9, not 10"),
        (0, "4", "steps is a number, not '4'"),
        (1, True, "mix is a number, not True"),
        (1, float("nan"), "mix is 0 to 1, not nan"),
        (2, "cow", "class is one of cat, dog, not 'cow'"),
    ],
)
def test_what_cannot_be_set_is_refused_before_a_step(i, value, said):
    values = [value if j == i else usual for j, usual in enumerate(VALUES)]
    with pytest.raises(ValueError, match=said):
        Watched(controls=CONTROLS, frames=iter).settings(values)
    (line,) = framed(Watched(controls=CONTROLS, frames=iter), values)
    assert line.startswith('<p role="alert">')


def test_a_sampling_that_fails_says_so_after_its_frames():
    def frames(settings):
        yield Frame(markup="<b>a</b>", caption="1 < 2")
        raise ValueError("not\nfinite <")

    assert [*framed(Watched(controls=CONTROLS, frames=frames), VALUES)] == [
        "<figure><b>a</b><figcaption>1 &lt; 2</figcaption></figure>",
        '<p role="alert">not finite &lt;</p>',
    ]


def test_controls_are_components_with_their_first_values():
    def made(kind):
        return lambda *values, **options: (kind, values, options)

    ui = SimpleNamespace(**{kind: made(kind) for kind in ("Slider", "Dropdown", "Textbox")})
    assert [control.component(ui) for control in CONTROLS] == [
        ("Slider", (1, 9, 2), {"step": 1, "label": "Steps"}),
        ("Slider", (0, 1, 0.5), {"step": 0.05, "label": "Mix"}),
        ("Dropdown", (["cat", "dog"],), {"value": "cat", "label": "Class"}),
        ("Textbox", ("a",), {"label": "Begins with", "lines": 2}),
    ]
