"""Masked models that `transformers` reads back: the same logits, bit for bit, and ids."""

import json
import warnings

import pytest
import torch

from feller.core import load
from feller.core.checkpoint import CheckpointError
from feller.core.exporting import export_model
from feller.core.nn.transformer import TransformerConfig
from feller.text import TextModelConfig
from feller.text.codec import TextCodec
from feller.text.networks import HuggingFaceConfig, TextTransformerConfig
from feller.text.tokenizers import Characters

SIZES = {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 40,
}

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


def fresh(kind, codec, **fields):
    """A model of ours with random weights."""
    torch.manual_seed(0)
    network = HuggingFaceConfig(definition=json.dumps({"model_type": kind} | SIZES | fields))
    model = TextModelConfig(network=network, codec=codec).build().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape))
    return model


def theirs(folder):
    from transformers import AutoModelForMaskedLM, AutoTokenizer

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = AutoModelForMaskedLM.from_pretrained(folder, local_files_only=True).eval()
        return found, AutoTokenizer.from_pretrained(folder, local_files_only=True)


@torch.no_grad()
@pytest.mark.parametrize("kind", ["bert", "esm"])
def test_a_mask_is_added_to_an_alphabet(kind, tmp_path):
    more = {"position_embedding_type": "rotary", "token_dropout": True} if kind == "esm" else {}
    model = fresh(
        kind, TextCodec(tokenizer=Characters("ab c\n"), length=20), pad_token_id=0, **more
    )
    reading = export_model(model, "transformers", tmp_path / "out")
    assert "'[MASK]', their id 5" in reading["tokens"]
    oracle, tokenizer = theirs(tmp_path / "out")
    text = "ab c\nba"
    ids = tokenizer(text, add_special_tokens=False, return_tensors="pt")["input_ids"]
    assert ids[0].tolist() == model.codec.tokenizer.encode(text)
    assert tokenizer.decode(ids[0]) == text
    assert tokenizer.mask_token_id == oracle.config.mask_token_id == 5
    x = ids.index_fill(1, torch.tensor([1, 3]), 5)
    ours = model.logits(x, torch.ones(1))
    found = oracle(input_ids=x, attention_mask=torch.ones_like(x)).logits
    assert found[..., :5].equal(ours) and ours.std() > 0.1
    assert float(found[..., 5].max()) < -1e5  # never predicted
    again = load(tmp_path / "out")  # its tokenizer has the mask, the model one more of its own
    assert again.logits(x.masked_fill(x == 5, 6), torch.ones(1))[..., :5].equal(ours)
    export_model(again, "transformers", tmp_path / "again")
    for name in ("model.safetensors", "tokenizer.json"):
        files = [tmp_path / home / name for home in ("out", "again")]
        assert files[0].read_bytes() == files[1].read_bytes()


def test_bytes(tmp_path):
    model = fresh("bert", TextCodec(length=20, has_end=True))
    export_model(model, "transformers", tmp_path / "out")
    oracle, tokenizer = theirs(tmp_path / "out")
    text = "Tö be\n\x00 or  not"
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    assert ids == model.codec.tokenizer.encode(text)
    assert tokenizer.mask_token_id == 257 and oracle.config.vocab_size == 258


def test_what_transformers_does_not_have(tmp_path):
    own = TextTransformerConfig(transformer=TransformerConfig(dim=8, depth=1, num_heads=1))
    codec = TextCodec(tokenizer=Characters("ab"))
    model = TextModelConfig(network=own, codec=codec).build()
    shown = HuggingFaceConfig(
        definition=json.dumps({"model_type": "bert"} | SIZES), conditioned=True
    )
    told = TextModelConfig(network=shown, codec=codec, noise="uniform").build()
    for given, reason in [
        (model, "no masked model of transformers is a TextTransformerConfig"),
        (told, "a network that is shown kappa is not a masked model"),
    ]:
        with pytest.raises(CheckpointError, match=reason):
            export_model(given, "transformers", tmp_path / "out")
        assert not (tmp_path / "out").exists()
