"""A page with backbones in three dimensions: one file, which works offline.

It holds all it needs: the coordinates, to 0.01 Angstrom, and the viewer 3Dmol.js (BSD-3-Clause; its
licence stands beside it in `assets`). It forbids itself, by a content security policy, to ask for
anything else. Secondary structure is that of P-SEA, as in the metrics.
"""

import html
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
from jaxtyping import Float

from feller.proteins.metrics.secondary import secondary_structure
from feller.proteins.structure.chain import Chain
from feller.proteins.structure.writing import replacing

__all__ = ["Chains", "Sample", "page", "write_page"]

VIEWER = "3Dmol-2.5.5.min.js"


@dataclass(frozen=True, eq=False)
class Sample:
    """What the page shows of one chain.

    Attributes:
        chain: The chain.
        facts: What stands beside its name, such as metrics.
        frames: N, CA, C and O in Angstrom at each step of a trajectory that ends in the chain;
            none for the chain alone.
        b_factors: A number for each residue to colour by, such as a confidence.
    """

    chain: Chain
    facts: Mapping[str, float | int | str] = field(default_factory=dict)
    frames: Sequence[Float[np.ndarray, "n 4 3"]] = ()
    b_factors: Float[np.ndarray, " n"] | None = None


class Chains(list[Chain]):
    """Chains, which a notebook shows in three dimensions."""

    def _repr_html_(self) -> str:
        """Return the page of them in a frame."""
        if not self:
            return "no chains"
        inner = html.escape(page([Sample(chain) for chain in self], "Backbones"))
        return f"<iframe srcdoc='{inner}' width='100%' height='480' style='border:0'></iframe>"


def page(samples: Sequence[Sample], title: str = "Backbones") -> str:
    """Return the page as HTML.

    Raises:
        ValueError: When there is no sample, or one has other lengths than its chain.
    """
    if not samples:
        raise ValueError("a page shows at least one sample")
    held = json.dumps([_held(sample) for sample in samples], separators=(",", ":"), allow_nan=False)
    return Template(_asset("page.html")).substitute(
        title=html.escape(title),
        style=_asset("page.css"),
        # A name may hold </script>.
        samples=held.replace("<", "\\u003c"),
        viewer=_asset(VIEWER),
        script=_asset("viewer.js"),
    )


def write_page(samples: Sequence[Sample], path: Path, title: str = "Backbones") -> None:
    """Write the page, about 0.6 MB and 5 kB a frame of 100 residues.

    Args:
        samples: What it shows; the first is shown first.
        path: An `.html` file.
        title: What stands above the list.
    """
    text = page(samples, title)
    with replacing(path) as part:
        part.write_text(text, encoding="utf-8")


def _asset(name: str) -> str:
    return (resources.files("feller.proteins.design") / "assets" / name).read_text(encoding="utf-8")


def _held(sample: Sample) -> dict[str, Any]:
    """Return a sample as the script reads it."""
    chain = sample.chain
    n = len(chain.residues)
    frames = [np.asarray(frame, np.float32) for frame in sample.frames] or [chain.atoms]
    odd = next((frame.shape for frame in frames if frame.shape != (n, 4, 3)), None)
    if odd is not None:
        raise ValueError(f"{chain.name}: a frame of {n} residues is ({n}, 4, 3), not {odd}")
    if sample.b_factors is not None:
        if len(sample.b_factors) != n:
            raise ValueError(f"{chain.name}: {len(sample.b_factors)} B factors for {n} residues")
        if not np.isfinite(sample.b_factors).all():
            raise ValueError(f"{chain.name}: a B factor is infinite or not a number")
    return {
        "name": chain.name,
        "sequence": chain.sequence,
        "numbers": _numbers(chain),
        "structure": secondary_structure([replace(chain, atoms=frame) for frame in frames]),
        "positions": [_positions(frame) for frame in _turned(frames)],
        "levels": None if sample.b_factors is None else _rounded(sample.b_factors, 3),
        "facts": {name: _fact(fact) for name, fact in sample.facts.items()},
    }


def _numbers(chain: Chain) -> list[int]:
    """Number residues from 1, leaving out one number where the chain's numbers have a gap."""
    gap = np.diff(chain.index)
    return np.cumsum([1, *np.where((gap < 0) | (gap > 1), 2, 1)])[: len(chain.index)].tolist()


def _turned(frames: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Turn all frames alike, the last one's longest axis along x and its shortest towards us."""
    ca = frames[-1][:, 1].astype(float)
    ca = ca[np.isfinite(ca).all(-1)]
    if len(ca) == 0:
        return list(frames)
    middle = ca.mean(0)
    _, _, axes = np.linalg.svd(ca - middle)
    axes[2] *= np.linalg.det(axes)  # a turn, no mirror
    return [(frame - middle) @ axes.T for frame in frames]


def _positions(atoms: np.ndarray) -> list[int | None]:
    """Return coordinates as whole hundredths of an Angstrom, None where an atom is missing."""
    return [round(100 * x) if np.isfinite(x) else None for x in atoms.ravel().tolist()]


def _rounded(values: np.ndarray, decimals: int) -> list[float]:
    return np.asarray(values, dtype=float).round(decimals).tolist()


def _fact(fact: float | int | str) -> float | int | str:
    """Return a number that JSON can hold, or else its name."""
    if isinstance(fact, str):
        return fact
    return fact if np.isfinite(fact) else str(fact)
