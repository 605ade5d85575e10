"""What `feller sample`, `feller evaluate` and `feller demo` do for text."""

import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
import tyro

from feller.core import random
from feller.core.domains import list_models
from feller.core.registry import load
from feller.text.causal import CausalModel
from feller.text.corpora import DataError
from feller.text.data import TextData
from feller.text.files import add_text, check_target
from feller.text.plots import save_reveal
from feller.text.sampling import Context, Sampling, context, draw_batches, shaping_for
from feller.text.simulation import Chains, begin, follow_tokens

__all__ = ["demo", "evaluate", "load_chain", "sample"]

CLEAR = "\x1b[H\x1b[2J"


@dataclass(frozen=True)
class SampleFlags:
    """Draw texts."""

    n: Annotated[int, tyro.conf.arg(aliases=["-n"])] = 1
    """How many."""
    out: Path | None = None
    """A .txt, a .jsonl, or a .png that shows what came when; the terminal when absent."""
    prompt: str = ""
    """How each begins; it comes back unchanged."""
    suffix: str = ""
    """How each ends; it comes back unchanged."""
    length: int | None = None
    """Tokens of each, prompt and suffix included; those of the model's context when absent."""
    sampling: tyro.conf.OmitArgPrefixes[Sampling] = field(default_factory=Sampling)
    """How they are drawn."""
    seed: int = 0
    """Text i depends on the seed and on i alone."""
    device: str = "auto"
    """cpu, cuda, ...; an accelerator if there is one when absent."""
    live: bool = False
    """Show the first text in the terminal as it is revealed."""
    json: bool = False
    """Print what was done as JSON, with the texts in it where there is no --out."""


@dataclass(frozen=True)
class EvaluateFlags:
    """Measure a model: its likelihood of a text, and what its samples are like."""

    data: tyro.conf.AvoidSubcommands[TextData] = field(default_factory=lambda: TextData(share=0.0))
    """The text, cut by the model's own tokenizer; that of the run or recipe when none is named."""
    split: Literal["train", "test"] | None = None
    """Which part of it; when absent `test` of the run's own, `train` of another, which is the whole
    of it while --data.share is 0."""
    draws: int = 8
    """Noisy states of each window; more make the interval narrower."""
    n: Annotated[int, tyro.conf.arg(aliases=["-n"])] = 64
    """Samples for the other figures, at least 2; 0 for none."""
    steps: int = 256
    """Steps of the solver."""
    solver: str = "leap"
    """The solver."""
    seed: int = 0
    """Chooses the noise and the samples."""
    device: str = "auto"
    """cpu, cuda, ...; an accelerator if there is one when absent."""
    json: bool = False
    """Print JSON."""


def sample(name: str, argv: Sequence[str]) -> None:
    """Draw texts from a model, into a file or the terminal, each as soon as its batch is done.

    Raises:
        ValueError: On senseless flags, a prompt that fills the context, or a target that is a
            folder.
    """
    flags = tyro.cli(SampleFlags, args=list(argv), prog=f"feller sample {name}")
    if flags.n < 1:
        raise ValueError(f"-n is at least 1, not {flags.n}")
    if flags.out is not None:
        check_target(flags.out)
    model = load_chain(name, flags.device)
    given = context(model.codec, flags.prompt, flags.suffix, length=flags.length)
    _compare(len(given.x), model.codec.length)
    if flags.live:
        _show(model, given, flags)
    start, drawn = time.perf_counter(), []
    # A picture is drawn at the end, and JSON in the terminal is one object, texts and all.
    at_once = not flags.json if flags.out is None else flags.out.suffix != ".png"
    for chains in draw_batches(model, given, flags.n, flags.sampling, seed=flags.seed):
        if at_once:
            _add(model, chains, flags.out, first=not drawn)
        drawn.append(chains)
    seconds = time.perf_counter() - start
    if flags.out is not None and flags.out.suffix == ".png":
        _picture(model, given, drawn[0], flags.out, name)
    calls = torch.cat([chains.nfe for chains in drawn]).tolist()
    report: dict[str, Any] = {
        "n": flags.n,
        "nfe": max(calls),
        "seconds": round(seconds, 3),
        "seed": flags.seed,
    }
    if flags.json:
        report |= {"out": flags.out and str(flags.out), "solver": flags.sampling.solver}
        if flags.out is None:
            report["texts"] = [t for chains in drawn for t in model.codec.decode(chains.x)]
        print(json.dumps(report))
    elif flags.out is not None:
        shown = f"the first of {flags.n}" if flags.out.suffix == ".png" else f"{flags.n}"
        print(f"{flags.out}: {shown} texts, {max(calls)} network calls each, {seconds:.1f} s")


