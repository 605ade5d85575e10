"""Masked language models of transformers: BERT with its tokenizer, ESM-2 with its letters."""

import json

import pytest
import torch
from parity import same_outputs
from safetensors.torch import load_file

from feller.core import CrossEntropy, load, save_model
from feller.core.checkpoint import CheckpointError, model_config
from feller.core.cli import main
from feller.core.importing import import_model
from feller.core.training import Recipe, Training
from feller.core.training.trainer import train
from feller.text.data import TextData

SIZES = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 40,
}
ESM = (
    "<cls> <pad> <eos> <unk> L A G V S E R T I D P K Q N F Y M H W C X B U Z O . - <null_1> <mask>"
)

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


def write(folder, kind, **fields):
    from transformers import AutoConfig, AutoModelForMaskedLM

    torch.manual_seed(0)
    made = AutoConfig.for_model(kind, **SIZES, **fields)
    oracle = AutoModelForMaskedLM.from_config(made, dtype=torch.float32).eval()
    with torch.no_grad():
        for parameter in oracle.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape))
    oracle.save_pretrained(folder)
    return oracle


@pytest.mark.parametrize("token_dropout", [True, False])
def test_esm(token_dropout, tmp_path, rng):
    """Its letters come from `vocab.txt`; masks are those that it was trained with."""
    oracle = write(tmp_path, "esm", vocab_size=33, pad_token_id=1, mask_token_id=32,
                   token_dropout=token_dropout, position_embedding_type="rotary")  # fmt: skip
    (tmp_path / "vocab.txt").write_text("\n".join(ESM.split()))
    model = load(tmp_path)
    assert model.codec.tokenizer.encode("LAG") == [4, 5, 6]
    assert model.codec.decode(torch.tensor([[4, 5, 33]])) == ["LA\N{MEDIUM SHADE}"]
    x = torch.randint(4, 31, (2, 12), generator=rng)
    masked = torch.rand(2, 12, generator=rng) < 0.4
    with torch.no_grad():
        right = oracle(x.masked_fill(masked, 32)).logits
        found = model.logits(x.masked_fill(masked, 33), torch.ones(2))
    name = f"ESM-2, {'with' if token_dropout else 'without'} token_dropout, masks"
    same_outputs(name, found, right, oracle="transformers")
    save_model(model, tmp_path / "ours")
    again = load(tmp_path / "ours").logits(x.masked_fill(masked, 33), torch.ones(2))
    assert torch.equal(again, found)


def test_bert(tmp_path, rng):
    """Its mask is named by the files of its tokenizer."""
    oracle = write(tmp_path, "bert", vocab_size=12)
    vocab = {"[MASK]": 3} | {chr(97 + i): i for i in range(12) if i != 3}
    added = [dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
             | {"id": 3, "content": "[MASK]", "special": True}]  # fmt: skip
    model = {"type": "WordLevel", "vocab": vocab, "unk_token": "a"}
    content = {"version": "1.0", "added_tokens": added, "model": model}
    (tmp_path / "tokenizer.json").write_text(json.dumps(content))
    with pytest.raises(CheckpointError, match=r"nothing in .* says which id the mask is"):
        import_model(tmp_path)
    (tmp_path / "special_tokens_map.json").write_text('{"mask_token": {"content": "[MASK]"}}')
    model = load(tmp_path)
    x = torch.randint(12, (2, 8), generator=rng)
    with torch.no_grad():
        right = oracle(x).logits
        found = model.logits(x.masked_fill(x == 3, 12), torch.ones(2))
    same_outputs("BERT", found, right, oracle="transformers")
    assert model.codec.length == 40
    content = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(content | {"hidden_size": 10**6}))
    with pytest.raises(CheckpointError, match="it has more than"):
        import_model(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(content))
    file = tmp_path / "model.safetensors"
    file.write_bytes(file.read_bytes()[:3000])
    with pytest.raises(CheckpointError, match="is damaged or half a download"):
        import_model(tmp_path)


@pytest.mark.slow
def test_esm_is_trained_measured_and_verified(tmp_path, capsys):
    """ESM-2 as the network of a chain on sequences of proteins, by the same commands as any."""
    write(tmp_path / "esm", "esm", vocab_size=33, pad_token_id=1, mask_token_id=32,
          token_dropout=True, position_embedding_type="rotary")  # fmt: skip
    (tmp_path / "esm" / "vocab.txt").write_text("\n".join(ESM.split()))
    ours, out = save_model(load(tmp_path / "esm"), tmp_path / "ours"), tmp_path / "run"
    codec = load(ours).codec
    (tmp_path / "chains.txt").write_text("LAGVSERTIDPKQNFYMHWC" * 1200)
    data = TextData(
        path=str(tmp_path / "chains.txt"), tokenizer=codec.tokenizer, length=codec.length,
        cache=str(tmp_path / "cache"),
    )  # fmt: skip
    training = Training(
        start=str(ours), start_model=True, steps=2, batch_size=4, sample_every=0, accumulate=1
    )
    recipe = Recipe(
        model=model_config(ours), data=data, objective=CrossEntropy(), training=training
    )
    train(recipe, out, cpu=True)
    before, after = (load_file(f / "model.safetensors") for f in (ours, out / "model"))
    assert before.keys() == after.keys()
    assert any(not after[name].equal(value) for name, value in before.items())
    capsys.readouterr()
    main(["evaluate", str(out), "-n", "2", "--draws", "1", "--steps", "2", "--json"])
    assert json.loads(capsys.readouterr().out)
    main(["verify", str(out), "-n", "16", "--moments", "1", "--threshold", "1e9"])
    assert "relative" in capsys.readouterr().out
