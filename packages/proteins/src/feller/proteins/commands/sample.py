"""`feller sample` for proteins: backbones, folds, sequences and scaffolds into a folder."""

import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from feller.core.flags import parse_flags
from feller.core.processes import is_first
from feller.core.registry import load
from feller.proteins.commands.drawing import (
    DrawFlags,
    cautions,
    chains_of,
    drawn,
    frames_of,
    trained_length,
)
from feller.proteins.design.sample_folder import SampleFolder, soundness
from feller.proteins.design.tasks import DesignFlags, plan

__all__ = ["SampleFlags", "sample"]


@dataclass(frozen=True, kw_only=True)
class SampleFlags:
    """Sample backbones with residues, folds, sequences or scaffolds."""

    n: Annotated[int, tyro.conf.arg(aliases=["-n"])] = 4
    """Number of samples; if several sequences or backbones are given, for each."""
    out: Path = Path("samples")
    """Folder to write to; each batch is written as soon as it is done."""
    format: Literal["pdb", "cif", "bcif"] = "pdb"
    """File format of structures."""
    design: tyro.conf.OmitArgPrefixes[DesignFlags] = field(default_factory=DesignFlags)
    """What is known, and what to design."""
    draw: tyro.conf.OmitArgPrefixes[DrawFlags] = field(default_factory=DrawFlags)
    """How structures are sampled."""
    seed: int = 0
    """Random seed; sample i depends only on the seed and i."""
    page: bool = False
    """Also write samples.html, a page that shows the samples in 3-D."""
    trajectory: bool = False
    """Also write each trajectory to the folder `trajectories`, as the models of one file."""
    json: bool = False
    """Print a summary as JSON."""


def sample(name: str, argv: Sequence[str]) -> None:
    """Draw proteins from a model into a folder.

    Raises:
        ValueError: On senseless flags, files that are not what they should be, or a folder that
            holds something else.
    """
    flags = parse_flags(SampleFlags, argv, prog=f"feller sample {name}")
    if flags.design.inverse_fold is not None and not flags.draw.sequence:
        raise ValueError("--inverse-fold draws sequences: it excludes --no-sequence")
    how = flags.draw.sampling(keep=flags.trajectory)
    batches = plan(flags.design, flags.n, seed=flags.seed, batch_size=flags.draw.batch_size)
    folder = SampleFolder(
        path=flags.out,
        names=tuple(name for batch in batches for name in batch.names),
        format=flags.format,
        fasta=flags.draw.sequence,
        page=flags.page,
        trajectories=flags.trajectory,
        maps=flags.design.contigs is not None,
    )
    folder.check()
    model, start, nfe = load(name, device=flags.draw.device), time.perf_counter(), 0
    said = _without_residues(model, flags.design)
    for line in [*said, *cautions(model, batches, how, trained_length(name))]:
        print(f"warning: {line}", file=sys.stderr)
    for batch, drawing in drawn(model, batches, how):
        nfe = drawing.nfe
        if not is_first():
            continue
        made, steps = chains_of(model, batch, drawing), frames_of(model, batch, drawing)
        folder.add(made, steps, batch.given.kept)
    if not is_first():
        return
    seconds = time.perf_counter() - start
    folder.finish(f"Samples of {name}")
    _tell(
        folder, {"nfe": nfe, "seconds": round(seconds, 3), "seed": flags.seed}, as_json=flags.json
    )


def _without_residues(model: Any, design: DesignFlags) -> list[str]:
    """Return what to know where a model was trained without residues."""
    if model.config.sequence:
        return []
    if design.inverse_fold is not None:
        raise ValueError(
            "the model was trained without residues: --inverse-fold needs a model of them"
        )
    if design.fold is None:
        return []
    return ["the model was trained without residues: it may not heed those of --fold"]


def _tell(folder: SampleFolder, facts: dict[str, Any], *, as_json: bool) -> None:
    """Print where samples are, and how sound they are."""
    n, sound = len(folder.names), soundness([sample.chain for sample in folder.samples])
    if as_json:
        print(json.dumps({"out": str(folder.path), "n": n, **facts, **sound}))
        return
    calls = f"{facts['nfe']} network calls each, {facts['seconds']:.1f} s"
    print(f"{folder.path}: {n} chains, {calls}")
    bonds, near = ("none" if x is None else f"{x:.3f}" for x in sound.values())
    print(f"C-N bonds valid: {bonds}; clashes per residue: {near}")
    if folder.page:
        print(f"open {folder.path / 'samples.html'}")
