"""`feller app` for proteins: backbones that fold, drawn as lines, and at their end in 3-D."""

import html
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from feller.core.exhibits import thinned
from feller.core.registry import load
from feller.core.watching import Control, Frame, Slider, Watched
from feller.proteins.design.page import Sample, page
from feller.proteins.design.tasks import DesignFlags, plan
from feller.proteins.design.traces import trace
from feller.proteins.drawing import follow_rows
from feller.proteins.metrics.shape import NATIVE_RADIUS
from feller.proteins.sampling import Sampling

__all__ = ["watched"]

CHAINS, STEPS, MOST_STEPS, FRAMES = 2, 50, 200, 26
ROOM = 3.0
"""What a picture shows, in radii of gyration of a native chain."""
SHORTEST, LENGTH, LONGEST = 40, 80, 128
"""Residues: what the bundled models were trained on."""


def watched(name: str) -> Watched:
    """Open a model of proteins for `feller app`."""
    model = load(name, device="auto")
    label = "Weight of the jump of rotations, the rest to their flow"
    controls: tuple[Control, ...] = (
        Slider(name="length", label="Residues", value=LENGTH, low=SHORTEST, high=LONGEST),
        Slider(name="jump", label=label, value=model.config.jump, low=0, high=1, step=0.05),
        Slider(
            name="noise_scale",
            label="Scale of the noise in the first half: below 1 more typical, 0 for none",
            value=model.config.noise_scale,
            low=0,
            high=1,
            step=0.05,
        ),
        Slider(name="steps", label="Steps", value=STEPS, low=1, high=MOST_STEPS),
        Slider(name="seed", label="Seed", value=0, low=0, high=999),
    )
    return Watched(controls=controls, frames=lambda settings: frames(model, name, settings))


def frames(model: Any, name: str, settings: Mapping[str, Any]) -> Iterator[Frame]:
    """Yield backbones before the first step and after each, and at last in three dimensions.

    Args:
        model: A `ProteinModel`.
        name: What it is called on the page.
        settings: A value for each control of `watched`.
    """
    weight, steps = settings["jump"], settings["steps"]
    model = model.weighted(flow=1 - weight, jump=weight)
    final = model.config.final_noise_scale
    how = Sampling(steps=steps, noise_scale=settings["noise_scale"], final_noise_scale=final)
    (batch,) = plan(DesignFlags(length=str(settings["length"])), CHAINS, seed=settings["seed"])
    radius = ROOM * float(NATIVE_RADIUS.at(np.array([float(settings["length"])]))[0])
    way, chains, caption = [], [], ""
    states = follow_rows(model, batch.rows, batch.given, how, batch.seed)
    for step, (state, calls) in enumerate(states):
        chains = model.codec.decode(state)
        way.append([chain.atoms for chain in chains])
        caption = f"step {step} of {steps}, {calls} network calls"
        yield Frame(markup=trace([atoms[:, 1] for atoms in way[-1]], radius), caption=caption)
    kept = [way[i] for i in thinned(len(way), FRAMES)]
    ways = zip(chains, zip(*kept, strict=True), strict=True)
    inner = html.escape(page([Sample(chain, frames=atoms) for chain, atoms in ways], name))
    yield Frame(
        markup=f'<iframe srcdoc="{inner}" title="backbones in 3-D"></iframe>', caption=caption
    )
