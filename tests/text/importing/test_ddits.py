"""MDLM, UDLM, Duo and SEDD are read as they are, against a forward written here."""

import json
import math

import pytest
import torch
import torch.nn.functional as F
from parity import same_outputs
from safetensors.torch import save_file

from feller.core import load
from feller.core.checkpoint import CheckpointError
from feller.core.importing import import_model
from feller.text import Pieces

DIM, HEADS, DEPTH, COND, SIZE = 32, 4, 2, 12, 9
CONFIG = {"n_heads": HEADS, "model_length": 16}


def words(size=SIZE, mask=None):
    """A tokenizer of single letters; one of them may be the mask."""
    vocab = {chr(97 + i): i for i in range(size)}
    added = []
    if mask is not None:
        vocab = {("[MASK]" if i == mask else word): i for word, i in vocab.items()}
        added = [dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
                 | {"id": mask, "content": "[MASK]", "special": True}]  # fmt: skip
    model = {"type": "WordLevel", "vocab": vocab, "unk_token": "a"}
    split = {"type": "Split", "pattern": {"Regex": "."}, "behavior": "Isolated", "invert": False}
    return {"version": "1.0", "added_tokens": added, "pre_tokenizer": split, "model": model,
            "decoder": {"type": "Fuse"}}  # fmt: skip


def state_dict(rows):
    torch.manual_seed(0)
    shapes = {
        "vocab_embed.embedding": (rows, DIM),
        "sigma_map.mlp.0.weight": (COND, 256), "sigma_map.mlp.0.bias": (COND,),
        "sigma_map.mlp.2.weight": (COND, COND), "sigma_map.mlp.2.bias": (COND,),
        "output_layer.norm_final.weight": (DIM,),
        "output_layer.adaLN_modulation.weight": (2 * DIM, COND),
        "output_layer.adaLN_modulation.bias": (2 * DIM,),
        "output_layer.linear.weight": (rows, DIM), "output_layer.linear.bias": (rows,),
    }  # fmt: skip
    for i in range(DEPTH):
        shapes |= {f"blocks.{i}.{name}": shape for name, shape in {
            "norm1.weight": (DIM,), "norm2.weight": (DIM,),
            "attn_qkv.weight": (3 * DIM, DIM), "attn_out.weight": (DIM, DIM),
            "mlp.0.weight": (4 * DIM, DIM), "mlp.0.bias": (4 * DIM,),
            "mlp.2.weight": (DIM, 4 * DIM), "mlp.2.bias": (DIM,),
            "adaLN_modulation.weight": (6 * DIM, COND), "adaLN_modulation.bias": (6 * DIM,),
        }.items()}  # fmt: skip
    return {name: 0.3 * torch.randn(shape) for name, shape in shapes.items()} | {
        "rotary_emb.inv_freq": torch.ones(4)
    }


