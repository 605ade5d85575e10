"""DiT (arXiv 2212.09748), also as diffusers has it, and SiT (arXiv 2401.08740).

Their layers are those of our `DiT`. The state dict of a SiT, which learned a flow, and that of a
DiT, which learned the noise of 1000 steps, have the same names: the name of the file says
which, or `--set model=SiT`. Weights do not show the number of heads; the sizes of the paper do.
"""

import re
from dataclasses import replace
from math import isqrt

import torch
from einops import rearrange
from torch import Tensor

from feller.core.checkpoint import CheckpointError
from feller.core.importing import Foreign, Imported, Importer, Tensors
from feller.core.nn.embeddings import grid_positions
from feller.core.nn.transformer import TransformerConfig
from feller.images.importing.adm import cosines_last
from feller.images.importing.diffusers import part_of, process_of
from feller.images.importing.models import Labels, image_model, sides
from feller.images.importing.processes import Process, forward_flow, from_diffusers
from feller.images.networks import DIT_SIZES, DiTConfig

__all__ = ["DIFFUSERS_DIT", "DIT", "check_positions"]

_MARKS = frozenset(
    {"x_embedder.proj.weight", "t_embedder.mlp.0.weight", "final_layer.linear.weight", "pos_embed"}
)
_BLOCK = {
    "attend.qkv": "attn.qkv",
    "attend.out": "attn.proj",
    "mlp.0": "mlp.fc1",
    "mlp.2": "mlp.fc2",
    "modulation.linear": "adaLN_modulation.1",
}
_DIFFUSERS_BLOCK = {
    "attend.out": "attn1.to_out.0",
    "mlp.0": "ff.net.0.proj",
    "mlp.2": "ff.net.2",
    "modulation.linear": "norm1.linear",
}
_PLAIN = {
    "activation_fn": "gelu-approximate",
    "attention_bias": True,
    "norm_type": "ada_norm_zero",
    "norm_elementwise_affine": False,
}


def _is_dit(foreign: Foreign) -> bool:
    return foreign.names >= _MARKS


def _convert(foreign: Foreign) -> Imported:
    held = foreign.tensors()
    config, process = _config(foreign, held), _process(foreign)
    count, null = config.num_classes, held.rows("y_embedder.embedding_table.weight")
    layers = {
        "embed_time.hidden": "t_embedder.mlp.0",
        "embed_time.out": "t_embedder.mlp.2",
        "embed_patch": "x_embedder.proj",
        "transformer.modulation.linear": "final_layer.adaLN_modulation.1",
        "transformer.head": "final_layer.linear",
    }
    depth = held.count("blocks")
    state = {k: v for ours, theirs in layers.items() for k, v in held.layers(theirs, ours).items()}
    for i in range(depth):
        for ours, theirs in _BLOCK.items():
            state |= held.layers(f"blocks.{i}.{theirs}", f"transformer.blocks.{i}.{ours}")
    state["embed_label.table.weight"] = held.take("y_embedder.embedding_table.weight")
    size = check_positions(held.take("pos_embed"), config.patch_size)
    held.end("a DiT or SiT")
    return image_model(
        config,
        _finished(state, config, process),
        process,
        sides(size),
        labels=Labels(count, null=null == count + 1),
        reading={},
    )


def _process(foreign: Foreign) -> Process:
    """Return what the model that the options or the name of the file say learned."""
    chosen = foreign.options.get("model") or foreign.stored.fields.get("model", "")
    known = re.search("sit|dit", str(chosen or foreign.weights.stem).lower())
    name = known[0] if known else ""
    if not name:
        raise CheckpointError(
            f"{foreign.path} may be a SiT, which learned a flow, or a DiT, which learned noise: "
            "give --set model=SiT or --set model=DiT"
        )
    return forward_flow() if name == "sit" else from_diffusers({})


def _config(foreign: Foreign, held: Tensors) -> DiTConfig:
    dim, channels, patch, _ = held.look("x_embedder.proj.weight").shape
    rows = held.rows("y_embedder.embedding_table.weight")
    return DiTConfig(
        in_channels=channels,
        out_channels=channels,
        patch_size=patch,
        transformer=TransformerConfig(
            dim=dim,
            depth=held.count("blocks"),
            num_heads=_heads(foreign, dim),
            mlp_ratio=held.rows("blocks.0.mlp.fc1.weight") / dim,
        ),
        num_classes=int(foreign.config.get("num_classes", rows - 1)),
    )


def _heads(foreign: Foreign, dim: int) -> int:
    known = {size.dim: size.num_heads for size in DIT_SIZES.values()}
    if dim in known and "num_heads" not in foreign.config:
        return known[dim]
    return int(foreign.need("num_heads", "6"))