def evaluate(name: str, argv: Sequence[str]) -> None:
    """Print the figures of a model.

    Raises:
        ValueError: On senseless flags; when the data are missing or corrupt, or hold what the
            tokenizer does not know or does not give back.
    """
    from feller.text.metrics import likelihood, variety

    flags = tyro.cli(EvaluateFlags, args=list(argv), prog=f"feller evaluate {name}")
    if flags.n < 0 or flags.n == 1:
        raise ValueError(f"-n is 0, for no samples, or at least 2, not {flags.n}")
    how = Sampling(steps=flags.steps, solver=flags.solver)
    model = load(name, device=flags.device)
    samples = flags.n > 0 and not isinstance(model, CausalModel)
    if samples:
        _try(model, how)
    data, split = _text(name, flags)
    metrics = likelihood(model, data, split, draws=flags.draws, seed=flags.seed)
    try:
        if samples:
            metrics += variety(model, data, split, how, n=flags.n, seed=flags.seed)
    except DataError as error:  # the likelihood stands all the same
        print(f"feller evaluate: no samples are measured: {error}", file=sys.stderr)
    if flags.json:
        print(json.dumps([asdict(metric) for metric in metrics], indent=2))
        return
    for metric in metrics:
        print(f"{metric.name:28} {metric!s:32} {metric.protocol}".rstrip())


def demo(out: Path) -> list[tuple[str, str, str]]:
    """Draw a text from every bundled chain, and infill one; write pictures of what came when.

    Returns:
        A title, a file name and a caption for each.
    """
    figures = []
    for name in list_models("text/*"):
        model = load(name, device="auto")
        if isinstance(model, CausalModel):
            continue
        print(f"sampling {name} ...", file=sys.stderr)
        prompt, suffix = _ends(model)
        for kind, given in (
            ("sample", context(model.codec)),
            ("infilling", context(model.codec, prompt, suffix)),
        ):
            chains = model.draw(1, given, Sampling())
            file = f"{name.replace('/', '-')}-{kind}.png"
            _picture(model, given, chains, out / file, f"{name}: {kind}")
            caption = f"{int(chains.nfe.max())} network calls. Colour: at which kappa a token came"
            white = "; what is white was given." if kind == "infilling" else "."
            figures.append((f"{name}: {kind}", file, caption + white))
    return figures


def load_chain(name: str, device: str) -> Any:
    """Load a model that is a chain.

    Raises:
        ValueError: When it is an autoregressive baseline.
    """
    model = load(name, device=device)
    if isinstance(model, CausalModel):
        raise ValueError(f"{name} is an autoregressive baseline: only `feller evaluate` knows it")
    return model


def _text(name: str, flags: EvaluateFlags) -> tuple[TextData, Literal["train", "test"]]:
    """Return what to measure on: the text that is named, or what the model's run held out."""
    if flags.data != EvaluateFlags().data:
        return flags.data, flags.split or "train"
    from feller.text.verification import usual_data

    return usual_data(name), flags.split or "test"


def _try(model: Any, how: Sampling) -> None:
    """Refuse a solver that does not suit the model's source, before anything that takes long."""
    model.draw(1, context(model.codec), replace(how, steps=1))


def _compare(asked: int, known: int) -> None:
    """Say that texts are longer than those of training."""
    if asked > known:
        said = (
            f"feller sample: {asked} tokens are more than the {known} that the model was trained on"
        )
        print(said, file=sys.stderr)


def _ends(model: Any) -> tuple[str, str]:
    """Return a beginning and an end that suit what a model writes."""
    if "def" in model.codec.decode(model.codec.tokens("def")[None]) and model.codec.has_end:
        return "def mean(numbers):\n", "    return total / count\n"
    return "ROMEO:\n", "\nJULIET:\nI will not.\n"


def _add(model: Any, chains: Chains, out: Path | None, *, first: bool) -> None:
    """Write the texts of a batch that is done."""
    drawn = zip(model.codec.decode(chains.x), chains.nfe.tolist(), strict=True)
    for i, (text, nfe) in enumerate(drawn):
        add_text(text, out, {"nfe": nfe}, first=first and i == 0)


def _picture(model: Any, given: Context, chains: Chains, file: Path, title: str) -> None:
    """Write a picture of the first text; what was given has no level."""
    file.parent.mkdir(parents=True, exist_ok=True)
    level = chains.level[0].cpu().masked_fill(~given.free, -1.0)
    save_reveal(model.codec, chains.x[0].cpu(), level, file, title=title)


def _show(model: Any, given: Context, flags: SampleFlags) -> None:
    """Show the first text while it is drawn, a frame a step."""
    rng = random.rows(flags.seed, 0, 1, stream="sample")
    device = next(model.parameters()).device
    x, free = (part.to(device)[None] for part in given)
    begun = begin(model, x, rng, free=free, block=flags.sampling.block)
    scheme = flags.sampling.scheme(int(given.free.sum()))
    shaping = shaping_for(model, flags.sampling)
    for chains in follow_tokens(model, scheme, begun, rng, shaping=shaping):
        sys.stderr.write(f"{CLEAR}{model.codec.decode(chains.x)[0]}\n")
        sys.stderr.flush()
    sys.stderr.write(CLEAR)
