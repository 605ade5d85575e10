"""`feller app` for text: a text that is revealed, between a beginning and an end."""

from collections.abc import Iterator, Mapping
from typing import Any

from feller.core.discrete.solvers import TOKEN_SOLVERS
from feller.core.exhibits import revealed
from feller.core.watching import Choice, Frame, Slider, Watched, Words
from feller.text.codec import HIDDEN
from feller.text.commands.demo import ends_of, tokens_of
from feller.text.commands.sample import load_chain
from feller.text.sampling import Sampling, context, follow_texts

__all__ = ["watched"]

ANY_SOURCE = ("leap", "ancestral")
"""Solvers of every source; the others want masks."""
STEPS, MOST_STEPS = 64, 512


def watched(name: str) -> Watched:
    """Open a model of text for `feller app`.

    Raises:
        ValueError: When it is an autoregressive baseline.
    """
    model = load_chain(name, "auto")
    begin, end = ends_of(name)
    solvers = tuple(TOKEN_SOLVERS) if model.vocabulary.has_mask else ANY_SOURCE
    controls = (
        Words(name="prompt", label="Begins with", value=begin),
        Words(name="suffix", label="Ends with", value=end),
        Choice(name="solver", label="Solver", choices=solvers, value="leap"),
        Slider(name="temperature", label="Temperature", value=1, low=0, high=2, step=0.05),
        Slider(name="steps", label="Steps", value=STEPS, low=1, high=MOST_STEPS),
        Slider(name="seed", label="Seed", value=0, low=0, high=999),
    )
    return Watched(controls=controls, frames=lambda settings: frames(model, settings))


def frames(model: Any, settings: Mapping[str, Any]) -> Iterator[Frame]:
    """Yield a text before the first step and after each.

    Args:
        model: A `TextModel`.
        settings: A value for each control of `watched`.
    """
    given = context(model.codec, settings["prompt"], settings["suffix"])
    names = ("solver", "temperature", "steps")
    how = Sampling(**{name: settings[name] for name in names})
    states = follow_texts(model, given, range(1), how, seed=settings["seed"])
    for step, state in enumerate(states):
        markup = revealed(tokens_of(model.codec, given, state), HIDDEN)
        caption = f"step {step}, {int(state.nfe.max())} network calls, {how.solver}"
        yield Frame(markup=markup, caption=caption)
