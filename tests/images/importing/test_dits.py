"""DiT and SiT are read as they are, against diffusers and a forward written here."""

import math
import warnings

import pytest
import torch
import torch.nn.functional as F
from parity import same_outputs
from safetensors.torch import save_file

from feller.core.checkpoint import CheckpointError
from feller.core.grids import uniform_grid
from feller.core.importing import import_model
from feller.core.solvers import named_solver, simulate

DIM, HEADS, DEPTH, PATCH, CLASSES = 32, 4, 2, 2, 5


def layer(out, width):
    return {"weight": 0.2 * torch.randn(out, width), "bias": 0.2 * torch.randn(out)}


def positions(side):
    """MAE's: the first half of the channels tells the column."""
    cells = torch.arange(side).double()
    waves = cells[:, None] / 10_000 ** (torch.arange(DIM // 4).double() / (DIM // 4))
    one = torch.cat([waves.sin(), waves.cos()], 1)
    rows, columns = one.repeat_interleave(side, 0), one.repeat(side, 1)
    return torch.cat([columns, rows], 1).float()[None]


def state_dict(channels=3, side=4, variance=True):
    torch.manual_seed(0)
    shapes = {
        "t_embedder.mlp.0": (DIM, 256),
        "t_embedder.mlp.2": (DIM, DIM),
        "final_layer.linear": (PATCH**2 * channels * (1 + variance), DIM),
        "final_layer.adaLN_modulation.1": (2 * DIM, DIM),
    }
    for i in range(DEPTH):
        shapes |= {
            f"blocks.{i}.attn.qkv": (3 * DIM, DIM),
            f"blocks.{i}.attn.proj": (DIM, DIM),
            f"blocks.{i}.mlp.fc1": (4 * DIM, DIM),
            f"blocks.{i}.mlp.fc2": (DIM, 4 * DIM),
            f"blocks.{i}.adaLN_modulation.1": (6 * DIM, DIM),
        }
    held = {f"{n}.{k}": v for n, shape in shapes.items() for k, v in layer(*shape).items()}
    return held | {
        "pos_embed": positions(side),
        "x_embedder.proj.weight": 0.3 * torch.randn(DIM, channels, PATCH, PATCH),
        "x_embedder.proj.bias": 0.3 * torch.randn(DIM),
        "y_embedder.embedding_table.weight": torch.randn(CLASSES + 1, DIM),
    }


def forward(w, x, tau, labels):
    """What the published network does, in functions."""

    def linear(name, x):
        return F.linear(x, w[f"{name}.weight"], w[f"{name}.bias"])

    def modulated(x, shift, scale):
        return F.layer_norm(x, (DIM,), eps=1e-6) * (1 + scale[:, None]) + shift[:, None]

    b, c, rows, columns = x.shape
    h = F.conv2d(x, w["x_embedder.proj.weight"], w["x_embedder.proj.bias"], stride=PATCH)
    h = h.flatten(2).mT + w["pos_embed"]
    angles = tau[:, None] * torch.exp(-math.log(10_000) * torch.arange(128) / 128)
    waves = torch.cat([angles.cos(), angles.sin()], 1)
    e = linear("t_embedder.mlp.2", F.silu(linear("t_embedder.mlp.0", waves)))
    e = F.silu(e + w["y_embedder.embedding_table.weight"][labels])
    for i in range(DEPTH):
        at = f"blocks.{i}"
        s1, c1, g1, s2, c2, g2 = linear(f"{at}.adaLN_modulation.1", e).chunk(6, 1)
        qkv = linear(f"{at}.attn.qkv", modulated(h, s1, c1))
        q, k, v = qkv.unflatten(2, (3, HEADS, DIM // HEADS)).permute(2, 0, 3, 1, 4)
        mixed = ((q @ k.mT) / math.sqrt(DIM // HEADS)).softmax(-1) @ v
        h = h + g1[:, None] * linear(f"{at}.attn.proj", mixed.transpose(1, 2).flatten(2))
        inner = F.gelu(linear(f"{at}.mlp.fc1", modulated(h, s2, c2)), approximate="tanh")
        h = h + g2[:, None] * linear(f"{at}.mlp.fc2", inner)
    shift, scale = linear("final_layer.adaLN_modulation.1", e).chunk(2, 1)
    out = linear("final_layer.linear", modulated(h, shift, scale))
    out = out.unflatten(1, (rows // PATCH, columns // PATCH)).unflatten(3, (PATCH, PATCH, -1))
    return torch.einsum("bhwpqc->bchpwq", out).reshape(b, -1, rows, columns)[:, :c]


@torch.no_grad()
@pytest.mark.parametrize("variance", [True, False])
def test_sit(variance, tmp_path, rng):
    held = state_dict(variance=variance)
    save_file(held, tmp_path / "SiT-tiny-2.safetensors")
    model = import_model(tmp_path, {"num_heads": HEADS}).model
    x, t, labels = torch.randn(2, 3, 8, 8, generator=rng), torch.tensor([0.3, 0.8]), [4, 5]
    right = forward(held, x, t, torch.tensor(labels))
    found = model(x, t, torch.tensor(labels)).velocity
    same_outputs("SiT", found, right, oracle="forward in the test")
    for i in range(4):
        x = x + forward(held, x, torch.full((2,), i / 4), torch.tensor(labels)) / 4
    start = torch.randn(2, 3, 8, 8, generator=rng.manual_seed(rng.initial_seed()))
    drawn = simulate(model, start, uniform_grid(4), named_solver("euler"),
                     condition=torch.tensor(labels)).state  # fmt: skip
    assert float((drawn - x).norm() / x.norm()) < 1e-4
    assert model.codec.shape == (3, 8, 8) and len(model.codec.classes) == CLASSES


@torch.no_grad()
def test_dit_learned_noise(tmp_path, rng):
    held = state_dict()
    save_file(held, tmp_path / "model.safetensors")
    with pytest.raises(CheckpointError, match="may be a SiT, which learned a flow, or a DiT"):
        import_model(tmp_path, {"num_heads": HEADS})
    found = import_model(tmp_path, {"num_heads": HEADS, "model": "DiT"})
    x, steps = torch.randn(2, 3, 8, 8, generator=rng), torch.tensor([10.0, 700.0])
    right = forward(held, x, steps, torch.tensor([1, 2]))
    ours = found.model.model.network(x, 1 - (steps + 1) / 1000, torch.tensor([1, 2]))
    same_outputs("DiT", ours, right, oracle="forward in the test", relative=True)
    assert "FlowHead of noise" in found.reading["head"]


def test_what_is_not_held(tmp_path):
    held = state_dict()
    for change, reason in [
        ({"pos_embed": torch.randn(1, 16, DIM)}, "pos_embed is not supported"),
        ({"pos_embed": held["pos_embed"][:, :6]}, "pos_embed is not supported"),
        ({"blocks.1.attn.qkv.bias": None}, r"lacks blocks\.1\.attn\.qkv\.bias"),
        ({"blocks.0.attn.q_norm.weight": torch.ones(8)}, "unknown in a DiT or SiT"),
        ({"blocks.0.mlp.fc2.weight": torch.ones(8, 8)}, r"mlp\.2\.weight is \[8, 8\], the network"),
    ]:
        changed = {k: v.contiguous() for k, v in (held | change).items() if v is not None}
        save_file(changed, tmp_path / "SiT.safetensors")
        with pytest.raises(CheckpointError, match=reason):
            import_model(tmp_path, {"num_heads": HEADS})
    with pytest.raises(CheckpointError, match="does not say its num_heads: give --set num_heads"):
        import_model(tmp_path)


@torch.no_grad()
def test_dit_of_diffusers(tmp_path, rng):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        diffusers = pytest.importorskip("diffusers", reason="parity needs diffusers")
        torch.manual_seed(0)
        oracle = diffusers.DiTTransformer2DModel(
            num_attention_heads=4, attention_head_dim=8, in_channels=4, out_channels=8,
            num_layers=2, sample_size=8, num_embeds_ada_norm=5,
        ).eval()  # fmt: skip
    for parameter in oracle.parameters():
        parameter.add_(0.1 * torch.randn(parameter.shape))
    state = oracle.state_dict()
    for name, value in state.items():  # as those that were made of the published ones
        if ".1.norm1.emb." in name:
            value.copy_(state[name.replace(".1.norm1", ".0.norm1")])
    oracle.save_pretrained(tmp_path / "transformer")
    diffusers.DDIMScheduler().save_pretrained(tmp_path / "scheduler")
    (tmp_path / "model_index.json").write_text("{}")
    found = import_model(tmp_path)
    x, steps, labels = torch.randn(2, 4, 8, 8, generator=rng), torch.tensor([17, 903]), [3, 5]
    right = oracle(x, timestep=steps, class_labels=torch.tensor(labels)).sample[:, :4]
    ours = found.model.model.network(x, 1 - (steps + 1) / 1000, torch.tensor(labels))
    same_outputs("DiTTransformer2DModel", ours, right, oracle="diffusers")
    assert "look like latents" in found.reading["images"]
    state["transformer_blocks.1.norm1.emb.timestep_embedder.linear_1.bias"].add_(1)
    oracle.save_pretrained(tmp_path / "transformer")
    with pytest.raises(CheckpointError, match="blocks with different"):
        import_model(tmp_path)
