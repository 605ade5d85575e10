"""LLaDA, Dream and A2D: blocks of Llama and Qwen that attend both ways, by masks.

LLaDA (arXiv 2502.09992) has names of its own for a Llama's layers. Dream (arXiv 2508.15487) is a
Qwen2 whose outputs are shifted by one, as are those of A2D where `--set shifted=true` says so.
"""

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from torch import Tensor

from feller.core.checkpoint import CheckpointError
from feller.core.importing import Foreign, Imported, Importer, Tensors
from feller.text.codec import TextCodec
from feller.text.importing.vocabularies import Words, words_of
from feller.text.models import TextModelConfig
from feller.text.networks.decoders import DecoderConfig

__all__ = ["DECODERS", "LONGEST"]

LONGEST = 1024
"""Most tokens of a context, unless `--set length=N` says more: they may have 32768 positions."""

_LLADA: Mapping[str, str] = MappingProxyType(
    {
        "hidden_size": "d_model",
        "intermediate_size": "mlp_hidden_size",
        "num_hidden_layers": "n_layers",
        "num_attention_heads": "n_heads",
        "rms_norm_eps": "rms_norm_eps",
        "max_position_embeddings": "max_sequence_length",
    }
)
_LLADA_LAYERS: Mapping[str, str] = MappingProxyType(
    {
        "input_layernorm": "attn_norm",
        "self_attn.q_proj": "q_proj",
        "self_attn.k_proj": "k_proj",
        "self_attn.v_proj": "v_proj",
        "self_attn.o_proj": "attn_out",
        "post_attention_layernorm": "ff_norm",
        "mlp.gate_proj": "ff_proj",
        "mlp.up_proj": "up_proj",
        "mlp.down_proj": "ff_out",
    }
)
# What else a configuration of LLaDA may say is another function.
_LLADA_HELD: Mapping[str, tuple[Any, ...]] = MappingProxyType(
    {
        "activation_type": ("silu",),
        "alibi": (False,),
        "attention_layer_norm": (False,),
        "block_type": ("llama",),
        "clip_qkv": (None,),
        "include_bias": (False,),
        "include_qkv_bias": (False, None),
        "input_emb_norm": (False,),
        "layer_norm_type": ("rms",),
        "rope": (True,),
        "scale_logits": (False,),
    }
)
_QWEN_FIELDS = (
    *("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads"),
    *("num_key_value_heads", "rms_norm_eps", "max_position_embeddings", "hidden_act"),
    *("head_dim", "attention_bias", "mlp_bias", "rope_scaling", "rope_parameters"),
)
_FAMILIES: Mapping[str, str] = MappingProxyType(
    {
        "llada": "llama",
        "dream": "qwen2",
        "a2d-llama": "llama",
        "a2d-qwen2": "qwen2",
        "a2d-qwen3": "qwen3",
    }
)


def _is_decoder(foreign: Foreign) -> bool:
    return str(foreign.config.get("model_type", "")).lower() in _FAMILIES


def _convert(foreign: Foreign) -> Imported:
    kind, theirs = str(foreign.config["model_type"]).lower(), foreign.config
    held, words = foreign.tensors(), words_of(foreign, mask=True)
    if kind == "llada":
        state, fields = _llada(held, theirs, words)
    else:
        state, fields = (
            _qwen(held, theirs, words),
            {name: theirs[name] for name in _QWEN_FIELDS if theirs.get(name) is not None},
        )
    held.end(f"a {theirs['model_type']}")
    if "rope_parameters" not in fields:
        rope = {"rope_type": "default"} | (fields.pop("rope_scaling", None) or {})
        fields["rope_parameters"] = rope | {"rope_theta": float(theirs.get("rope_theta", 1e4))}
    shifted = bool(theirs.get("shifted", kind == "dream"))
    positions = int(fields.get("max_position_embeddings", LONGEST))
    definition = json.dumps({"model_type": _FAMILIES[kind]} | fields)
    config = TextModelConfig(
        network=DecoderConfig(definition=definition, shifted=shifted),
        codec=TextCodec(
            tokenizer=words.tokenizer, length=int(theirs.get("length", min(positions, LONGEST)))
        ),
    )
    return Imported(
        config=config,
        state={f"network.{name}": value for name, value in state.items()},
        reading={
            "path": f"MixturePath, source mask, schedule {config.schedule}",
            "head": "logits of the posterior distribution" + ", shifted by one" * shifted,
            "network": f"the blocks of {_FAMILIES[kind]}, attending both ways",
            "tokens": f"{words.tokenizer.size} ids, contexts of {config.codec.length}; the mask "
            f"is their id {words.mask}, never predicted",
        },
    )


def _llada(
    held: Tensors, theirs: Mapping[str, Any], words: Words
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the weights, and the configuration of a Llama."""
    for name, known in _LLADA_HELD.items():
        if theirs.get(name, known[0]) not in known:
            raise CheckpointError(f"{name} = {theirs[name]!r} is not supported: {known[0]!r} is")
    fields = {ours: theirs[name] for ours, name in _LLADA.items()}
    fields["num_key_value_heads"] = theirs.get("n_kv_heads") or theirs["n_heads"]
    base = "model.transformer"
    state = {}
    for i in range(held.count(f"{base}.blocks")):
        for ours, name in _LLADA_LAYERS.items():
            weight = held.take(f"{base}.blocks.{i}.{name}.weight")
            state[f"model.layers.{i}.{ours}.weight"] = weight
    state["model.norm.weight"] = held.take(f"{base}.ln_f.weight")
    table = held.take(f"{base}.wte.weight")
    last = table if theirs.get("weight_tying") else held.take(f"{base}.ff_out.weight")
    return state | _ends(words, table, last), fields


def _qwen(held: Tensors, theirs: Mapping[str, Any], words: Words) -> dict[str, Tensor]:
    table = held.take("model.embed_tokens.weight")
    tied = theirs.get("tie_word_embeddings") and "lm_head.weight" not in held
    last = table if tied else held.take("lm_head.weight")
    held.leave(r".*\.rotary_emb\.inv_freq")
    inside = {name: held.take(name) for name in held.names() if name.startswith("model.")}
    return inside | _ends(words, table, last)


def _ends(words: Words, table: Tensor, last: Tensor) -> dict[str, Tensor]:
    """Return the embedding and the last layer for our ids."""
    weight, bias = words.predicted(last, None)
    return {
        "model.embed_tokens.weight": words.embedded(table),
        "head.weight": weight,
        "head.bias": bias,
    }


DECODERS = Importer("LLaDA, Dream or A2D", _is_decoder, _convert)
