"""ESM-2 and ESM-C: the function they are of ids, bit for bit, though embeddings are given."""

import json
from dataclasses import replace

import pytest
import texts
import torch

from feller.core.checkpoint import load_model, save_model
from feller.text.networks import HuggingFaceConfig
from feller.text.networks.entrances import scaled_for_masks
from feller.text.vocabulary import Vocabulary

SIZES = {
    "vocab_size": 11,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "pad_token_id": 1,
    "mask_token_id": 9,
}
OURS = Vocabulary(tokens=11, has_mask=True)
MASK, THEIRS = 11, 9

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
esm2 = [
    {"position_embedding_type": kind, "token_dropout": dropout, "emb_layer_norm_before": norm}
    for kind, norm in (("rotary", False), ("absolute", True), ("absolute", False))
    for dropout in (False, True)
]
every_esm = pytest.mark.parametrize(
    "fields",
    [{"model_type": "esm", **options} for options in esm2] + [{"model_type": "esmc"}],
    ids=lambda fields: "-".join(map(str, fields.values())),
)


def folder_of(fields, path):
    """Their model with weights that are all random, and its folder."""
    from transformers import AutoConfig, AutoModelForMaskedLM

    made = AutoConfig.for_model(**SIZES, **fields)
    theirs = AutoModelForMaskedLM.from_config(made).eval()
    for parameter in theirs.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    theirs.save_pretrained(path)
    return theirs


def network_of(path):
    config = HuggingFaceConfig(
        definition=str(path / "config.json"), pretrained=str(path), mask=THEIRS
    )
    return config.build(OURS).eval()


def ids_of(masks, rng):
    """Ids with a number of masks in the second row: ours and theirs."""
    x = torch.randint(2, 9, (2, 8), generator=rng)
    x[1, :masks] = MASK
    return x, torch.where(x == MASK, THEIRS, x)


def hidden_of(theirs, **given):
    """What reaches their last layer."""
    found = []
    last = theirs.get_output_embeddings()
    hook = last.register_forward_hook(lambda module, inputs, output: found.append(inputs[0]))
    logits = theirs(**given).logits
    hook.remove()
    return found[0], logits


@every_esm
@pytest.mark.parametrize("masks", [0, 3, 7])
@torch.no_grad()
def test_it_is_their_function_of_ids(fields, masks, tmp_path, rng):
    theirs, (x, ids) = folder_of(fields, tmp_path), ids_of(masks, rng)
    network = network_of(tmp_path)
    hidden, logits = hidden_of(theirs, input_ids=ids, attention_mask=torch.ones_like(ids))
    ours = network(x, torch.ones(2))
    assert ours.equal(hidden)
    assert network.head(ours).equal(logits)


@every_esm
@torch.no_grad()
def test_padding_is_theirs_too(fields, tmp_path, rng):
    theirs, (x, ids) = folder_of(fields, tmp_path), ids_of(3, rng)
    valid = torch.ones(2, 8) > 0
    valid[1, 6:] = False
    hidden, _ = hidden_of(theirs, input_ids=ids.masked_fill(~valid, 1), attention_mask=valid.long())
    for fill in (1, MASK):  # what stands in padding is not looked at
        ours = network_of(tmp_path)(x.masked_fill(~valid, fill), torch.ones(2), None, valid)
        assert ours[valid].equal(hidden[valid])


@every_esm
def test_a_text_that_is_all_masks_is_finite_and_the_model_trains(fields, tmp_path, rng):
    network = HuggingFaceConfig(definition=json.dumps(SIZES | fields), conditioned=True)
    model = replace(texts.config(), network=network).build()
    mask = model.vocabulary.mask
    x = torch.full((2, 8), mask)
    loss = model.network(x, torch.tensor([0.0, 0.5])).pow(2).mean()
    loss.backward()
    assert loss.isfinite()
    without = {
        name
        for name, p in model.network.model.named_parameters()
        if p.grad is None or not p.grad.isfinite().all()
    }
    assert not without  # each has a gradient, as a group of processes needs
    model.eval()
    again = load_model(save_model(model, tmp_path / "model"))
    assert again.logits(x, 0.5).equal(model.logits(x, 0.5))
    kappa = torch.tensor([0.1, 0.9])
    assert not torch.allclose(model.network(x, kappa), model.network(x, 1 - kappa), atol=1e-4)


def test_masks_scale_what_is_left():
    """Of 4 tokens 1 is a mask: the others times .88 / .75."""
    masked = torch.tensor([[True, False, False, False, True]])
    seen = torch.tensor([[1, 1, 1, 1, 0]])
    scaled = scaled_for_masks(torch.ones(1, 5, 1), masked, seen).flatten()
    assert torch.allclose(scaled[1:4], torch.tensor(0.88 / 0.75))
    assert scaled[0] == 0


def test_a_source_without_masks_has_none_to_drop(rng):
    fields = SIZES | {"model_type": "esm", "token_dropout": True}
    network = HuggingFaceConfig(definition=json.dumps(fields), conditioned=True)
    built = network.build(Vocabulary(tokens=11))
    assert built(torch.randint(11, (2, 8), generator=rng), torch.ones(2)).isfinite().all()
