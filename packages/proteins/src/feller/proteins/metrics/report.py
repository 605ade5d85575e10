"""One report on a set of chains: every figure with its interval, and a reference's own beside it.

A report is plain data that JSON holds:

- `chains`, `reference`: how many, how many residues, the range of lengths; `settings`, `tool`;
- `figures`: name -> `value`, `low`, `high` (95%; None where there is none), `unit`, and `reference`
  with the first three of the reference;
- `divergences`: name -> `value`, `low`, `high`, `unit`, and `baseline` with the first three of as
  many chains of the reference against its others: a value inside it is native;
- `skipped`: name -> why something was not measured.

The reference is cut to chains about as long as the samples: long chains have other distributions.
Its radius of gyration by length is fitted before the cut, and the nearest chain is sought in all of
it.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from feller.core.cards import Metric
from feller.proteins.metrics import diversity
from feller.proteins.metrics.estimates import Estimate, Tally, mean_tally
from feller.proteins.metrics.fragments import fragment_rmsd
from feller.proteins.metrics.selfconsistency import MISSING, has_proteinmpnn, sequence_figures
from feller.proteins.metrics.shape import fit_radius
from feller.proteins.metrics.table import chain_tallies, divergences, figure
from feller.proteins.metrics.tm import tool_of
from feller.proteins.structure.chain import Chain

__all__ = ["Settings", "comparable", "metrics_of", "report"]

ENOUGH = 20
NO_REFERENCE = "needs a reference of at least two chains"
NO_TRACE = "no chain has the CA of five residues"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What a report measures, and how thoroughly.

    Attributes:
        seed: Chooses resamples, fragments, and the chains of what is below.
        reference: At most so many chains of the reference are measured.
        stretch: The reference is cut to the lengths of the samples, widened by this fraction.
        tm: How many chains are aligned with each other and with the reference, on either side, for
            diversity and novelty; 0 leaves both out. 30 take about a minute with biotite.
        candidates: With how many chains of the reference each of them is aligned.
        sequences: How many chains, on either side, go through ProteinMPNN; 0 for none.
    """

    seed: int = 0
    reference: int = 1_000
    stretch: float = 0.1
    tm: int = 0
    candidates: int = 20
    sequences: int = 0


def report(
    chains: Sequence[Chain],
    reference: Sequence[Chain] | None = None,
    settings: Settings | None = None,
) -> dict[str, Any]:
    """Measure chains, beside those of a reference.

    Args:
        chains: The chains, such as samples of a model.
        reference: Native chains; without, only what needs none is measured.
        settings: How thoroughly.

    Raises:
        ValueError: When there are no chains, or the reference is empty.

    Example:
        >>> atoms = np.arange(120, dtype=np.float32).reshape(10, 4, 3)
        >>> chain = Chain("x", atoms, np.zeros(10, np.uint8), np.arange(10, dtype=np.int32))
        >>> report([chain])["figures"]["C-N bonds"]["value"]
        0.0
    """
    how = settings or Settings()
    if not chains or (reference is not None and not reference):
        raise ValueError("a report needs chains, and a reference that is not empty")
    pool = list(reference or ())
    native = comparable(chains, pool, how) if pool else []
    parts = [
        _alone(chains, native, pool, how),
        _fragments(chains, native, how),
        _pairs(chains, native, how),
        _nearest(chains, native, pool, how),
        _sequences(chains, native, how),
    ]
    return {
        "chains": _describe(chains),
        "reference": {**_describe(native), "of": len(pool)} if native else None,
        "settings": asdict(how),
        "tool": tool_of(),
        "figures": {k: v for part in parts for k, v in part.items() if isinstance(v, dict)},
        "divergences": divergences(chains, native, how.seed) if native else {},
        "skipped": {k: v for part in parts for k, v in part.items() if isinstance(v, str)},
    }


def comparable(
    chains: Sequence[Chain], reference: Sequence[Chain], settings: Settings | None = None
) -> list[Chain]:
    """Return chains of a reference about as long as the samples; of all where those are under 20.

    No more than the settings allow are drawn.

    Raises:
        ValueError: When there are no chains.
    """
    if not chains:
        raise ValueError("there is no chain to compare with")
    how = settings or Settings()
    sizes = [len(chain) for chain in chains]
    shortest, longest = min(sizes) * (1 - how.stretch), max(sizes) * (1 + how.stretch)
    fitting = [chain for chain in reference if shortest <= len(chain) <= longest]
    return _some(fitting if len(fitting) >= ENOUGH else reference, how.reference, how.seed)


def metrics_of(found: dict[str, Any], protocol: str = "") -> list[Metric]:
    """Return the figures of a report as those of a model card, with their references.

    Args:
        found: The report.
        protocol: How the chains were made.

    Example:
        >>> half = {"value": 0.5, "low": 0.4, "high": 0.6, "unit": "fraction", "reference": None}
        >>> print(metrics_of({"figures": {"helix": half}, "divergences": {}}, "ten samples")[0])
        0.5 (0.4 to 0.6)
    """
    rows = [*found["figures"].items(), *found["divergences"].items()]
    return [_metric(name, row, protocol) for name, row in rows if row["value"] is not None]


