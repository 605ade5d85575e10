"""`feller sample` of a model of sequences: residues for the backbones of files, as FASTA."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro
from jaxtyping import Bool

from feller.core.flags import parse_flags
from feller.core.processes import is_first
from feller.core.registry import load
from feller.proteins.design.contigs import rows_kept
from feller.proteins.design.inputs import read_structures
from feller.proteins.inverse_folding import InverseFoldingModel
from feller.proteins.structure.chain import UNKNOWN, Chain, check_bonds, codes_of
from feller.proteins.structure.writing import write_fasta

__all__ = ["SequenceFlags", "sample"]


@dataclass(frozen=True, kw_only=True)
class SequenceFlags:
    """Sample sequences for backbones."""

    backbones: Path
    """A structure file, or a folder or .zip of them. Every chain gets sequences; chains that cannot
    be read are listed."""
    n: Annotated[int, tyro.conf.arg(aliases=["-n"])] = 4
    """Number of sequences per backbone."""
    keep: str | None = None
    """Residues to keep, in contig notation: A12,A30-45; none if None."""
    temperature: float = 0.1
    """Divides the logits; 1 samples from the model's distribution."""
    out: Path = Path("sequences.fasta")
    """File to write."""
    seed: int = 0
    """Random seed; sequence i of a backbone depends only on the seed and i."""
    device: str = "cpu"
    """cpu, cuda, ...; auto uses an accelerator if there is one."""


def sample(name: str, argv: Sequence[str]) -> None:
    """Draw sequences for the backbones of files.

    Raises:
        ValueError: On senseless flags, or where no file holds a chain, one has positions that are
            no backbone, or none has a residue to keep.
    """
    flags = parse_flags(SequenceFlags, argv, prog=f"feller sample {name}")
    chains, refusals = read_structures(flags.backbones)
    for chain in chains:
        check_bonds(chain)
    kept = rows_kept(flags.keep, chains)
    model = load(name, InverseFoldingModel, device=flags.device)
    designs = [
        design
        for chain, keep in zip(chains, kept, strict=True)
        for design in _designs(model, chain, keep, flags)
    ]
    if is_first():  # all draw the same
        write_fasta(designs, flags.out)
        for refusal in refusals:
            print(f"skipped {refusal.name}: {refusal.reason}", file=sys.stderr)
        for chain in (chain for chain in chains if not chain.has_frame.all()):
            stay = int((~chain.has_frame).sum())
            print(f"{chain.name}: {stay} residues without N, CA or C stay", file=sys.stderr)
    pairs = zip(np.repeat(np.arange(len(chains)), flags.n), designs, strict=True)
    native = [_recovered(chains[i], design, kept[i]) for i, design in pairs]
    found = np.concatenate([*native, np.zeros(0)])
    native = f", of which {found.mean():.3f} of the residues are native" if found.size else ""
    print(f"{flags.out}: {len(designs)} sequences of {len(chains)} backbones{native}")


def _designs(
    model: InverseFoldingModel, chain: Chain, keep: list[int], flags: SequenceFlags
) -> list[Chain]:
    how = {"temperature": flags.temperature, "seed": flags.seed}
    drawn = model.sample(chain, flags.n, keep=tuple(keep), **how)
    return [
        replace(chain, name=f"{chain.name}-{i + 1}", residues=codes_of(sequence))
        for i, sequence in enumerate(drawn)
    ]


def _recovered(chain: Chain, design: Chain, keep: list[int]) -> Bool[np.ndarray, " n"]:
    """Return, of the known residues that are drawn, whether the design has them."""
    drawn = chain.has_frame & ~np.isin(np.arange(len(chain)), keep)
    return (chain.residues == design.residues)[(chain.residues != UNKNOWN) & drawn]
