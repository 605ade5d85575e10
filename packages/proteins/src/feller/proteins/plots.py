"""Pictures of backbones, beside those of a reference where there is one.

Each function returns a figure of matplotlib: `figure.savefig("a.png")` writes it. None holds state:
pyplot is not involved.
"""

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from feller.proteins.metrics.backbones import backbones, distance
from feller.proteins.metrics.ramachandran import counts
from feller.proteins.metrics.secondary import secondary_structure
from feller.proteins.metrics.shape import NATIVE_RADIUS, lengths, radii
from feller.proteins.structure.chain import Chain

__all__ = [
    "bond_lengths",
    "composition",
    "jump_profile",
    "radius_by_length",
    "ramachandran",
    "trajectory_strip",
]

NAMES = ("generated", "reference")
COLOURS = ("#c8461e", "#1b6ca8")
DEGREES = (-180, 180)

RANGES = {"CA-CA": (3.5, 4.1), "C-N": (1.15, 1.55)}
"""What the histograms of links show, in Angstrom."""

VALID = {"CA-CA": (3.703, 3.903), "C-N": (1.25, 1.42)}
"""Between these, in Angstrom, a link counts as valid in the metrics."""

Chains = Sequence[Chain]


def ramachandran(chains: Chains, reference: Chains | None = None) -> Figure:
    """Plot the density of phi and psi over the uniform one, on one scale of colours.

    Args:
        chains: The chains.
        reference: What they are compared with.

    Example:
        >>> from feller.proteins.structure.chain import codes_of
        >>> atoms = np.random.default_rng(0).normal(size=(5, 4, 3)).astype(np.float32)
        >>> chain = Chain("a", atoms, codes_of("AAAAA"), np.arange(5, dtype=np.int32))
        >>> len(ramachandran([chain]).axes)  # one, and the scale
        2
    """
    sides = _sides(chains, reference)
    figure, panels = _figure(len(sides))
    image = None
    for axes, (name, held, _) in zip(panels, sides, strict=True):
        grid = counts(held).sum(0)
        density = grid * grid.size / max(grid.sum(), 1)
        image = axes.imshow(
            np.log10(1 + density.T),
            origin="lower",
            extent=(*DEGREES, *DEGREES),
            cmap="magma_r",
            vmin=0,
            vmax=2,
        )
        axes.set(xlabel="phi / degrees", title=f"{name}: {grid.sum():.0f} residues")
        axes.set(xticks=range(-180, 181, 90), yticks=range(-180, 181, 90))
    panels[0].set_ylabel("psi / degrees")
    if image is not None:
        scale = figure.colorbar(image, ax=panels, label="density over uniform", shrink=0.8)
        marks = np.array([0, 1, 3, 10, 30, 99])
        scale.set_ticks(np.log10(1 + marks).tolist(), labels=[str(mark) for mark in marks])
    return figure


def composition(chains: Chains, reference: Chains | None = None) -> Figure:
    """Plot the helix and strand fraction of each chain, and their means, by P-SEA on both sides."""
    sides = _sides(chains, reference)
    figure, (each, mean) = _figure(2)
    for i, (name, held, colour) in enumerate(sides):
        helix, strand = _fractions(held)
        each.scatter(helix, strand, s=12, alpha=0.6, color=colour, label=name, linewidths=0)
        parts = np.array([helix.mean(), strand.mean(), 1 - helix.mean() - strand.mean()])
        centres = np.arange(3) + 0.4 * (i - (len(sides) - 1) / 2)
        bars = mean.bar(centres, parts, 0.38, color=colour, label=name)
        mean.bar_label(bars, fmt="%.2f", fontsize=8)
    each.plot([0, 1], [1, 0], color="#bbb", linewidth=0.8)
    each.set(
        xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), xlabel="helix fraction", ylabel="strand fraction"
    )
    each.legend()
    mean.set(xticks=range(3), ylabel="mean fraction", ylim=(0, 1))
    mean.set_xticklabels(["helix", "strand", "coil"])
    return figure


def radius_by_length(chains: Chains, reference: Chains | None = None) -> Figure:
    """Plot radii of gyration over lengths, with the power law of native chains."""
    figure, (axes,) = _figure(1, width=6.0)
    sides = _sides(chains, reference)
    for name, held, colour in reversed(sides):
        size = 16 if name == NAMES[0] else 8
        axes.scatter(lengths(held), radii(held), s=size, alpha=0.6, color=colour, label=name)
    every = np.concatenate([lengths(held) for _, held, _ in sides])
    span = np.linspace(max(every.min(), 2), max(every.max(), 3))
    fit = f"{NATIVE_RADIUS.scale:.2f} L^{NATIVE_RADIUS.exponent:.3f}"
    axes.plot(span, NATIVE_RADIUS.at(span), color="black", linewidth=1, label=f"native: {fit}")
    axes.set(xlabel="residues", ylabel="radius of gyration / Angstrom", ylim=(0, None))
    axes.legend()
    return figure


