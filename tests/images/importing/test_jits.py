"""JiT is read as it is, against a forward written here."""

import argparse
import math

import pytest
import torch
import torch.nn.functional as F
from parity import same_outputs
from safetensors.torch import save_file

from feller.core.checkpoint import CheckpointError
from feller.core.importing import import_model

DIM, HEADS, DEPTH, PATCH, CLASSES, SIDE, CONTEXT, START = 32, 2, 3, 4, 5, 2, 3, 1
HIDDEN = int(4 * DIM * 2 / 3)
OPTIONS = {"num_heads": HEADS, "in_context_start": START}


def state_dict():
    torch.manual_seed(0)
    linear = {
        "t_embedder.mlp.0": (DIM, 256),
        "t_embedder.mlp.2": (DIM, DIM),
        "final_layer.linear": (PATCH**2 * 3, DIM),
        "final_layer.adaLN_modulation.1": (2 * DIM, DIM),
    }
    shapes = {
        "x_embedder.proj1.weight": (6, 3, PATCH, PATCH),
        "x_embedder.proj2.weight": (DIM, 6, 1, 1), "x_embedder.proj2.bias": (DIM,),
        "y_embedder.embedding_table.weight": (CLASSES + 1, DIM),
        "in_context_posemb": (1, CONTEXT, DIM), "final_layer.norm_final.weight": (DIM,),
    }  # fmt: skip
    for i in range(DEPTH):
        at = f"blocks.{i}"
        linear |= {
            f"{at}.attn.qkv": (3 * DIM, DIM), f"{at}.attn.proj": (DIM, DIM),
            f"{at}.mlp.w12": (2 * HIDDEN, DIM), f"{at}.mlp.w3": (DIM, HIDDEN),
            f"{at}.adaLN_modulation.1": (6 * DIM, DIM),
        }  # fmt: skip
        shapes |= {f"{at}.norm1.weight": (DIM,), f"{at}.norm2.weight": (DIM,)}
        shapes |= {f"{at}.attn.{n}_norm.weight": (DIM // HEADS,) for n in "qk"}
    for name, (out, width) in linear.items():
        shapes |= {f"{name}.weight": (out, width), f"{name}.bias": (out,)}
    cells = torch.arange(SIDE).double()
    waves = cells[:, None] / 10_000 ** (torch.arange(DIM // 4).double() / (DIM // 4))
    one = torch.cat([waves.sin(), waves.cos()], 1)
    places = torch.cat([one.repeat(SIDE, 1), one.repeat_interleave(SIDE, 0)], 1).float()[None]
    return {k: 0.25 * torch.randn(s) for k, s in shapes.items()} | {"pos_embed": places}


def forward(w, x, t, labels):
    def linear(name, x):
        return F.linear(x, w[f"{name}.weight"], w[f"{name}.bias"])

    def rms(x, name):
        return x * (x.square().mean(-1, keepdim=True) + 1e-6).rsqrt() * w[f"{name}.weight"]

    def modulated(x, name, shift, scale):
        return rms(x, name) * (1 + scale[:, None]) + shift[:, None]

    def turned(q, first):
        quarter = DIM // HEADS // 4
        speed = 1 / 10_000 ** (torch.arange(quarter) * 2 / (2 * quarter))
        rows = torch.arange(SIDE).repeat_interleave(SIDE)[:, None] * speed
        columns = torch.arange(SIDE).repeat(SIDE)[:, None] * speed
        angles = torch.cat([rows, columns], 1).repeat_interleave(2, 1)
        angles = torch.cat([torch.zeros(first, angles.shape[1]), angles])
        half = torch.stack([-q[..., 1::2], q[..., ::2]], -1).flatten(-2)
        return q * angles.cos() + half * angles.sin()

    h = F.conv2d(x, w["x_embedder.proj1.weight"], stride=PATCH)
    h = F.conv2d(h, w["x_embedder.proj2.weight"], w["x_embedder.proj2.bias"]).flatten(2).mT
    h = h + w["pos_embed"]
    angles = t[:, None] * torch.exp(-math.log(10_000) * torch.arange(128) / 128)
    e = linear("t_embedder.mlp.0", torch.cat([angles.cos(), angles.sin()], 1))
    y = w["y_embedder.embedding_table.weight"][labels]
    c = F.silu(linear("t_embedder.mlp.2", F.silu(e)) + y)
    first = 0
    for i in range(DEPTH):
        at = f"blocks.{i}"
        if i == START:
            h, first = torch.cat([y[:, None] + w["in_context_posemb"], h], 1), CONTEXT
        s1, c1, g1, s2, c2, g2 = linear(f"{at}.adaLN_modulation.1", c).chunk(6, 1)
        qkv = linear(f"{at}.attn.qkv", modulated(h, f"{at}.norm1", s1, c1))
        q, k, v = qkv.unflatten(2, (3, HEADS, -1)).permute(2, 0, 3, 1, 4)
        q = turned(rms(q, f"{at}.attn.q_norm"), first)
        k = turned(rms(k, f"{at}.attn.k_norm"), first)
        mixed = ((q @ k.mT) / math.sqrt(DIM // HEADS)).softmax(-1) @ v
        h = h + g1[:, None] * linear(f"{at}.attn.proj", mixed.transpose(1, 2).flatten(2))
        a, b = linear(f"{at}.mlp.w12", modulated(h, f"{at}.norm2", s2, c2)).chunk(2, -1)
        h = h + g2[:, None] * linear(f"{at}.mlp.w3", F.silu(a) * b)
    shift, scale = linear("final_layer.adaLN_modulation.1", c).chunk(2, 1)
    out = linear(
        "final_layer.linear", modulated(h[:, first:], "final_layer.norm_final", shift, scale)
    )
    out = out.unflatten(1, (SIDE, SIDE)).unflatten(3, (PATCH, PATCH, 3))
    return torch.einsum("bhwpqc->bchpwq", out).reshape(len(x), 3, SIDE * PATCH, SIDE * PATCH)


@torch.no_grad()
def test_the_same_function(tmp_path, rng):
    """From its training's file: averaged weights, under `net.`, beside what it was called with."""
    held = state_dict()
    theirs = {"model": {"net.x": torch.zeros(1)}, "args": argparse.Namespace(noise_scale=1.0),
              "model_ema1": {f"net.{k}": v for k, v in held.items()}}  # fmt: skip
    torch.save(theirs, tmp_path / "checkpoint-last.pth")
    found = import_model(tmp_path, OPTIONS)
    x, t = torch.randn(2, 3, 8, 8, generator=rng), torch.tensor([0.2, 0.7])
    labels = torch.tensor([3, 5])
    right, ours = forward(held, x, t, labels), found.model.model.network(x, t, labels)
    same_outputs("JiT", ours, right, oracle="forward in the test")
    velocity = (right - x) / (1 - t)[:, None, None, None]
    assert torch.allclose(found.model(x, t, labels).velocity, velocity, atol=1e-4)
    assert found.model.codec.shape == (3, 8, 8) and "x_1" in found.reading["head"]


def test_what_is_not_held(tmp_path):
    held = state_dict()
    for options, change, reason in [
        ({"noise_scale": 2}, {}, "noise_scale = 2 is not supported: 1 is"),
        ({"in_context_start": None}, {}, "does not say its in_context_start"),
        ({"num_heads": None}, {}, "does not say its num_heads"),
        ({}, {"blocks.1.mlp.w3.bias": None}, r"lacks blocks\.1\.mlp\.w3\.bias"),
        ({}, {"blocks.1.attn.gate.bias": torch.zeros(1)}, "unknown in a JiT"),
        ({}, {"pos_embed": torch.zeros(1, 4, DIM)}, "pos_embed is not supported"),
    ]:
        save_file(
            {k: v for k, v in (held | change).items() if v is not None}, tmp_path / "m.safetensors"
        )
        with pytest.raises(CheckpointError, match=reason):
            import_model(tmp_path, OPTIONS | options)
