"""Networks on frames: translations, rotations and residues to hidden states and new frames."""

from feller.proteins.networks.frame_transformer import (
    FrameOutput,
    FrameTransformer,
    FrameTransformerConfig,
)

__all__ = ["FrameOutput", "FrameTransformer", "FrameTransformerConfig"]
