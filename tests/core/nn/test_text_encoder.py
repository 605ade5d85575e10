"""Texts as conditions: a frozen encoder from a folder, whose weights are saved with the model's."""

import copy
import json

import pytest
import torch
from torch import nn

from feller.core.config import decode, encode
from feller.core.nn.conditions import Conditions
from feller.core.nn.text_encoder import TextCondition, refuse_fetching

SIZES = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    root = tmp_path_factory.mktemp("bert") / "encoder"
    torch.manual_seed(0)
    config = BertConfig(vocab_size=11, intermediate_size=8, max_position_embeddings=16, **SIZES)
    BertModel(config).save_pretrained(root)
    words = Tokenizer(WordLevel({"[UNK]": 0, "a": 1, "red": 2, "hat": 3}, unk_token="[UNK]"))
    words.pre_tokenizer = Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=words, unk_token="[UNK]").save_pretrained(root)
    return root


def test_texts_tell_apart_and_padding_does_not(folder):
    config = TextCondition(encoder=str(folder))
    ids = config.tokens(["a red hat", "hat"])
    assert ids.tolist() == [[1, 2, 3], [3, -1, -1]]
    embed = config.build(4).eval()
    found = embed(ids, batch=2)
    torch.testing.assert_close(embed(ids[1:, :1], batch=1)[0], found[1])
    assert not found[0].allclose(found[1])
    assert embed(torch.full((1, 3), -1), batch=1).equal(embed(None, batch=1))


def test_the_encoder_is_frozen(folder):
    embed = TextCondition(encoder=str(folder)).build(4).train()
    assert not embed.encoder.training and embed.out.training
    embed(torch.tensor([[1, 2]]), batch=1).sum().backward()
    assert {name for name, p in embed.named_parameters() if p.grad is not None} <= {
        "out.weight", "out.bias", "null",
    }  # fmt: skip
    assert embed.out.weight.grad is not None
    assert not any(p.requires_grad for p in embed.encoder.parameters())


def test_a_saved_model_needs_no_folder(folder):
    conditions = Conditions({"text": TextCondition(encoder=str(folder))})
    embed = conditions.build(4)
    told = {"text": torch.tensor([[1, 2]])}
    data = encode(conditions)
    data["parts"]["text"]["encoder"] = "/gone"
    again = decode(data).build(4)
    with pytest.raises(ValueError, match="folder of the text encoder is missing: /gone"):
        again(told, batch=1)
    again.load_state_dict(embed.state_dict())
    assert again(told, batch=1).equal(embed(told, batch=1))
    assert copy.deepcopy(again)(told, batch=1).equal(embed(told, batch=1))


@pytest.mark.parametrize("text", [None, "{", "{}", '{"model_type": "none such"}'])
def test_a_folder_that_is_no_encoder_is_one_line(text, tmp_path):
    if text:
        (tmp_path / "config.json").write_text(text)
    with pytest.raises(ValueError, match="is not an encoder of transformers") as caught:
        TextCondition(encoder=str(tmp_path)).build(4)
    assert "\n" not in str(caught.value)


def test_code_is_not_fetched(folder, tmp_path):
    fields = json.loads((folder / "config.json").read_text())
    with pytest.raises(ValueError, match="would fetch code"):
        refuse_fetching(fields | {"attn_implementation": {"text": "some/kernel"}})
    assert isinstance(TextCondition(encoder=str(folder)).build(4), nn.Module)
