"""Networks of transformers: made from a configuration or a folder, and ours from then on."""

import json
from dataclasses import replace

import pytest
import texts
import torch
from safetensors.torch import load_file, save_file
from torch.testing import assert_close

from feller.core.checkpoint import load_model, save_model
from feller.core.config import decode, encode
from feller.core.discrete.losses import CrossEntropy
from feller.core.sizes import SizeError, build_within
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
OTHERS = (
    "esm",
    "esmc",
    "roberta",
    "xlm-roberta",
    "albert",
    "electra",
    "deberta-v2",
    "mpnet",
    "distilbert",
)
VOCABULARY = Vocabulary(tokens=5, has_mask=True)

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


def definition_of(kind, **options):
    """A small configuration; embeddings are narrower than hidden states where they can be."""
    fields = {"model_type": kind, "max_position_embeddings": 64, "embedding_size": 8} | SIZES
    if kind not in ("albert", "electra", "mobilebert"):
        del fields["embedding_size"]
    own = {"modernbert": {"pad_token_id": 3}, "distilbert": {"dim": 16, "hidden_dim": 32}}
    return json.dumps(fields | own.get(kind, {}) | options)


def folder_of(kind, path, **options):
    """Their model with biases that are not zero, and its folder."""
    from transformers import AutoConfig, AutoModelForMaskedLM

    made = AutoConfig.for_model(**json.loads(definition_of(kind, **options)))
    theirs = AutoModelForMaskedLM.from_config(made).eval()
    for name, parameter in theirs.named_parameters():
        if name.endswith("bias"):
            torch.nn.init.normal_(parameter)
    theirs.save_pretrained(path)
    return theirs


def of_folder(path, **options):
    definition = str(path / "config.json")
    return HuggingFaceConfig(**({"definition": definition, "pretrained": str(path)} | options))


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


every_folder = pytest.mark.parametrize(
    "kind", ["bert", "roberta", "distilbert", "modernbert", "mpnet", "albert", "deberta-v2"]
)


@every_folder
def test_weights_of_a_folder_are_taken_over(kind, tmp_path, rng):
    theirs = folder_of(kind, tmp_path)
    network = of_folder(tmp_path, mask=9).build(VOCABULARY).eval()
    x = tokens(rng)
    expected = theirs(
        inputs_embeds=theirs.get_input_embeddings()(torch.where(x == 5, 9, x)),
        attention_mask=torch.ones_like(x),
    ).logits[..., :5]
    assert_close(network.head(network(x, torch.ones(2))), expected)
    assert network.config.pretrained == ""  # its weights travel with the model from here on


@every_folder
def test_a_model_that_began_as_a_folder_survives_its_own(kind, tmp_path, rng):
    folder_of(kind, tmp_path / "theirs")
    model = replace(texts.config(), network=of_folder(tmp_path / "theirs", mask=9)).build().eval()
    again = load_model(save_model(model, tmp_path / "ours"))
    x = tokens(rng)
    assert again.logits(x, 0.5).equal(model.logits(x, 0.5))
    assert again.logits(x, 0.5).std() > 0


def test_an_untied_last_layer_is_taken_over(tmp_path):
    theirs = folder_of("roberta", tmp_path / "theirs", tie_word_embeddings=False)
    model = replace(texts.config(), network=of_folder(tmp_path / "theirs")).build().eval()
    assert model.network.head.weight.equal(theirs.lm_head.decoder.weight[:5])
    load_model(save_model(model, tmp_path / "ours"))


def test_half_precision_of_a_folder_is_read_as_float32(tmp_path, rng):
    folder_of("bert", tmp_path / "full").bfloat16().save_pretrained(tmp_path / "half")
    assert "bfloat16" in (tmp_path / "half" / "config.json").read_text()
    model = replace(texts.config(), network=of_folder(tmp_path / "half", mask=9)).build()
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    again = load_model(save_model(model.eval(), tmp_path / "ours"))
    x = tokens(rng)
    assert again.logits(x, 0.5).equal(model.logits(x, 0.5))


@pytest.mark.parametrize(
    ("kind", "options", "reason"),
    [
        ("bert", {"num_attention_heads": 4}, "num_attention_heads is 4 in network.definition and"),
        ("bert", {"hidden_act": "relu"}, "hidden_act is relu in network.definition and gelu in"),
        ("roberta", {"pad_token_id": 2}, "pad_token_id is 2 in network.definition and 1 in the"),
        ("bert", {"model_type": "electra"}, "model_type is electra in network.definition and bert"),
    ],
)
def test_a_definition_other_than_the_folders_is_refused(kind, options, reason, tmp_path):
    folder_of(kind, tmp_path)
    with pytest.raises(ValueError, match=reason) as caught:
        of_folder(tmp_path, definition=definition_of(kind, **options)).build(VOCABULARY)
    assert "\n" not in str(caught.value)


def test_a_folder_may_have_another_vocabulary_and_labels(tmp_path):
    folder_of("bert", tmp_path)
    same = definition_of("bert", vocab_size=99, num_labels=7, sep_token_id=4)
    of_folder(tmp_path, definition=same).build(VOCABULARY)


def rewrite(path, change):
    weights = load_file(path / "model.safetensors")
    changed = {k: v.contiguous() for k, v in change(weights).items()}
    save_file(changed, path / "model.safetensors", {"format": "pt"})


