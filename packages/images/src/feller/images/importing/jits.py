"""JiT (arXiv 2511.13720): its state dict. It predicts x_1 on straight lines."""

from einops import rearrange

from feller.core.checkpoint import CheckpointError
from feller.core.importing import Foreign, Imported, Importer, Tensors
from feller.images.importing.adm import cosines_last
from feller.images.importing.dits import check_positions
from feller.images.importing.models import Labels, image_model, sides
from feller.images.importing.processes import data_flow
from feller.images.networks.jit import JiTConfig

__all__ = ["JIT"]

_MARKS = frozenset(
    {"x_embedder.proj1.weight", "x_embedder.proj2.weight", "final_layer.linear.weight"}
)
_BLOCK = {"qkv": "attn.qkv", "out": "attn.proj", "gated": "mlp.w12", "narrow": "mlp.w3"}
_NORMS = {
    "norm_attend": "norm1",
    "norm_mlp": "norm2",
    "norm_q": "attn.q_norm",
    "norm_k": "attn.k_norm",
}
_HEADS, _STARTS = {768: 12, 1024: 16, 1280: 16}, {12: 4, 24: 8, 32: 10}
"""Of the published sizes: heads by the width, the block of the label's tokens by the depth."""


def _is_jit(foreign: Foreign) -> bool:
    return {name.removeprefix("net.") for name in foreign.names} >= _MARKS


def _convert(foreign: Foreign) -> Imported:
    held, fields = foreign.tensors("net."), {**foreign.stored.fields, **foreign.config}
    if (noise := float(fields.get("noise_scale", 1.0))) != 1:
        raise CheckpointError(f"noise_scale = {noise:g} is not supported: 1 is")
    config = _config(foreign, held)
    layers = {
        "embed_time.hidden": "t_embedder.mlp.0",
        "embed_time.out": "t_embedder.mlp.2",
        "modulation": "final_layer.adaLN_modulation.1",
        "head": "final_layer.linear",
        "embed_patch": "x_embedder.proj2",
    }
    state = {k: v for ours, theirs in layers.items() for k, v in held.layers(theirs, ours).items()}
    state["embed_time.hidden.weight"] = cosines_last(state["embed_time.hidden.weight"])
    state["embed_patch.weight"] = state["embed_patch.weight"].flatten(1)
    state["narrow.weight"] = held.take("x_embedder.proj1.weight").flatten(1)
    state["norm.weight"] = held.take("final_layer.norm_final.weight")
    state["embed_label.table.weight"] = held.take("y_embedder.embedding_table.weight")
    state["context"] = held.take("in_context_posemb")[0]
    for kind in ("weight", "bias"):
        rows = rearrange(state[f"head.{kind}"], "(a c) ... -> c a ...", a=config.patch_size**2)
        state[f"head.{kind}"] = rows.flatten(0, 1)
    for i in range(config.depth):
        for ours, theirs in _BLOCK.items():
            state |= held.layers(f"blocks.{i}.{theirs}", f"blocks.{i}.{ours}")
        for ours, theirs in _NORMS.items():
            state |= held.layers(f"blocks.{i}.{theirs}", f"blocks.{i}.{ours}", ("weight",))
        state |= held.layers(f"blocks.{i}.adaLN_modulation.1", f"blocks.{i}.modulation")
    size = check_positions(held.take("pos_embed"), config.patch_size)
    held.end("a JiT")
    return image_model(
        config,
        state,
        data_flow(),
        sides(size),
        labels=Labels(config.num_classes, null=True),
        reading={"not held": "the bound of 1 - t from below in their velocities"},
    )


def _config(foreign: Foreign, held: Tensors) -> JiTConfig:
    narrow, channels, patch, _ = held.look("x_embedder.proj1.weight").shape
    dim, depth = held.rows("x_embedder.proj2.weight"), held.count("blocks")
    config = foreign.config
    heads = config.get("num_heads") or _HEADS.get(dim) or foreign.need("num_heads", "12")
    start = config.get("in_context_start") or _STARTS.get(depth)
    return JiTConfig(
        in_channels=channels,
        out_channels=channels,
        patch_size=patch,
        dim=dim,
        depth=depth,
        num_heads=int(heads),
        bottleneck=narrow,
        context=held.look("in_context_posemb").shape[1],
        context_start=int(start or foreign.need("in_context_start", "4")),
        num_classes=held.rows("y_embedder.embedding_table.weight") - 1,
    )


JIT = Importer("JiT", _is_jit, _convert)
