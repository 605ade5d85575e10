"""Recipes for waves: a function is the truth, flags change its leaves."""

from feller.core.training import Optimizer, Recipe, Training
from feller_waves.models import WaveData, WaveModelConfig


def sine() -> Recipe:
    """Waves of one period and any phase, in a minute on a CPU."""
    return Recipe(
        model=WaveModelConfig(),
        data=WaveData(),
        optimizer=Optimizer(lr=2e-3),
        training=Training(steps=1_000, batch_size=64, sample_every=500),
    )
