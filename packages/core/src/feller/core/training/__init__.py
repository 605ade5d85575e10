"""Training: recipes, the loop, checkpoints."""

from feller.core.training.config import (
    Completed,
    DataConfig,
    Dataset,
    Evaluation,
    ModelConfig,
    Optimizer,
    Recipe,
    Training,
)

__all__ = [
    "Completed", "DataConfig", "Dataset", "Evaluation", "ModelConfig", "Optimizer", "Recipe",
    "Training",
]  # fmt: skip