def bond_lengths(chains: Chains, reference: Chains | None = None) -> Figure:
    """Plot the lengths from CA to CA and from C to the next N; what is valid is shaded.

    Lengths outside of a panel are counted into its first or last bin, so that none is hidden.
    """
    figure, panels = _figure(2)
    measured = [(name, _links(held), colour) for name, held, colour in _sides(chains, reference)]
    for axes, (link, (low, high)) in zip(panels, RANGES.items(), strict=True):
        bins = np.linspace(low, high, 61)
        axes.axvspan(*VALID[link], color="#e8efe4")
        for name, links, colour in measured:
            values = links[link]
            valid = (values >= VALID[link][0]) & (values <= VALID[link][1])
            label = f"{name}: {100 * valid.mean() if valid.size else math.nan:.1f}% valid"
            weights = np.full(len(values), 1 / max(len(values), 1))
            inside = np.clip(values, low, high)
            axes.hist(
                inside, bins.tolist(), weights=weights, histtype="step", color=colour, label=label
            )
        axes.set(xlabel=f"{link} / Angstrom", ylabel="fraction of links", xlim=(low, high))
        axes.legend(fontsize=8)
    return figure


def jump_profile(
    times: Float[np.ndarray, " steps"], angles: Float[np.ndarray, "steps residues"]
) -> Figure:
    """Plot how many residues jump in each step, and by which angle.

    Args:
        times: t at which each step starts.
        angles: By how many degrees each residue of each sample jumps in each step; NaN where it
            does not jump.
    """
    figure, (often, far) = _figure(2)
    jumped = ~np.isnan(angles)
    often.step(times, jumped.mean(1), where="post", color=COLOURS[0])
    total = jumped.sum() / max(jumped.shape[1], 1)
    often.set(
        xlabel="t", ylabel="fraction of residues that jump", title=f"{total:.2f} jumps a residue"
    )
    rows = [row[known] for row, known in zip(angles, jumped, strict=True)]
    low, middle, high = np.array(
        [np.quantile(row, [0.1, 0.5, 0.9]) if row.size else [math.nan] * 3 for row in rows]
    ).T
    far.fill_between(times, low, high, color=COLOURS[0], alpha=0.2, linewidth=0, label="10 to 90%")
    far.plot(times, middle, color=COLOURS[0], label="median")
    far.set(xlabel="t", ylabel="angle of jumps / degrees", ylim=(0, 180))
    far.legend()
    for axes in (often, far):
        axes.set_xlim(0, 1)
    return figure


def trajectory_strip(
    frames: Sequence[Float[np.ndarray, "n 4 3"]] | Float[np.ndarray, "steps n 4 3"],
    times: Float[np.ndarray, " steps"] | None = None,
    panels: int = 6,
) -> Figure:
    """Plot CA traces along a trajectory, blue at N and red at C, seen along one axis.

    Args:
        frames: Atoms in Angstrom.
        times: t of each frame, by default evenly from 0 to 1.
        panels: At most so many frames, evenly taken, the first and the last among them.

    Raises:
        ValueError: When there are no frames or no panels.
    """
    if len(frames) == 0 or panels < 1:
        raise ValueError(f"a strip has frames and panels, not {len(frames)} and {panels}")
    clock = np.linspace(0, 1, len(frames)) if times is None else times
    chosen = np.unique(np.linspace(len(frames) - 1, 0, panels).round().astype(int))
    traces = [np.asarray(frames[k], dtype=float)[:, 1] for k in chosen]
    flat = _flattened(traces)
    reach = 1.05 * max(float(np.nanmax(np.abs(trace), initial=1.0)) for trace in flat)
    figure, axes = _figure(len(flat), width=2.2, height=2.5)
    for panel, trace, k in zip(axes, flat, chosen, strict=True):
        lines = LineCollection(list(pairwise(trace)), cmap="turbo")
        lines.set_array(np.arange(len(trace) - 1))
        panel.add_collection(lines)
        panel.set(xlim=(-reach, reach), ylim=(-reach, reach), xticks=[], yticks=[], aspect="equal")
        panel.set_title(f"t = {clock[k]:.2f}", fontsize=9)
    return figure


def _sides(chains: Chains, reference: Chains | None) -> list[tuple[str, Chains, str]]:
    """Return name, chains and colour of each side."""
    both = [chains] if reference is None else [chains, reference]
    return list(zip(NAMES, both, COLOURS, strict=False))


def _figure(columns: int, *, width: float = 4.5, height: float = 3.8) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(width * columns, height), dpi=120, layout="constrained")
    return figure, [figure.add_subplot(1, columns, i + 1) for i in range(columns)]


def _fractions(chains: Chains) -> tuple[np.ndarray, np.ndarray]:
    """Return the helix and the strand fraction of each chain."""
    found = secondary_structure(chains)
    known = np.array([max(len(letters) - letters.count("-"), 1) for letters in found])
    helix, strand = (np.array([letters.count(k) for letters in found]) for k in "HE")
    return helix / known, strand / known


def _links(chains: Chains) -> dict[str, np.ndarray]:
    """Return the lengths of all links, in Angstrom."""
    held = backbones(chains)
    every = {
        "CA-CA": distance(held.ca, held.ahead(held.ca)),
        "C-N": distance(held.atoms[:, 2], held.ahead(held.atoms[:, 0])),
    }
    return {link: values[np.isfinite(values)] for link, values in every.items()}


def _flattened(traces: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Project traces on the two longest axes of the last, about its middle."""
    last = traces[-1][np.isfinite(traces[-1]).all(-1)]
    if len(last) == 0:
        return [trace[:, :2] for trace in traces]
    middle = last.mean(0)
    _, _, axes = np.linalg.svd(last - middle)
    return [(trace - middle) @ axes[:2].T for trace in traces]