def forward(w, x, sigma):
    """What the published network does, in functions."""

    def modulated(h, norm, shift, scale):
        return F.layer_norm(h, (DIM,)) * w[norm] * (1 + scale[:, None]) + shift[:, None]

    def turned(q):
        half = DIM // HEADS // 2
        angles = torch.arange(x.shape[1])[:, None] / 10_000 ** (torch.arange(half) / half)
        a, b = q.split(half, -1)
        return torch.cat(
            [a * angles.cos() - b * angles.sin(), b * angles.cos() + a * angles.sin()], -1
        )

    angles = sigma[:, None] * torch.exp(-math.log(10_000) * torch.arange(128) / 128)
    waves = torch.cat([angles.cos(), angles.sin()], 1)
    c = F.silu(F.linear(waves, w["sigma_map.mlp.0.weight"], w["sigma_map.mlp.0.bias"]))
    c = F.silu(F.linear(c, w["sigma_map.mlp.2.weight"], w["sigma_map.mlp.2.bias"]))
    h = w["vocab_embed.embedding"][x]
    for i in range(DEPTH):
        at = f"blocks.{i}"
        s1, c1, g1, s2, c2, g2 = F.linear(
            c, w[f"{at}.adaLN_modulation.weight"], w[f"{at}.adaLN_modulation.bias"]
        ).chunk(6, 1)
        qkv = modulated(h, f"{at}.norm1.weight", s1, c1) @ w[f"{at}.attn_qkv.weight"].T
        q, k, v = qkv.unflatten(2, (3, HEADS, -1)).permute(2, 0, 3, 1, 4)
        mixed = ((turned(q) @ turned(k).mT) / math.sqrt(DIM // HEADS)).softmax(-1) @ v
        h = h + g1[:, None] * (mixed.transpose(1, 2).flatten(2) @ w[f"{at}.attn_out.weight"].T)
        inner = F.linear(modulated(h, f"{at}.norm2.weight", s2, c2), w[f"{at}.mlp.0.weight"],
                         w[f"{at}.mlp.0.bias"])  # fmt: skip
        inner = F.gelu(inner, approximate="tanh")
        h = h + g2[:, None] * F.linear(inner, w[f"{at}.mlp.2.weight"], w[f"{at}.mlp.2.bias"])
    shift, scale = F.linear(
        c, w["output_layer.adaLN_modulation.weight"], w["output_layer.adaLN_modulation.bias"]
    ).chunk(2, 1)
    h = modulated(h, "output_layer.norm_final.weight", shift, scale)
    return F.linear(h, w["output_layer.linear.weight"], w["output_layer.linear.bias"])


def write(folder, config, *, rows=SIZE + 1, mask=None, prefix="", **change):
    """A folder of theirs, and its weights."""
    held = state_dict(rows)
    stored = {f"{prefix}{k}": v for k, v in (held | change).items() if v is not None}
    save_file(stored, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(CONFIG | config))
    (folder / "tokenizer.json").write_text(json.dumps(words(mask=mask)))
    return held


@torch.no_grad()
@pytest.mark.parametrize(
    ("config", "timed"),
    [
        ({"model_type": "mdlm"}, False),
        ({"model_type": "mdlm", "time_conditioning": True}, True),
        ({"graph": {"type": "absorb"}, "model": {"n_heads": HEADS, "length": 16}}, True),
    ],
)
def test_masks(config, timed, tmp_path, rng):
    """The posterior of masked elements, with and without the noise; the mask after the ids."""
    prefix = "backbone." if "model_type" in config else ""
    held = write(tmp_path, config, prefix=prefix)
    model = load(tmp_path)
    x = torch.randint(SIZE + 1, (2, 16), generator=rng)
    kappa = torch.tensor([0.3, 0.9])
    right = forward(held, x, -kappa.log() if timed else torch.zeros(2))[..., :SIZE]
    found = model.logits(x, kappa)
    name = "SEDD" if "graph" in config else f"MDLM{', time conditioning' * timed}"
    same_outputs(name, found, right, oracle="forward in the test")
    assert model.vocabulary.mask == SIZE and model.parametrization == "posterior"
    assert len(model.sample(2, steps=3, seed=0)) == 2


@torch.no_grad()
@pytest.mark.parametrize("name", ["udlm", "duo"])
def test_any_token(name, tmp_path, rng):
    held = write(tmp_path, {"model_type": name}, rows=SIZE, prefix="backbone.")
    model = load(tmp_path)
    x, kappa = torch.randint(SIZE, (2, 16), generator=rng), torch.tensor([0.2, 0.7])
    right = forward(held, x, -kappa.log())
    found = model.logits(x, kappa)
    same_outputs({"udlm": "UDLM", "duo": "Duo"}[name], found, right, oracle="forward in the test")
    assert model.parametrization == "leave_one_out" and model.config.noise == "uniform"
    assert len(model.sample(2, steps=3, seed=0)) == 2


@torch.no_grad()
def test_a_mask_among_the_ids_is_found_and_never_drawn(tmp_path, rng):
    held = write(tmp_path, {"model_type": "mdlm"}, rows=SIZE, mask=4)
    (tmp_path / "tokenizer_config.json").write_text('{"mask_token": "[MASK]"}')
    found = import_model(tmp_path)
    x = torch.randint(SIZE, (2, 16), generator=rng)
    ours = found.model.logits(x.masked_fill(x == 4, SIZE), torch.ones(2))
    right = forward(held, x, torch.zeros(2))
    right[..., 4] = -math.inf
    assert float((ours.softmax(-1) - right.softmax(-1)).abs().max()) < 1e-5
    assert "the mask is their id 4, never predicted" in found.reading["tokens"]


def test_what_is_not_held_or_not_said(tmp_path):
    for config, rows, reason in [
        ({}, SIZE, "does not say which of mdlm, udlm, duo, sedd it is"),
        ({"graph": {"type": "uniform"}}, SIZE, "SEDD with uniform noise is not supported"),
        ({"model_type": "mdlm"}, SIZE + 5, "nothing in .* says which id the mask is"),
        ({"model_type": "udlm"}, SIZE + 5, f"noise from {SIZE + 5} ids, the tokenizer has {SIZE}"),
        ({"model_type": "mdlm", "n_heads": None}, SIZE + 1, "does not say its n_heads"),
        ({"model_type": "mdlm", "n_heads": 5}, SIZE + 1, "5 heads cannot share 32 channels"),
    ]:
        write(tmp_path, config, rows=rows)
        with pytest.raises(CheckpointError, match=reason):
            import_model(tmp_path)
    write(tmp_path, {"model_type": "mdlm"}, mask=4)
    (tmp_path / "tokenizer_config.json").write_text('{"mask_token": "[MASK]"}')
    with pytest.raises(CheckpointError, match=r"mask is 2 in config.json of .* and 4 in the"):
        import_model(tmp_path, {"mask_token_id": 2})
    for change, reason in [
        ({"cond_map.embedding_table.weight": torch.zeros(1)}, "has cond_map.embedding_table"),
        ({"blocks.1.norm2.weight": None}, r"lacks blocks\.1\.norm2\.weight"),
        ({"blocks.1.mlp.2.bias": torch.zeros(3)}, r"mlp\.2\.bias is \[3\], the network has \[32\]"),
    ]:
        write(tmp_path, {"model_type": "mdlm"}, mask=4, **change)
        with pytest.raises(CheckpointError, match=reason):
            import_model(tmp_path)
    (tmp_path / "tokenizer.json").unlink()
    with pytest.raises(CheckpointError, match=r"has no tokenizer\.json: give that of the model"):
        import_model(tmp_path)
    assert Pieces(json.dumps(words())).size == SIZE
