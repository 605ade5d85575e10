"""Decoders that attend both ways; what they are read from is in `tests/text/importing`."""

import json

import pytest
import torch

from feller.core.sizes import SizeError, build_within
from feller.text.networks.decoders import DecoderConfig
from feller.text.vocabulary import Vocabulary

SIZES = {
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
}


def config_of(kind="llama", **options):
    return DecoderConfig(definition=json.dumps({"model_type": kind} | SIZES), **options)


@torch.no_grad()
def test_what_is_no_element_is_not_seen(rng):
    network = config_of().build(Vocabulary(tokens=5, has_mask=True)).eval()
    x = torch.randint(6, (2, 7), generator=rng)
    valid = torch.ones(2, 7, dtype=torch.bool)
    valid[:, 5:] = False
    found = network(x, torch.ones(2), valid=valid)[:, :5]
    assert torch.allclose(found, network(x[:, :5], torch.ones(2)), atol=1e-5)
    assert network.head(found).shape == (2, 5, 5)


@torch.no_grad()
def test_shifted(rng):
    straight = config_of().build(Vocabulary(tokens=5)).eval()
    shifted = config_of(shifted=True).build(Vocabulary(tokens=5)).eval()
    shifted.load_state_dict(straight.state_dict())
    x = torch.randint(5, (1, 4), generator=rng)
    one, other = straight(x, torch.ones(1)), shifted(x, torch.ones(1))
    assert torch.equal(other[:, 1:], one[:, :-1]) and torch.equal(other[:, 0], one[:, 0])


def test_sizes_are_seen_before_they_are_made():
    large = DecoderConfig(
        definition=json.dumps({"model_type": "llama"} | SIZES | {"hidden_size": 10**6})
    )
    with pytest.raises(SizeError, match="it has more than"):
        build_within(lambda: large.build(Vocabulary(tokens=5)), 10**6)


def test_what_is_no_decoder_is_refused():
    with pytest.raises(ValueError, match="model_type 'bert', not "):
        config_of("bert")
    with pytest.raises(ValueError, match="is not a configuration"):
        DecoderConfig(definition="[")
    with pytest.raises(ValueError, match="transformers makes no model of it"):
        DecoderConfig(
            definition=json.dumps({"model_type": "llama"} | SIZES | {"num_attention_heads": 0})
        ).build(Vocabulary(tokens=5))