def check_positions(found: Tensor, patch: int) -> int:
    """Return the side of the images, once positions are known to be the fixed ones of a square.

    Raises:
        CheckpointError: When they are not.
    """
    side = isqrt(found.shape[1])
    if side**2 == found.shape[1]:
        ours = grid_positions(side, side, found.shape[2], like=found.double())
        if torch.allclose(found[0].double(), ours, atol=1e-4):
            return side * patch
    raise CheckpointError("pos_embed is not supported: the fixed sines and cosines of a square are")


def _finished(state: dict[str, Tensor], config: DiTConfig, process: Process) -> dict[str, Tensor]:
    """Return the state in our order: patches as vectors, sines first, channels before pixels."""
    state["embed_patch.weight"] = state["embed_patch.weight"].flatten(1)
    state["embed_time.hidden.weight"] = cosines_last(state["embed_time.hidden.weight"])
    for kind in ("weight", "bias"):
        area = config.patch_size**2
        rows = rearrange(state[f"transformer.head.{kind}"], "(a c) ... -> c a ...", a=area)
        kept = process.turned(rows[: config.out_channels])  # beyond them it is a variance
        state[f"transformer.head.{kind}"] = kept.flatten(0, 1)
    table = state["embed_label.table.weight"]
    if len(table) == config.num_classes:  # our row for no label, which they have not
        state["embed_label.table.weight"] = torch.cat([table, torch.zeros_like(table[:1])])
    return state


def _is_diffusers(foreign: Foreign) -> bool:
    config = part_of(foreign, "transformer").json("config.json")
    return config.get("_class_name") == "DiTTransformer2DModel"


def _convert_diffusers(foreign: Foreign) -> Imported:
    folder = part_of(foreign, "transformer")
    for name, value in _PLAIN.items():
        if folder.config.get(name, value) != value:
            found = folder.config[name]
            raise CheckpointError(f"{name} = {found!r} is not supported: {value!r} is")
    held, process = folder.tensors(), process_of(folder)
    depth, base = held.count("transformer_blocks"), "transformer_blocks.0.norm1.emb"
    config = replace(_diffusers_config(folder, held), frequency_shift=1.0)
    _refuse_unlike_times(held, depth)
    layers = {
        "embed_time.hidden": f"{base}.timestep_embedder.linear_1",
        "embed_time.out": f"{base}.timestep_embedder.linear_2",
        "embed_patch": "pos_embed.proj",
        "transformer.modulation.linear": "proj_out_1",
        "transformer.head": "proj_out_2",
    }
    state = {k: v for ours, theirs in layers.items() for k, v in held.layers(theirs, ours).items()}
    state["embed_label.table.weight"] = held.take(f"{base}.class_embedder.embedding_table.weight")
    held.leave(r"transformer_blocks\.\d+\.norm1\.emb\..*|pos_embed\.pos_embed")
    for i in range(depth):
        theirs, ours = f"transformer_blocks.{i}", f"transformer.blocks.{i}"
        for name, layer in _DIFFUSERS_BLOCK.items():
            state |= held.layers(f"{theirs}.{layer}", f"{ours}.{name}")
        for kind in ("weight", "bias"):
            qkv = [held.take(f"{theirs}.attn1.to_{part}.{kind}") for part in "qkv"]
            state[f"{ours}.attend.qkv.{kind}"] = torch.cat(qkv)
    held.end("a DiTTransformer2DModel")
    return image_model(
        config,
        _finished(state, config, process),
        process,
        sides(folder.need("sample_size", "32")),
        labels=Labels(config.num_classes, null=True),
        reading={},
    )


def _diffusers_config(folder: Foreign, held: Tensors) -> DiTConfig:
    dim, channels, patch, _ = held.look("pos_embed.proj.weight").shape
    table = "transformer_blocks.0.norm1.emb.class_embedder.embedding_table.weight"
    return DiTConfig(
        in_channels=channels,
        out_channels=channels,
        patch_size=patch,
        transformer=TransformerConfig(
            dim=dim,
            depth=held.count("transformer_blocks"),
            num_heads=int(folder.config.get("num_attention_heads", 16)),
            mlp_ratio=held.rows("transformer_blocks.0.ff.net.0.proj.weight") / dim,
            mlp_norm_eps=float(folder.config.get("norm_eps", 1e-5)),
        ),
        num_classes=held.rows(table) - 1,
    )


def _refuse_unlike_times(held: Tensors, depth: int) -> None:
    """Reject blocks that embed time and label each by weights of its own: ours do it once."""
    names = [f"timestep_embedder.linear_{i}.{kind}" for i in (1, 2) for kind in ("weight", "bias")]
    for name in [*names, "class_embedder.embedding_table.weight"]:
        first, *others = (
            held.look(f"transformer_blocks.{i}.norm1.emb.{name}") for i in range(depth)
        )
        if not all(torch.equal(first, other) for other in others):
            raise CheckpointError(f"blocks with different {name} are not supported: equal ones are")


DIT = Importer("DiT or SiT", _is_dit, _convert)
DIFFUSERS_DIT = Importer("DiTTransformer2DModel of diffusers", _is_diffusers, _convert_diffusers)
