"""`feller sample` for text: into a file, a picture or the terminal."""

import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import torch
import tyro

from feller.core.discrete.solvers import TokenState
from feller.core.flags import parse_flags
from feller.core.processes import is_first
from feller.core.registry import load
from feller.text.plots import save_reveal
from feller.text.sampling import Context, Sampling, context, draw_batches, follow_texts
from feller.text.writing import add_text, check_target

__all__ = ["SampleFlags", "draw_picture", "load_chain", "sample"]

CLEAR = "\x1b[H\x1b[2J"


@dataclass(frozen=True)
class SampleFlags:
    """Sample texts from a model."""

    n: Annotated[int, tyro.conf.arg(aliases=["-n"])] = 1
    """Number of texts."""
    out: Path | None = None
    """A .txt or .jsonl file, or a .png of the order of the tokens; the terminal if None."""
    prompt: str = ""
    """Text that every sample starts with, unchanged."""
    suffix: str = ""
    """Text that every sample ends with, unchanged."""
    length: int | None = None
    """Tokens per text, including prompt and suffix; the model's context length if None."""
    sampling: tyro.conf.OmitArgPrefixes[Sampling] = field(default_factory=Sampling)
    """How texts are sampled."""
    seed: int = 0
    """Random seed; text i depends only on the seed and i."""
    device: str = "auto"
    """cpu, cuda, ...; auto uses an accelerator if there is one."""
    live: bool = False
    """Show the first text in the terminal as it is revealed."""
    json: bool = False
    """Print a summary as JSON, including the texts if there is no --out."""


def sample(name: str, argv: Sequence[str]) -> None:
    """Draw texts from a model, into a file or the terminal, each as soon as its batch is done.

    Raises:
        ValueError: On senseless flags, a prompt that fills the context, or a target that is a
            folder.
    """
    flags = parse_flags(SampleFlags, argv, prog=f"feller sample {name}")
    if flags.n < 1:
        raise ValueError(f"-n is at least 1, not {flags.n}")
    if flags.out is not None:
        check_target(flags.out)
    model = load_chain(name, flags.device)
    given = context(model.codec, flags.prompt, flags.suffix, length=flags.length)
    _compare(len(given.x), model.codec.length)
    if flags.live and is_first():
        _show(model, given, flags)
    start, drawn = time.perf_counter(), []
    # A picture is drawn at the end, and JSON in the terminal is one object, texts and all.
    at_once = not flags.json if flags.out is None else flags.out.suffix != ".png"
    for state in draw_batches(model, given, flags.n, flags.sampling, seed=flags.seed):
        if at_once and is_first():
            _add(model, state, flags.out, first=not drawn)
        drawn.append(state)
    seconds = time.perf_counter() - start
    if flags.out is not None and flags.out.suffix == ".png" and is_first():
        draw_picture(model, given, drawn[0], flags.out, name)
    calls = torch.cat([state.nfe for state in drawn]).tolist()
    report: dict[str, Any] = {
        "n": flags.n,
        "nfe": max(calls),
        "seconds": round(seconds, 3),
        "seed": flags.seed,
    }
    if flags.json:
        report |= {"out": flags.out and str(flags.out), "solver": flags.sampling.solver}
        if flags.out is None:
            report["texts"] = [t for state in drawn for t in model.codec.decode(state.x)]
        print(json.dumps(report))
    elif flags.out is not None:
        shown = f"the first of {flags.n}" if flags.out.suffix == ".png" else f"{flags.n}"
        print(f"{flags.out}: {shown} texts, {max(calls)} network calls each, {seconds:.1f} s")


def load_chain(name: str, device: str) -> Any:
    """Load a model that is a chain.

    Raises:
        ValueError: When it is an autoregressive baseline.
    """
    model = load(name, device=device)
    if not model.is_chain:
        raise ValueError(f"{name} is an autoregressive baseline: only `feller evaluate` knows it")
    return model


def _compare(asked: int, known: int) -> None:
    """Say that texts are longer than those of training."""
    if asked > known:
        said = (
            f"feller sample: {asked} tokens are more than the {known} that the model was trained on"
        )
        print(said, file=sys.stderr)


def _add(model: Any, state: TokenState, out: Path | None, *, first: bool) -> None:
    """Write the texts of a batch that is done."""
    drawn = zip(model.codec.decode(state.x), state.nfe.tolist(), strict=True)
    for i, (text, nfe) in enumerate(drawn):
        add_text(text, out, {"nfe": nfe}, first=first and i == 0)


def draw_picture(model: Any, given: Context, state: TokenState, file: Path, title: str) -> None:
    """Write a picture of the first text; what was given has no level."""
    file.parent.mkdir(parents=True, exist_ok=True)
    level = state.level[0].cpu().masked_fill(~given.free, -1.0)
    save_reveal(model.codec, state.x[0].cpu(), level, file, title=title)


def _show(model: Any, given: Context, flags: SampleFlags) -> None:
    """Show the first text while it is drawn, a frame a step."""
    for state in follow_texts(model, given, range(1), flags.sampling, seed=flags.seed):
        sys.stderr.write(f"{CLEAR}{model.codec.decode(state.x)[0]}\n")
        sys.stderr.flush()
    sys.stderr.write(CLEAR)
