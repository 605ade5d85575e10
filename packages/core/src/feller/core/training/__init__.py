"""Training: recipes, the loop, checkpoints."""

from feller.core.training.config import (
    DataConfig,
    Dataset,
    ModelConfig,
    Optimizer,
    Recipe,
    Training,
)

__all__ = ["DataConfig", "Dataset", "ModelConfig", "Optimizer", "Recipe", "Training"]