def _metric(name: str, row: dict[str, Any], protocol: str) -> Metric:
    whose = "reference" if "reference" in row else "baseline"
    usual = Estimate(**row[whose]) if row[whose] else Estimate(None)
    parts = [protocol, row["unit"], "" if usual.value is None else f"{whose} {usual}"]
    how = ", ".join(part for part in parts if part)
    return Metric(name=name, value=row["value"], low=row["low"], high=row["high"], protocol=how)


def _describe(chains: Sequence[Chain]) -> dict[str, Any]:
    sizes = [len(chain) for chain in chains]
    shortest, middle, longest = (float(x) for x in np.quantile(sizes, [0, 0.5, 1]))
    size = {"shortest": shortest, "median": middle, "longest": longest}
    return {"chains": len(chains), "residues": sum(sizes), "lengths": size}


def _some(chains: Sequence[Chain], n: int, seed: int) -> list[Chain]:
    order = np.random.default_rng(seed).permutation(len(chains))[:n]
    return [chains[i] for i in order]


def _rows(ours: dict[str, Tally], native: dict[str, Tally], seed: int) -> dict[str, Any]:
    beside = {name: tally.estimate(seed=seed) for name, tally in native.items()}
    return {k: figure(k, tally.estimate(seed=seed), beside.get(k)) for k, tally in ours.items()}


def _alone(
    chains: Sequence[Chain], native: list[Chain], pool: list[Chain], how: Settings
) -> dict[str, Any]:
    radius = fit_radius(pool) if pool else None
    usual = chain_tallies(native, radius) if native else {}
    return _rows(chain_tallies(chains, radius), usual, how.seed)


def _fragments(chains: Sequence[Chain], native: list[Chain], how: Settings) -> dict[str, Any]:
    """Compare fragments with those of one half of the reference, as its other half is compared."""
    name = "fragment RMSD"
    if len(native) < 2:
        return {name: NO_REFERENCE}
    pool, others = native[::2], native[1::2]
    ours, usual = (fragment_rmsd(some, pool, seed=how.seed) for some in (chains, others))
    return _rows({name: ours}, {name: usual}, how.seed)


def _pairs(chains: Sequence[Chain], native: list[Chain], how: Settings) -> dict[str, Any]:
    if how.tm < 2:
        return {"pairwise TM": "no chains are aligned: tm is below 2"}
    ours, usual = diversity.aligned(chains), diversity.aligned(native)
    if not ours:
        return {"pairwise TM": NO_TRACE}
    sides = [diversity.pair_scores(_some(side, how.tm, how.seed)) for side in (ours, usual)]
    means = [diversity.mean_pair(scores, seed=how.seed) for scores in sides]
    folds = [_folds(scores) for scores in sides]
    return {
        "pairwise TM": figure("pairwise TM", *means),
        "fold clusters": figure("fold clusters", *folds),
    }


def _folds(scores: np.ndarray) -> Estimate:
    n = len(scores)
    return Estimate(len(set(diversity.clusters(scores).tolist())) / n if n else None)


def _nearest(
    chains: Sequence[Chain], native: list[Chain], pool: list[Chain], how: Settings
) -> dict[str, Any]:
    if how.tm < 1:
        return {"nearest TM": "no chains are aligned: tm is 0"}
    chains, native, pool = (diversity.aligned(some) for some in (chains, native, pool))
    if not chains or len(native) < 2:
        return {"nearest TM": NO_REFERENCE if chains else NO_TRACE}
    sides = []
    for side in (chains, native):
        some = _some(side, min(how.tm, len(side) - 1 if side is native else how.tm), how.seed)
        taken = {id(chain) for chain in some}
        others = [chain for chain in pool if id(chain) not in taken]
        sides.append(diversity.nearest_scores(some, others, candidates=how.candidates))
    ours, usual = (
        {"nearest TM": mean_tally(x), "known folds": mean_tally((x > diversity.SAME_FOLD) * 1.0)}
        for x in sides
    )
    return _rows(ours, usual, how.seed)


def _sequences(chains: Sequence[Chain], native: list[Chain], how: Settings) -> dict[str, Any]:
    if how.sequences < 1 or not has_proteinmpnn():
        return {"ProteinMPNN": MISSING if how.sequences else "no chains go through it"}
    sides = [_some(side, how.sequences, how.seed) for side in (chains, native)]
    ours, usual = (
        {f"ProteinMPNN {name}": tally for name, tally in sequence_figures(some).items()}
        if some
        else {}
        for some in sides
    )
    return _rows(ours, usual, how.seed)