LAYER = "bert.encoder.layer.1.output.dense.weight"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda w: {k: v for k, v in w.items() if k != LAYER}, f"lacks 1 weights.*{LAYER}"),
        (lambda w: {"else": torch.ones(2)}, "lacks .* weights of its model"),
        (lambda w: w | {LAYER: w[LAYER][:3]}, rf"{LAYER} has shape \(3, 32\)"),
    ],
)
def test_a_folder_without_its_weights_is_refused(change, reason, tmp_path):
    folder_of("bert", tmp_path)
    rewrite(tmp_path, change)
    with pytest.raises(ValueError, match=reason) as caught:
        of_folder(tmp_path).build(VOCABULARY)
    assert "\n" not in str(caught.value)


def test_a_folder_may_lack_the_last_layers_bias(tmp_path):
    folder_of("bert", tmp_path)
    rewrite(tmp_path, lambda w: {k: v for k, v in w.items() if k != "cls.predictions.bias"})
    head = of_folder(tmp_path).build(VOCABULARY).head
    assert head.bias.eq(0).all()
    assert not head.weight[1:].eq(0).any()  # 0 is their padding


@pytest.mark.parametrize("content", [b"", b"garbage " * 9])
@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin"])
def test_corrupt_weights_are_refused_in_one_line(name, content, tmp_path):
    folder_of("bert", tmp_path)
    (tmp_path / "model.safetensors").unlink()
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match="holds no masked language model") as caught:
        of_folder(tmp_path).build(VOCABULARY)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("mask", [-1, 11])
def test_a_mask_that_is_no_id_is_refused(mask, tmp_path):
    folder_of("bert", tmp_path)
    with pytest.raises(
        ValueError, match=f"network.mask is an id of the model, 0 to 10, not {mask}"
    ):
        of_folder(tmp_path, mask=mask).build(VOCABULARY)


@pytest.mark.parametrize("kind", OTHERS)
def test_other_kinds_are_networks_too(kind, tmp_path, rng):
    network = HuggingFaceConfig(definition=definition_of(kind), conditioned=True)
    model = replace(texts.config(), network=network).build().eval()
    x, kappa = tokens(rng), torch.tensor([0.1, 0.9])
    hidden = model.network(x, kappa)
    valid = torch.ones(2, 9) > 0
    valid[:, 7:] = False
    padded = model.network(torch.cat([x, x[:, :2]], 1), kappa, None, valid)
    assert_close(padded[:, :7], hidden)
    assert not torch.allclose(model.network(x, 1 - kappa), hidden, atol=1e-3)
    again = load_model(save_model(model, tmp_path / "model"))
    assert again.network(x, kappa).equal(hidden)


def test_padding_has_no_id_among_ours():
    network = HuggingFaceConfig(definition=definition_of("roberta")).build(VOCABULARY)
    assert network.model.get_input_embeddings().weight.ne(0).all()


def test_fnet_is_for_sequences_of_one_length(rng):
    network = HuggingFaceConfig(definition=definition_of("fnet")).build(VOCABULARY)
    x, valid = tokens(rng), torch.ones(2, 7) > 0
    assert network(x, torch.ones(2), None, valid).shape == (2, 7, 16)
    valid[0, 6] = False
    with pytest.raises(ValueError, match="a fnet reads padding too"):
        network(x, torch.ones(2), None, valid)


@pytest.mark.parametrize(("kind", "longest"), [("bert", 64), ("roberta", 62), ("mpnet", 62)])
def test_a_context_beyond_the_positions_is_refused(kind, longest):
    network = HuggingFaceConfig(definition=definition_of(kind)).build(VOCABULARY)
    network(torch.zeros(1, longest, dtype=torch.long), torch.ones(1))
    with pytest.raises(ValueError, match=f"a context of {longest + 1} is too long: .* {longest}"):
        network(torch.zeros(1, longest + 1, dtype=torch.long), torch.ones(1))


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"definition": "{}"}, "not a configuration of transformers: it has no model_type"),
        ({"definition": "nowhere.json"}, "nowhere.json is not a configuration"),
    ],
)
def test_what_is_no_configuration_is_refused(options, reason):
    with pytest.raises(ValueError, match=reason):
        HuggingFaceConfig(**options)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"definition": '{"model_type": "nonesuch"}'}, "makes no masked language model"),
        ({"definition": definition_of("mobilebert")}, "a mobilebert does not run without its last"),
        ({"definition": definition_of("bart")}, "a bart does not run without its last layer"),
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


@pytest.mark.parametrize(
    "fields",
    [
        {"attn_implementation": "kernels/attention"},
        {"_attn_implementation": "kernels/attention"},
        {"attn_implementation": {"": "kernels/attention"}},
        {"text_config": {"experts_implementation": "kernels/attention"}},
    ],
)
def test_an_implementation_that_would_be_fetched_is_refused(fields):
    definition = json.dumps({"model_type": "bert"} | fields)
    with pytest.raises(ValueError, match=r"'kernels/attention' would fetch code: .* 'sdpa'$"):
        HuggingFaceConfig(definition=definition)
    HuggingFaceConfig(definition=definition.replace("kernels/attention", "sdpa"))


def test_a_network_that_is_too_large_is_told_by_its_size():
    """Not as one that transformers cannot make, after which it would be made in earnest."""
    config = HuggingFaceConfig(definition=definition_of("bert"))
    with pytest.raises(SizeError, match="it has more than 100 numbers"):
        build_within(lambda: config.build(Vocabulary(tokens=5, has_mask=True)), 100)
