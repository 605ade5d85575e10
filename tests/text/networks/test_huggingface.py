"""Networks of transformers: made from a configuration or a folder, and ours from then on."""

import json
from dataclasses import replace

import pytest
import texts
import torch
from torch.testing import assert_close

from feller.core.checkpoint import load_model, save_model
from feller.core.config import decode, encode
from feller.text.losses import CrossEntropy
from feller.text.networks import HuggingFaceConfig
from feller.text.vocabulary import Vocabulary

SIZES = {
    "vocab_size": 11,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
}
BERT = json.dumps({"model_type": "bert", "max_position_embeddings": 64} | SIZES)
MODERN = json.dumps({"model_type": "modernbert", "pad_token_id": 50283} | SIZES)
VOCABULARY = Vocabulary(tokens=5, has_mask=True)

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
every_kind = pytest.mark.parametrize("definition", [BERT, MODERN], ids=["bert", "modernbert"])


def tokens(rng):
    return torch.randint(6, (2, 7), generator=rng)


@every_kind
@pytest.mark.parametrize("conditioned", [False, True])
def test_a_network_has_hidden_states_and_a_head(definition, conditioned, rng):
    network = HuggingFaceConfig(definition=definition, conditioned=conditioned).build(VOCABULARY)
    network.eval()
    x, kappa = tokens(rng), torch.tensor([0.1, 0.9])
    hidden = network(x, kappa)
    assert hidden.shape == (2, 7, 16)
    assert network.head(hidden).eq(0).all()
    assert network.head(hidden).shape == (2, 7, 5)
    each = network(x, kappa[:, None].expand(x.shape))
    assert_close(each, hidden)
    assert torch.allclose(network(x, 1 - kappa), hidden, atol=1e-3) != conditioned


@every_kind
def test_padding_changes_nothing(definition, rng):
    network = HuggingFaceConfig(definition=definition).build(VOCABULARY).eval()
    x = tokens(rng)
    valid = torch.ones(2, 9) > 0
    valid[:, 7:] = False
    padded = torch.cat([x, x[:, :2]], 1)
    assert_close(network(padded, torch.ones(2), None, valid)[:, :7], network(x, torch.ones(2)))


@every_kind
def test_it_learns_and_survives_its_folder(definition, tmp_path, rng):
    config = replace(texts.config(), network=HuggingFaceConfig(definition=definition))
    model = config.build()
    z = torch.randint(5, (4, 8), generator=rng)
    x, t = model.path.sample(z, 0.5, rng), torch.full((4,), 0.5)
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    losses = []
    for _ in range(40):
        loss = CrossEntropy()(model, model.path, z, t, x).mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.8 * losses[0]
    again = load_model(save_model(model.eval(), tmp_path / "model"))
    assert again.logits(x, 0.5).equal(model.logits(x, 0.5))


def test_weights_of_a_folder_are_taken_over(tmp_path, rng):
    from transformers import AutoConfig, AutoModelForMaskedLM

    theirs = AutoModelForMaskedLM.from_config(AutoConfig.for_model(**json.loads(BERT))).eval()
    theirs.save_pretrained(tmp_path / "bert")
    config = HuggingFaceConfig(
        definition=str(tmp_path / "bert" / "config.json"),
        pretrained=str(tmp_path / "bert"),
        mask=9,
    )
    network = config.build(VOCABULARY).eval()
    x = tokens(rng)
    expected = theirs(input_ids=torch.where(x == 5, 9, x)).logits[..., :5]
    assert_close(network.head(network(x, torch.ones(2))), expected)
    assert network.config.pretrained == ""  # its weights travel with the model from here on


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"definition": "{}"}, "no configuration of transformers: it has no model_type"),
        ({"definition": "nowhere.json"}, "nowhere.json is no configuration"),
    ],
)
def test_what_is_no_configuration_is_refused(options, reason):
    with pytest.raises(ValueError, match=reason):
        HuggingFaceConfig(**options)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"definition": '{"model_type": "nonesuch"}'}, "makes no masked language model"),
        ({"definition": BERT, "pretrained": "nowhere"}, "is a folder, nowhere is none"),
        ({"definition": BERT, "pretrained": "."}, "holds no masked language model"),
    ],
)
def test_what_cannot_be_made_is_refused(options, reason):
    with pytest.raises(ValueError, match=reason):
        HuggingFaceConfig(**options).build(VOCABULARY)


def test_configurations_survive_json():
    config = replace(texts.config(), network=HuggingFaceConfig(definition=BERT))
    assert decode(encode(config)) == config
