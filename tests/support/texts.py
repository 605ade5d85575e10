"""A tiny model of text, whose weights are random and yet do something."""

import copy

import torch

from feller.core.nn.transformer import TransformerConfig
from feller.text.autoregressive import CausalModelConfig
from feller.text.codec import TextCodec
from feller.text.models import TextModelConfig
from feller.text.networks import TextTransformerConfig
from feller.text.tokenizers import Characters

ALPHABET = "abcd "
CODEC = TextCodec(tokenizer=Characters(ALPHABET), length=8)
BLOCKS = TransformerConfig(dim=16, depth=2, num_heads=2, rotary=True, qk_norm=True)


def config(noise="mask", *, num_classes=0, codec=CODEC, **options):
    """A configuration for a source by name."""
    network = TextTransformerConfig(
        transformer=BLOCKS, window=3, conditioned=noise != "mask", num_classes=num_classes
    )
    frequencies = (1.0, 2.0, 3.0, 4.0, 5.0) if noise == "unigram" else ()
    return TextModelConfig(
        network=network, codec=codec, noise=noise, frequencies=frequencies, **options
    )


def causal_config():
    """That of the autoregressive baseline."""
    network = TextTransformerConfig(transformer=BLOCKS, window=3, causal=True)
    return CausalModelConfig(network=network, codec=CODEC)


def model(noise="mask", **options):
    """The model, with the same weights each time."""
    return shaken(config(noise, **options).build())


def causal():
    """The baseline, likewise."""
    return shaken(causal_config().build())


def shaken(made, seed=3):
    """Give a fresh model, which returns zeros, weights that do something."""
    rng = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.copy_(0.3 * torch.randn(parameter.shape, generator=rng))
        for name, buffer in made.named_buffers():
            if name.endswith("trained"):  # labels
                buffer.fill_(True)
    return made.eval()


def misspelt(config, **names):
    """Make a configuration with names that its types forbid, as where types are not checked."""
    wrong = copy.copy(config)
    for field, name in names.items():
        object.__setattr__(wrong, field, name)
    wrong.__post_init__()
