r"""MDLM, UDLM, Duo and SEDD: their transformer, which conditions on the total noise.

Its layers are those of `TextTransformer`, but for a weight in each norm and no bias in attention.
With weight w and a scale s(e) that is linear in the condition e,

    norm(x) w (1 + s(e)) = norm(x) (1 + s'(e)),    s' = w s + w - 1,

so that weights go into the scales, exactly. A condition of fewer numbers is filled with zeros,
which stay zeros. Where a model is shown no noise (MDLM without `time_conditioning`), its scales are
constants.

Of a masked element SEDD's scores are the posterior times :math:`1 / (e^\sigma - 1)`: its logits are
read as those of the posterior, whose sum is 1. UDLM and Duo plug what they predict into the reverse
rates: it is the leave-one-out distribution. Sources: arXiv 2406.07524, 2412.10193, 2506.10892,
2310.16834.
"""

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from feller.core.checkpoint import CheckpointError
from feller.core.importing import Foreign, Imported, Importer, Tensors
from feller.core.nn.transformer import TransformerConfig
from feller.text.codec import TextCodec
from feller.text.importing.vocabularies import Words, words_of
from feller.text.models import TextModelConfig
from feller.text.networks import TextTransformerConfig

__all__ = ["DDIT"]

_MARKS = frozenset(
    {"vocab_embed.embedding", "sigma_map.mlp.0.weight", "output_layer.linear.weight"}
)


class Kind(NamedTuple):
    """A family.

    Attributes:
        masks: Whether noise is a mask; or else any token.
        timed: Whether it is shown the noise, where its configuration does not say.
    """

    masks: bool
    timed: bool


_KINDS = {
    "mdlm": Kind(True, False),
    "udlm": Kind(False, True),
    "duo": Kind(False, True),
    "sedd": Kind(True, True),
}


def _is_ddit(foreign: Foreign) -> bool:
    return {name.removeprefix("backbone.") for name in foreign.names} >= _MARKS


def _convert(foreign: Foreign) -> Imported:
    held, kind = foreign.tensors("backbone."), _kind(foreign)
    held.leave(r"rotary_emb\.inv_freq")
    rows = held.rows("vocab_embed.embedding")
    words = words_of(foreign, mask=kind.masks, last=rows - 1 if kind.masks else None)
    timed = bool(foreign.config.get("time_conditioning", kind.timed))
    if not kind.masks and rows != words.tokenizer.size:
        raise CheckpointError(
            f"{foreign.path} draws noise from {rows} ids, the tokenizer has "
            f"{words.tokenizer.size}: give one of as many"
        )
    dim, inner = held.look("vocab_embed.embedding").shape[1], foreign.config.get("model", {})
    fields = inner | foreign.config
    heads = fields.get("n_heads") or foreign.need("n_heads", "12")
    length = fields.get("model_length") or fields.get("length") or foreign.need("length", "1024")
    config = TextModelConfig(
        network=TextTransformerConfig(
            transformer=TransformerConfig(
                dim=dim,
                depth=held.count("blocks"),
                num_heads=int(heads),
                mlp_ratio=held.rows("blocks.0.mlp.0.weight") / dim,
                rotary=True,
                norm_eps=1e-5,
            ),
            conditioned=timed,
            time_input="sigma",
        ),
        codec=TextCodec(tokenizer=words.tokenizer, length=int(length)),
        noise="mask" if kind.masks else "uniform",
        parametrization="posterior" if kind.masks else "leave_one_out",
    )
    state = _state(held, words, timed=timed)
    held.end("the transformer of MDLM, UDLM, Duo and SEDD")
    return Imported(config=config, state=state, reading=_reading(config, words))


def _kind(foreign: Foreign) -> Kind:
    graph: Any = foreign.config.get("graph", {})
    if graph.get("type") == "uniform":
        raise CheckpointError(
            "SEDD with uniform noise is not supported, since its scores are not a distribution of "
            "data: absorb is"
        )
    name = "sedd" if graph else str(foreign.config.get("model_type", "")).lower()
    if name not in _KINDS:
        raise CheckpointError(
            f"{foreign.path} does not say which of {', '.join(_KINDS)} it is: give "
            "--set model_type=NAME"
        )
    return _KINDS[name]


def _reading(config: TextModelConfig, words: Words) -> dict[str, str]:
    mask = "" if words.mask is None else f"; the mask is their id {words.mask}, never predicted"
    shown = "sigma = -log kappa" if config.network.conditioned else "nothing of the noise"
    return {
        "path": f"MixturePath, source {config.noise}, schedule {config.schedule}",
        "head": f"logits of the {config.parametrization} distribution",
        "time": f"the network is shown {shown}; any schedule of kappa may be drawn with",
        "tokens": f"{words.tokenizer.size} ids, contexts of {config.codec.length}{mask}",
    }


