"""Networks on text: tokens (b, n) to hidden states (b, n, d), and a head to logits (b, n, k)."""

from feller.text.networks.base import TextNetworkConfig
from feller.text.networks.huggingface import HuggingFaceConfig, HuggingFaceNetwork
from feller.text.networks.transformer import TextTransformer, TextTransformerConfig

__all__ = [
    "HuggingFaceConfig",
    "HuggingFaceNetwork",
    "TextNetworkConfig",
    "TextTransformer",
    "TextTransformerConfig",
]
