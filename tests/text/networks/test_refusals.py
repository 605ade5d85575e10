"""Refusals: networks that see one side, and configurations that are checked by their library."""

import json

import pytest
import torch
from torch import nn

from feller.text.networks import HuggingFaceConfig
from feller.text.networks.refusals import refuse_one_sided
from feller.text.vocabulary import Vocabulary

SIZES = {
    "vocab_size": 11,
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 32,
}
XLM = {"emb_dim": 16, "n_layers": 1, "n_heads": 2, "causal": True}


@pytest.mark.parametrize(
    ("kind", "fields", "reason"),
    [
        ("bert", {"is_decoder": True}, "its first position does not see its last"),
        ("electra", {"is_decoder": True}, "its first position does not see its last"),
        ("xlm", XLM, "its first position does not see its last"),
        ("bert", {"hidden_size": "16"}, "makes no masked language model of this: Validation error"),
    ],
)
def test_what_is_no_network_of_a_chain_is_refused(kind, fields, reason):
    config = HuggingFaceConfig(definition=json.dumps(SIZES | {"model_type": kind} | fields))
    with pytest.raises(ValueError, match=reason) as caught:
        config.build(Vocabulary(tokens=5, has_mask=True))
    assert "\n" not in str(caught.value)


def test_a_network_of_both_sides_passes():
    table = nn.Embedding(2, 3)
    both = nn.Module()
    both.forward = lambda x, kappa: table(x) + table(x).mean(1, keepdim=True)
    refuse_one_sided(both, 8)
    left = nn.Module()
    left.forward = lambda x, kappa: table(x).cumsum(1)
    refuse_one_sided(left, 1)
    with pytest.raises(ValueError, match="both sides"):
        refuse_one_sided(left, 8)
    assert torch.is_grad_enabled()
