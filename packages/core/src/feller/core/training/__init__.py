"""Training: recipes, the loop, checkpoints."""

from feller.core.training.config import (
    Completed,
    DataConfig,
    Dataset,
    ModelConfig,
    Optimizer,
    Recipe,
    Training,
)
from feller.core.training.evaluating import Evaluation

__all__ = [
    "Completed", "DataConfig", "Dataset", "Evaluation", "ModelConfig", "Optimizer", "Recipe",
    "Training",
]  # fmt: skip
