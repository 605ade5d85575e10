"""The recipe: everything a training run is, as one value."""

from feller.core.couplings import AlignedPoints, ProductCoupling
from feller.core.losses import Objective
from feller.core.times import Beta
from feller.core.training import Optimizer, Recipe, Training
from molecules.data import QM9
from molecules.model import MoleculeConfig


def qm9() -> Recipe:
    """Molecules of QM9, in about an hour of one CPU core."""
    return Recipe(
        model=MoleculeConfig(),
        data=QM9(),
        objective=Objective(weights=(1.0, 0.25)),  # positions, elements
        times=Beta(2.0, 1.0),  # bonds get their lengths late
        coupling=ProductCoupling({"position": AlignedPoints()}),
        optimizer=Optimizer(name="muon", lr=3e-3, betas=(0.9, 0.98), warmup=100, final=0.02),
        training=Training(
            steps=12_000, batch_size=32, ema_decay=0.999, checkpoint_every=500, sample_every=0
        ),
    )
