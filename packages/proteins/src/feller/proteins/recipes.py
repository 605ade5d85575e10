"""Recipes for proteins. Each function defines a recipe; flags change its fields.

The short ones train on two CPU cores in a few hours, on chains of 40 to 128 residues; the others
have published sizes, for GPUs. All of them read `--data.path`: a file, folder or zip of structures.
"""

from dataclasses import replace
from typing import cast

from feller.core.times import Beta
from feller.core.training import Optimizer, Recipe, Training
from feller.proteins.data.dataset import ProteinData
from feller.proteins.losses import FrameLoss
from feller.proteins.models import ProteinModelConfig
from feller.proteins.networks import FrameTransformerConfig
from feller.proteins.times import FrameTimes

__all__ = ["frameflow", "multiflow", "short_codesign", "short_flow", "short_jump"]


def short_codesign() -> Recipe:
    """Backbones of up to 128 residues with their sequence: one network for flow and jump."""
    network = FrameTransformerConfig(
        dim=96,
        pair=32,
        depth=6,
        num_heads=4,
        updates=3,
        points=4,
        self_conditioning=True,
    )
    return Recipe(
        model=ProteinModelConfig(network=network),
        data=ProteinData(crop=128, long="drop"),
        objective=FrameLoss(hold=0.99),
        times=FrameTimes(together=0.25, structure=0.15, motif=0.1),
        optimizer=Optimizer(name="muon", lr=3e-3, betas=(0.9, 0.98), weight_decay=0.01, final=0.02),
        training=Training(steps=24_000, batch_size=12, checkpoint_every=500, sample_every=4_000),
    )


def short_flow() -> Recipe:
    """Backbones of up to 128 residues, whose rotations flow."""
    base = short_codesign()
    times = FrameTimes(
        base=Beta(2.2, 1.0), together=0.0, apart=0.0, structure=1.0, fold=0.0, inverse=0.0
    )
    model = replace(_model(base), sequence=False)
    return replace(base, model=model, times=times, objective=replace(_loss(base), residue=0.0))


def short_jump() -> Recipe:
    """Backbones of up to 128 residues, whose rotations jump."""
    base = short_flow()
    return replace(base, model=replace(_model(base), flow=0.0, jump=1.0))


def frameflow() -> Recipe:
    """Backbones at the size of FrameFlow (arXiv 2310.05297): 60 to 512 residues, 200,000 steps."""
    base = short_flow()
    network = FrameTransformerConfig(
        dim=256, pair=128, depth=6, num_heads=8, updates=6, points=8, self_conditioning=True
    )
    return _published(base, network)


def multiflow() -> Recipe:
    """Co-design at the size of MultiFlow (arXiv 2402.04997): its clocks, and jumps beside flows."""
    network = FrameTransformerConfig(
        dim=256, pair=128, depth=8, num_heads=8, updates=8, points=8, self_conditioning=True
    )
    return _published(short_codesign(), network)


def _published(base: Recipe, network: FrameTransformerConfig) -> Recipe:
    data = cast(ProteinData, base.data)
    return replace(
        base,
        model=replace(_model(base), network=network),
        data=replace(data, crop=384, long="crop"),
        objective=replace(_loss(base), hold=0.9),
        optimizer=Optimizer(lr=1e-4, warmup=1_000, decay="constant"),
        training=Training(
            steps=200_000,
            batch_size=64,
            ema_decay=0.9999,
            checkpoint_every=5_000,
            sample_every=20_000,
        ),
    )


def _model(recipe: Recipe) -> ProteinModelConfig:
    return cast(ProteinModelConfig, recipe.model)


def _loss(recipe: Recipe) -> FrameLoss:
    return cast(FrameLoss, recipe.objective)