def _state(held: Tensors, words: Words, *, timed: bool) -> dict[str, Tensor]:
    state = {"embed.weight": words.embedded(held.take("vocab_embed.embedding"))}
    dim = state["embed.weight"].shape[1]
    shown = _time_embedding(held, dim)
    for i in range(held.count("blocks")):
        theirs, ours = f"blocks.{i}", f"blocks.blocks.{i}"
        state[f"{ours}.attend.qkv.weight"] = held.take(f"{theirs}.attn_qkv.weight")
        state[f"{ours}.attend.qkv.bias"] = state["embed.weight"].new_zeros(3 * dim)
        state[f"{ours}.attend.out.bias"] = state["embed.weight"].new_zeros(dim)
        state[f"{ours}.attend.out.weight"] = held.take(f"{theirs}.attn_out.weight")
        for part in ("mlp.0", "mlp.2"):
            state |= held.layers(f"{theirs}.{part}", f"{ours}.{part}")
        norms = [held.take(f"{theirs}.norm{n}.weight") for n in (1, 2)]
        state |= _scales(held, (theirs, ours), norms, shown, timed=timed)
    norms = [held.take("output_layer.norm_final.weight")]
    state |= _scales(held, ("output_layer", "blocks"), norms, shown, timed=timed)
    last = held.layers("output_layer.linear", "head")
    head = words.predicted(last["head.weight"], last["head.bias"])
    state |= {"head.weight": head[0], "head.bias": head[1]}
    if timed:
        state |= {f"embed_kappa.{name}": value for name, value in shown.items()}
    return {f"network.{name}": value for name, value in state.items()}


def _time_embedding(held: Tensors, dim: int) -> dict[str, Tensor]:
    """Return the layers that embed the noise, sines first, filled with zeros to the width."""
    hidden, out = (held.layers(f"sigma_map.mlp.{i}", "x") for i in (0, 2))
    more = dim - len(hidden["x.bias"])
    if more < 0:
        raise CheckpointError(f"a condition longer than the width, {dim}, is not supported")
    cosines, sines = hidden["x.weight"].chunk(2, dim=1)
    return {
        "hidden.weight": F.pad(torch.cat([sines, cosines], dim=1), (0, 0, 0, more)),
        "hidden.bias": F.pad(hidden["x.bias"], (0, more)),
        "out.weight": F.pad(out["x.weight"], (0, more, 0, more)),
        "out.bias": F.pad(out["x.bias"], (0, more)),
    }


def _scales(
    held: Tensors,
    names: tuple[str, str],
    norms: list[Tensor],
    shown: dict[str, Tensor],
    *,
    timed: bool,
) -> dict[str, Tensor]:
    """Return the modulation of a block, or of the end, with the weights of norms in its scales."""
    theirs, ours = names
    linear = held.layers(f"{theirs}.adaLN_modulation", "x")
    dim = len(norms[0])
    weight = F.pad(linear["x.weight"], (0, len(shown["out.bias"]) - linear["x.weight"].shape[1]))
    weight, bias = weight.unflatten(0, (-1, dim)).clone(), linear["x.bias"].unflatten(0, (-1, dim))
    bias = bias.clone()
    for i, norm in enumerate(norms):  # shift, scale, gate; shift, scale, gate
        scale = 3 * i + 1
        weight[scale] *= norm[:, None]
        bias[scale] = norm * bias[scale] + norm - 1
    if timed:
        return {
            f"{ours}.modulation.linear.weight": weight.flatten(0, 1),
            f"{ours}.modulation.linear.bias": bias.flatten(),
        }
    condition = F.silu(_at_no_noise(shown))
    return {f"{ours}.modulation.vectors": (weight @ condition + bias)[:, None, None]}


def _at_no_noise(shown: dict[str, Tensor]) -> Tensor:
    """Return the embedding of sigma = 0: sines are 0 and cosines 1."""
    half = shown["hidden.weight"].shape[1] // 2
    waves = torch.cat([torch.zeros(half), torch.ones(half)])
    hidden = F.silu(shown["hidden.weight"] @ waves + shown["hidden.bias"])
    return shown["out.weight"] @ hidden + shown["out.bias"]


DDIT = Importer("MDLM, UDLM, Duo or SEDD", _is_ddit, _convert)
