"""ProteinMPNN: its weights as those of an inverse-folding model on a chain of masks."""

from torch import Tensor

from feller.core.checkpoint import CheckpointError
from feller.core.importing import Foreign, Imported, Importer, Tensors
from feller.proteins.inverse_folding import InverseFoldingConfig
from feller.proteins.networks.message_passing import MessageNetworkConfig
from feller.proteins.structure.chain import UNKNOWN

__all__ = ["MPNN"]

_MARKS = frozenset({"W_s.weight", "W_e.weight", "features.edge_embedding.weight", "W_out.weight"})
_LAYER = {
    "message.0": "W1",
    "message.2": "W2",
    "message.4": "W3",
    "norm_message": "norm1",
    "norm_mlp": "norm2",
    "mlp.0": "dense.W_in",
    "mlp.2": "dense.W_out",
}
_RENEWAL = {"renewal.0": "W11", "renewal.2": "W12", "renewal.4": "W13", "norm_edge": "norm3"}


def _is_mpnn(foreign: Foreign) -> bool:
    return foreign.names >= _MARKS


def _convert(foreign: Foreign) -> Imported:
    held, fields = foreign.tensors(), {**foreign.stored.fields, **foreign.config}
    if held.rows("W_s.weight") != UNKNOWN + 1 or "W_v.weight" in held:
        raise CheckpointError(
            "a ProteinMPNN of CA atoms only is not supported: one of backbones is"
        )
    if (neighbours := fields.get("num_edges")) is None:
        neighbours = foreign.need("num_edges", "48")
    config = MessageNetworkConfig(
        dim=held.rows("W_e.weight"),
        depth=held.count("encoder_layers"),
        decoder_depth=held.count("decoder_layers"),
        neighbours=int(neighbours),
    )
    state = _state(held, config)
    held.end("a ProteinMPNN")
    noise = fields.get("noise_level")
    trained = f", trained with {noise:g} Angstrom of noise" if noise is not None else ""
    return Imported(
        config=InverseFoldingConfig(network=config),
        state={f"network.{name}": value for name, value in state.items()},
        reading={
            "path": "MixturePath, source mask, schedule CondOT()",
            "head": "logits of the posterior of a residue, given those that are known",
            "tokens": "the 20 residues, an unknown one, and the mask",
            "backbones": f"chains by themselves, {config.neighbours} neighbours{trained}",
        },
    )


def _state(held: Tensors, config: MessageNetworkConfig) -> dict[str, Tensor]:
    state = {
        "embed_edge.weight": held.take("features.edge_embedding.weight"),
        "embed_residue.weight": held.take("W_s.weight"),
        **held.layers("features.embeddings.linear", "embed_offset"),
        **held.layers("features.norm_edges", "norm"),
        **held.layers("W_e", "edge"),
        **held.layers("W_out", "head"),
    }
    for i in range(config.depth):
        for ours, theirs in _LAYER.items():
            state |= held.layers(f"encoder_layers.{i}.{theirs}", f"encoder.{i}.layer.{ours}")
        for ours, theirs in _RENEWAL.items():
            state |= held.layers(f"encoder_layers.{i}.{theirs}", f"encoder.{i}.{ours}")
    for i in range(config.decoder_depth):
        for ours, theirs in _LAYER.items():
            state |= held.layers(f"decoder_layers.{i}.{theirs}", f"decoder.{i}.{ours}")
    return state


MPNN = Importer("ProteinMPNN", _is_mpnn, _convert)
