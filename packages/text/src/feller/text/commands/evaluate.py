"""`feller evaluate` for text: the likelihood of a text, and what samples are like."""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Annotated, Any, Literal

import tyro

from feller.core.flags import parse_flags
from feller.core.registry import data_of, load
from feller.text.data import TextData
from feller.text.sampling import Sampling, context

__all__ = ["EvaluateFlags", "evaluate", "usual_data"]


@dataclass(frozen=True)
class EvaluateFlags:
    """Evaluate a model: its likelihood on a text, and the quality of its samples."""

    data: tyro.conf.AvoidSubcommands[TextData] = field(
        default_factory=lambda: TextData(test_fraction=0.0)
    )
    """Text, tokenized by the model's own tokenizer; that of the run or recipe if none is given."""
    split: Literal["train", "test"] | None = None
    """Split to evaluate; if None `test` for the run's own text, `train` for any other."""
    draws: int = 8
    """Noisy states per window for the ELBO, one network call each."""
    n: Annotated[int, tyro.conf.arg(aliases=["-n"])] = 64
    """Number of samples for the other metrics, at least 2; 0 skips them."""
    steps: int = 256
    """Number of solver steps."""
    solver: str = "leap"
    """Solver for the samples."""
    seed: int = 0
    """Random seed of the noise and the samples."""
    device: str = "auto"
    """cpu, cuda, ...; auto uses an accelerator if there is one."""
    json: bool = False
    """Print the metrics as JSON."""


def evaluate(name: str, argv: Sequence[str]) -> None:
    """Print the figures of a model.

    Raises:
        ValueError: On senseless flags; when the data are missing or corrupt, or hold what the
            tokenizer does not know or does not give back.
    """
    from feller.text.metrics.report import likelihood, variety

    flags = parse_flags(EvaluateFlags, argv, prog=f"feller evaluate {name}")
    if flags.n < 0 or flags.n == 1:
        raise ValueError(f"-n is 0, for no samples, or at least 2, not {flags.n}")
    how = Sampling(steps=flags.steps, solver=flags.solver)
    model = load(name, device=flags.device)
    samples = flags.n > 0 and model.is_chain
    if samples:
        _try(model, how)
    data, split = _text(name, flags)
    metrics = likelihood(model, data, split, draws=flags.draws, seed=flags.seed)
    try:
        if samples:
            metrics += variety(model, data, split, how, n=flags.n, seed=flags.seed)
    except ValueError as error:  # the likelihood stands all the same
        print(f"feller evaluate: no samples are measured: {error}", file=sys.stderr)
    if flags.json:
        print(json.dumps([asdict(metric) for metric in metrics], indent=2))
        return
    for metric in metrics:
        print(f"{metric.name:28} {metric!s:32} {metric.protocol}".rstrip())


def usual_data(name: str) -> TextData:
    """Return the data of a run, or else those of the recipe that the model's card names."""
    data = data_of(name) or TextData()
    # What the model itself decides; a tokenizer may be megabytes, which --help would print.
    return replace(data, tokenizer=TextData().tokenizer, has_end=False)


def _text(name: str, flags: EvaluateFlags) -> tuple[TextData, Literal["train", "test"]]:
    """Return what to measure on: the text that is named, or what the model's run held out."""
    if flags.data != EvaluateFlags().data:
        return flags.data, flags.split or "train"
    return usual_data(name), flags.split or "test"


def _try(model: Any, how: Sampling) -> None:
    """Reject a solver that does not suit the model's source, before anything that takes long."""
    model.draw(1, context(model.codec), replace(how, steps=1))
