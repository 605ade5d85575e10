"""What `feller app` shows: a model with its controls, and the frames of a sampling.

A domain says which controls a model of its own has and yields a frame after each step; the page
knows neither. A frame is HTML that asks for nothing from elsewhere.
"""

import html
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["Choice", "Control", "Frame", "Slider", "Watched", "Words", "framed"]


class Control(ABC):
    """Something to set before a model samples.

    Attributes:
        name: The name of the value in the settings.
        label: Its label on the page.
        value: The value at first.
    """

    name: str
    label: str
    value: Any

    @abstractmethod
    def component(self, ui: Any) -> Any:
        """Return it as a component of a library `ui` that has those of Gradio."""

    @abstractmethod
    def read(self, value: Any) -> Any:
        """Return what a page sends as the value meant.

        Raises:
            ValueError: When it is none that can be set.
        """


@dataclass(frozen=True, kw_only=True)
class Slider(Control):
    """A number.

    Attributes:
        name: The name of the value in the settings.
        label: Its label on the page.
        value: The initial number.
        low: The minimum.
        high: The maximum.
        step: Distance between two values; values are integers if it is.

    Example:
        >>> Slider(name="steps", label="Steps", value=20, low=1, high=100).read(3.0)
        3
    """

    name: str
    label: str
    value: float | int
    low: float | int
    high: float | int
    step: float | int = 1

    def component(self, ui: Any) -> Any:
        """Return a slider."""
        return ui.Slider(self.low, self.high, self.value, step=self.step, label=self.label)

    def read(self, value: Any) -> float | int:
        """Return a number in the range."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError(f"{self.label.lower()} is a number, not {value!r}")
        if not self.low <= value <= self.high:
            raise ValueError(
                f"{self.label.lower()} is {self.low:g} to {self.high:g}, not {value:g}"
            )
        return int(value) if isinstance(self.step, int) else float(value)


@dataclass(frozen=True, kw_only=True)
class Choice(Control):
    """One of several options.

    Attributes:
        name: The name of the value in the settings.
        label: Its label on the page.
        choices: The options.
        value: The initial option; the first if empty.
    """

    name: str
    label: str
    choices: tuple[str, ...]
    value: str = ""

    def component(self, ui: Any) -> Any:
        """Return a menu."""
        value = self.value or self.choices[0]
        return ui.Dropdown(list(self.choices), value=value, label=self.label)

    def read(self, value: Any) -> str:
        """Return one of the words."""
        if value not in self.choices:
            raise ValueError(
                f"{self.label.lower()} is one of {', '.join(self.choices)}, not {value!r}"
            )
        return value


@dataclass(frozen=True, kw_only=True)
class Words(Control):
    """A text.

    Attributes:
        name: The name of the value in the settings.
        label: Its label on the page.
        value: The initial text.
    """

    name: str
    label: str
    value: str = ""

    def component(self, ui: Any) -> Any:
        """Return a box to write in."""
        return ui.Textbox(self.value, label=self.label, lines=2)

    def read(self, value: Any) -> str:
        """Return the text."""
        return str(value or "")


@dataclass(frozen=True, kw_only=True)
class Frame:
    """What is shown at one step of sampling.

    Attributes:
        markup: HTML.
        caption: A line below it, such as the progress.
    """

    markup: str
    caption: str

    def page(self) -> str:
        """Return it as a figure."""
        return f"<figure>{self.markup}<figcaption>{html.escape(self.caption)}</figcaption></figure>"


@dataclass(frozen=True, kw_only=True)
class Watched:
    """A model that can be watched.

    Attributes:
        controls: Its controls.
        frames: From a value for each control, by its name, to frames: one before the first step
            and one after each.
    """

    controls: tuple[Control, ...]
    frames: Callable[[Mapping[str, Any]], Iterator[Frame]]

    def settings(self, values: Sequence[Any]) -> dict[str, Any]:
        """Return the values of the controls, in their order, by name.

        Raises:
            ValueError: When one cannot be set.
        """
        pairs = zip(self.controls, values, strict=True)
        return {control.name: control.read(value) for control, value in pairs}


def framed(watched: Watched, values: Sequence[Any]) -> Iterator[str]:
    """Yield the figures of a sampling; what is refused is a line that says so, the last one.

    Args:
        watched: The model.
        values: A value for each of its controls.

    Example:
        >>> steps = Slider(name="steps", label="Steps", value=2, low=1, high=9)
        >>> def frames(settings):
        ...     for i in range(settings["steps"]):
        ...         yield Frame(markup="<b>&middot;</b>", caption=f"step {i}")
        >>> ["step 1" in shown for shown in framed(Watched(controls=(steps,), frames=frames), [2])]
        [False, True]
        >>> [*framed(Watched(controls=(steps,), frames=frames), [10])]
        ['<p role="alert">steps is 1 to 9, not 10</p>']
    """
    try:
        for frame in watched.frames(watched.settings(values)):
            yield frame.page()
    except ValueError as error:
        yield f'<p role="alert">{html.escape(" ".join(str(error).split()))}</p>'
