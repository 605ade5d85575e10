"""LLaDA, Dream and A2D are read as they are: against Llama and Qwen of transformers, all seen."""

import json

import pytest
import torch
from parity import same_outputs
from safetensors.torch import save_file

from feller.core import load, save_model
from feller.core.checkpoint import CheckpointError
from feller.core.importing import import_model

SIZE, ROWS, MASK = 9, 16, 7
COMMON = {"vocab_size": ROWS, "mask_token_id": MASK, "rms_norm_eps": 1e-5, "rope_theta": 5e4}
SIZES = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
}
LLADA = {
    "d_model": 32,
    "mlp_hidden_size": 48,
    "n_layers": 2,
    "n_heads": 4,
    "n_kv_heads": 2,
    "max_sequence_length": 64,
}
NAMES = {
    "q_proj": "self_attn.q_proj",
    "k_proj": "self_attn.k_proj",
    "v_proj": "self_attn.v_proj",
    "attn_out": "self_attn.o_proj",
    "ff_proj": "mlp.gate_proj",
    "up_proj": "mlp.up_proj",
    "ff_out": "mlp.down_proj",
    "attn_norm": "input_layernorm",
    "ff_norm": "post_attention_layernorm",
}


def oracle_of(kind):
    """A causal model of transformers with random weights; it is shown a mask of ones."""
    from transformers import AutoConfig, AutoModelForCausalLM

    torch.manual_seed(0)
    rope = {"rope_parameters": {"rope_type": "default", "rope_theta": 5e4}}
    fields = SIZES | rope | {"vocab_size": ROWS, "rms_norm_eps": 1e-5, "head_dim": 8}
    made = AutoConfig.for_model(kind, **fields)
    oracle = AutoModelForCausalLM.from_config(made, dtype=torch.float32).eval()
    with torch.no_grad():
        for parameter in oracle.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape))
    return oracle


def right(oracle, x):
    seen = torch.ones(len(x), 1, x.shape[1], x.shape[1], dtype=torch.bool)
    return oracle(input_ids=x, attention_mask=seen).logits


def write(folder, config, state):
    save_file({k: v.clone() for k, v in state.items()}, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(COMMON | config))
    model = {"type": "WordLevel", "vocab": {chr(97 + i): i for i in range(SIZE)}, "unk_token": "a"}
    split = {"type": "Split", "pattern": {"Regex": "."}, "behavior": "Isolated", "invert": False}
    body = {
        "version": "1.0",
        "pre_tokenizer": split,
        "model": model,
        "decoder": {"type": "Fuse"},
    }
    (folder / "tokenizer.json").write_text(json.dumps(body))


def as_llada(state):
    """Their names of the weights of a Llama."""
    found = {
        "model.transformer.wte.weight": state["model.embed_tokens.weight"],
        "model.transformer.ln_f.weight": state["model.norm.weight"],
        "model.transformer.ff_out.weight": state["lm_head.weight"],
    }
    for i in range(2):
        found |= {
            f"model.transformer.blocks.{i}.{theirs}.weight": state[
                f"model.layers.{i}.{name}.weight"
            ]
            for theirs, name in NAMES.items()
        }
    return found


def same(family, model, oracle, rng, *, shifted=False):
    x = torch.randint(SIZE, (2, 12), generator=rng)
    with torch.no_grad():
        due = right(oracle, x)[..., :SIZE]
        found = model.logits(x.masked_fill(x == MASK, SIZE), torch.ones(2))
    due = torch.cat([due[:, :1], due[:, :-1]], 1) if shifted else due
    others = [i for i in range(SIZE) if i != MASK]
    same_outputs(family, found[..., others], due[..., others], oracle="transformers")
    assert float(found[..., MASK].max()) < -1e5  # the mask is never predicted
    assert len(model.sample(1, length=6, steps=2, seed=0)) == 1


def test_llada(tmp_path, rng):
    oracle = oracle_of("llama")
    write(tmp_path, {"model_type": "llada"} | LLADA, as_llada(oracle.state_dict()))
    model = load(tmp_path)
    same("LLaDA", model, oracle, rng)
    save_model(model, tmp_path / "ours")
    same("LLaDA", load(tmp_path / "ours"), oracle, rng)


@pytest.mark.parametrize(
    ("name", "kind", "shifted"),
    [("Dream", "qwen2", True), ("a2d-qwen3", "qwen3", False), ("a2d-llama", "llama", False)],
)
def test_dream_and_a2d(name, kind, shifted, tmp_path, rng):
    oracle = oracle_of(kind)
    write(tmp_path, {"model_type": name, "head_dim": 8} | SIZES, oracle.state_dict())
    found = import_model(tmp_path)
    same(name, found.model, oracle, rng, shifted=shifted)
    assert ("shifted by one" in found.reading["head"]) == shifted
    assert f"the mask is their id {MASK}" in found.reading["tokens"]


def test_what_is_not_held(tmp_path):
    state = as_llada(oracle_of("llama").state_dict())
    for config, change, reason in [
        ({"alibi": True}, {}, "alibi = True is not supported"),
        ({"layer_norm_type": "default"}, {}, "layer_norm_type = 'default' is not supported"),
        ({"mask_token_id": None}, {}, "nothing in .* says which id the mask is"),
        ({"mask_token_id": 99}, {}, "embed 16 ids, fewer than"),
        ({}, {"model.transformer.ln_f.weight": None}, r"lacks model\.transformer\.ln_f\.weight"),
        ({}, {"model.transformer.blocks.0.q_norm.weight": torch.ones(8)}, "unknown in a llada"),
        ({}, {"model.transformer.ln_f.weight": torch.ones(3)}, r"norm\.weight is \[3\], the net"),
    ]:
        kept = {k: v for k, v in (state | change).items() if v is not None}
        write(tmp_path, {"model_type": "llada"} | LLADA | config, kept)
        with pytest.raises(CheckpointError, match=reason):
            import_model(tmp_path)
