"""Plans: memory adds up by hand, and what is said to fit does."""

from dataclasses import replace
from pathlib import Path

import pytest

from feller.core.training import Training
from feller.core.training.planning import DEVICES, Device, Plan, plan_of
from feller.core.training.tracing import Trace, trace_step
from feller.images.codec import ImageCodec
from feller.images.models import ImageModelConfig
from feller.images.networks.dit import DIT_SIZES, DiTConfig
from feller.images.recipes import cifar10_dit_flow, drawn_flow, fashion_flow, fashion_meanflow
from feller.text.recipes import text8_ar
from feller.text.tokenizers import Characters

TRACE = Trace(
    samples=8, parameters=250, weights=1000, gradients=1000, moments=2000, averages=1000,
    activations=8000, peak=13_000, flops=10**9, update_flops=0, moved=10**6, update=10**4,
    block=100, calls=1000, update_calls=500,
)  # fmt: skip


def plan(count=1, *, memory=1e6, batch=64, trace=TRACE, **training):
    device = Device("toy", memory, 1e9, 4e9, 1e6, 1e6, launch=0.0)
    recipe = replace(drawn_flow(), training=Training(batch_size=batch, **training))
    return Plan(recipe, device, count, 0.5, trace)


def test_memory_is_the_sum_of_its_parts():
    one = plan(batch=8)
    assert sum(one.memory().values()) == 1000 + 1000 + 2000 + 1000 + 8000
    assert sum(plan(batch=16).memory().values()) == 13_000 + 8000
    assert plan(4, batch=32).memory()["gradients"] == 2000  # a bucket for those of all
    sharded = replace(plan(4, batch=32), sharded=True)
    whole = {"weights": 250, "gradients": 250, "optimizer": 500, "average": 250}
    assert sharded.memory() == {**whole, "activations": 8000, "temporary": 200}


def test_a_step_takes_its_products_and_what_it_moves():
    assert plan(batch=8).seconds() == pytest.approx(1e9 / 0.5e9 + 1e6 / 1e6 + 1e4 / 1e6)
    assert plan(batch=8, accumulate=2).seconds() == pytest.approx(3.01)
    half = plan(batch=8, mixed_precision="bf16").seconds()
    assert half == pytest.approx(1e9 / 2e9 + 0.5 + 0.01)


def test_a_small_network_waits_for_its_launches():
    one = plan(batch=8)
    slow = replace(one, device=replace(one.device, launch=0.01))
    assert slow.waits and not one.waits
    assert slow.seconds() == pytest.approx(1500 * 0.01)
    assert replace(slow, device=replace(one.device, launch=1e-5)).seconds() == pytest.approx(3.01)


def test_forward_derivatives_are_counted():
    flow, mean = (trace_step(recipe(), 2) for recipe in (fashion_flow, fashion_meanflow))
    # One call more, one with its derivative, which is twice a call: 3 + 1 + 2 in place of 3.
    assert 1.8 < mean.flops / flow.flops < 2.5


def test_the_operations_of_a_step_are_counted():
    few, more = (trace_step(drawn_flow(), samples) for samples in (2, 4))
    assert 100 < few.calls == more.calls < 10_000 and few.update_calls > 0


@pytest.mark.gate
def test_accumulation_is_what_fits_first():
    recipe, device = drawn_flow(), replace(DEVICES["a100"], memory=60e6)
    found = plan_of(recipe, device)
    assert not found.fits()
    flags, first = next((flags, each) for flags, each in found.settings() if each.fits())
    assert "--training.accumulate" in flags
    assert sum(first.memory().values()) <= 0.92 * 60e6
    nothing = plan_of(recipe, replace(device, memory=1.0))
    assert not any(each.fits() for _, each in nothing.settings())


def test_a_batch_that_does_not_divide_is_refused():
    with pytest.raises(ValueError, match="does not divide into 7 devices"):
        plan_of(drawn_flow(), DEVICES["h100"], count=7)
    with pytest.raises(ValueError, match=r"utilisation in \(0, 1\]"):
        plan_of(drawn_flow(), DEVICES["h100"], utilisation=2.0)


def gpt2(contexts, accumulate):
    """The blocks of GPT-2 (124M): 1,024 of 50,304 tokens."""
    base, letters = text8_ar(), Characters("".join(map(chr, range(256, 256 + 50_304))))
    blocks = replace(base.model.network.transformer, dropout=0.0)
    codec = replace(base.model.codec, tokenizer=letters, length=1024)
    network = replace(base.model.network, transformer=blocks)
    training = Training(batch_size=contexts, accumulate=accumulate, mixed_precision="bf16")
    model = replace(base.model, network=network, codec=codec)
    data = replace(base.data, tokenizer=letters, length=1024)
    return replace(base, model=model, data=data, training=training)


def dit_xl(images):
    """DiT-XL/2 on latent images of 4 x 32 x 32, activations computed again."""
    base, size = cifar10_dit_flow(), DIT_SIZES["XL"]
    network = DiTConfig(in_channels=4, out_channels=4, transformer=size, num_classes=1000)
    codec = ImageCodec((4, 32, 32), tuple(map(str, range(1000))))
    training = replace(
        base.training, batch_size=images, activation_checkpointing=True, mixed_precision="bf16"
    )
    model = ImageModelConfig(network=network, codec=codec)
    return replace(base, model=model, training=training)


A100_40 = replace(DEVICES["a100"], memory=40e9, bandwidth=1.555e12)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "recipe", "device", "count", "published", "factor"),
    [
        ("nanoGPT", gpt2(480, 5), A100_40, 8, 4 * 86_400 / 600_000, 1.4),
        ("fast-DiT", dit_xl(128), DEVICES["a100"], 1, 1 / 0.84, 1.4),
        ("llm.c, A100", gpt2(512, 1), DEVICES["a100"], 8, 5400 * 2**19 / 10e9, 3),
        ("llm.c, H100", gpt2(512, 1), DEVICES["h100"], 8, 2700 * 2**19 / 10e9, 3),
    ],
)
def test_plans_against_published_throughputs(name, recipe, device, count, published, factor):
    """Seconds a step; the page says the same ratio."""
    ratio = plan_of(recipe, device, count=count).seconds() / published
    assert 1 / factor < ratio < factor
    page = (Path(__file__).parents[3] / "docs" / "how-to" / "plan.md").read_text()
    (row,) = (line for line in page.splitlines() if line.startswith(f"| {name}:"))
    assert row.endswith(f"| {published:.2f} | {ratio:.2f} |"), f"{published:.2f} | {ratio:.2f}"
