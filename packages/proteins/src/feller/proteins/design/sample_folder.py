"""A folder of samples: structures, their sequences, a page, and how each came.

What a batch has finished is written before the next one begins, so that whoever stops early keeps
it; `samples.fasta` always has all that is there, if there are residues. A folder is of one run:
with its first samples go those of an earlier one.

Beside a scaffold stands a map of where its motif went, `NAME.motif.csv`: a row for each residue
that is kept, its chain and number in the motif, and in the design. In the design's file those
residues have the B factor 1, and new ones 0.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Float

from feller.proteins.design.inputs import TRAJECTORIES
from feller.proteins.design.page import Sample, write_page
from feller.proteins.metrics.geometry import bond_validity, clashes
from feller.proteins.metrics.shape import radii
from feller.proteins.structure.chain import UNKNOWN, Chain
from feller.proteins.structure.writing import (
    FORMATS,
    replacing,
    write_chains,
    write_fasta,
    write_trajectory,
)

__all__ = ["SampleFolder", "soundness"]

FASTA, PAGE = "samples.fasta", "samples.html"
MAP = "motif.csv"
SHOWN = 25  # frames of a trajectory on the page


@dataclass(frozen=True, kw_only=True)
class SampleFolder:
    """Where samples go.

    Attributes:
        path: The folder.
        names: What the samples will be called, in their order.
        format: Of the structures: `pdb`, `cif` or `bcif`.
        fasta: Whether sequences are written, once there is one.
        page: Whether the page is.
        trajectories: Whether files with each step are, in the folder `trajectories`.
        maps: Whether samples are scaffolds, and have a map of their motif.
        done: The samples that are written.
    """

    path: Path
    names: tuple[str, ...]
    format: str = "pdb"
    fasta: bool = True
    page: bool = False
    trajectories: bool = False
    maps: bool = False
    done: dict[str, Sample] = field(default_factory=dict)

    @property
    def files(self) -> list[str]:
        """What will be in the folder, as paths within it."""
        structures = [f"{name}.{self.format}" for name in self.names]
        steps = [f"{TRAJECTORIES}/{file}" for file in structures] if self.trajectories else []
        maps = [f"{name}.{MAP}" for name in self.names] if self.maps else []
        return [*structures, *steps, *maps, *[FASTA] * self.fasta, *[PAGE] * self.page]

    def check(self) -> None:
        """Reject a path that is not a folder, or holds what will not be replaced.

        Raises:
            ValueError: When it is so.
        """
        if self.path.suffix[1:] in FORMATS or self.path.is_file():
            raise ValueError(f"--out is a folder, not {self.path}; --format says the format")
        expected = set(self.files)
        for found in self.path.rglob("*"):
            inside = found.relative_to(self.path).as_posix()
            hidden = found.name.startswith(".")  # what an interrupted writer or a desktop left
            if not hidden and inside not in expected and inside != TRAJECTORIES:
                raise ValueError(f"{self.path} holds {inside} already: choose another --out")

    def add(
        self,
        chains: Sequence[Chain],
        frames: Sequence[Sequence[Float[np.ndarray, "n 4 3"]]] = (),
        kept: Sequence[tuple[str, int] | None] = (),
    ) -> None:
        """Write samples.

        Args:
            chains: The samples.
            frames: The steps of each, where trajectories are written.
            kept: Where maps are written, what each residue is in the motif: see `Given`.
        """
        if not self.done:
            for file in self.files:
                (self.path / file).unlink(missing_ok=True)
        each = frames if self.trajectories else [()] * len(chains)
        for chain, steps in zip(chains, each, strict=True):
            facts = {"residues": len(chain), **soundness([chain])}
            facts["radius of gyration"] = float(radii([chain])[0])
            self.done[chain.name] = Sample(chain, _rounded(facts), _few(steps))
            if self.trajectories:
                file = self.path / TRAJECTORIES / f"{chain.name}.{self.format}"
                write_trajectory(steps, chain.residues, file)
        fixed = np.array([origin is not None for origin in kept], dtype=float)
        levels = [fixed] * len(chains) if self.maps else None
        write_chains(chains, self.path, self.format, levels)
        for chain in chains if self.maps else ():
            _write_map(chain, kept, self.path / f"{chain.name}.{MAP}")
        written = [sample.chain for sample in self.samples]
        if self.fasta and any((chain.residues != UNKNOWN).any() for chain in written):
            write_fasta(written, self.path / FASTA)

    def finish(self, title: str) -> None:
        """Write the page, where one is asked for."""
        if self.page:
            write_page(self.samples, self.path / PAGE, title)

    @property
    def samples(self) -> list[Sample]:
        """The samples that are written, in their order."""
        return [self.done[name] for name in self.names if name in self.done]


def soundness(chains: Sequence[Chain]) -> dict[str, float | None]:
    """Return the fraction of valid C-N bonds and the clashes per residue; None without any."""
    return {"C-N bonds": bond_validity(chains).value, "clashes": clashes(chains).value}


def _write_map(chain: Chain, kept: Sequence[tuple[str, int] | None], file: Path) -> None:
    """Write where the residues of a motif went; a design is chain A."""
    rows = ["motif_chain,motif_residue,design_chain,design_residue,residue"]
    for origin, number, letter in zip(kept, chain.index.tolist(), chain.sequence, strict=True):
        if origin is not None:
            rows.append(f"{origin[0]},{origin[1]},A,{number},{letter}")
    with replacing(file) as part:
        part.write_text("\n".join([*rows, ""]), encoding="utf-8", newline="\n")


def _rounded(facts: Mapping[str, float | int | None]) -> dict[str, float | int | str]:
    return {
        name: "none" if fact is None else round(fact, 3) if isinstance(fact, float) else fact
        for name, fact in facts.items()
    }


def _few(frames: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Return frames evenly taken, the first and the last among them."""
    if len(frames) <= SHOWN:
        return list(frames)
    return [frames[k] for k in np.linspace(0, len(frames) - 1, SHOWN).round().astype(int)]
