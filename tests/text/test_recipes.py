"""Recipes of text: each builds, suits its data, and takes a step."""

import math
from dataclasses import replace

import pytest
import torch
from accelerate import Accelerator

from feller.core.config import decode, encode
from feller.core.domains import domains, recipe
from feller.core.nn.transformer import TransformerConfig
from feller.core.training import Recipe
from feller.core.training.loop import build_run, training_steps
from feller.text import recipes
from feller.text.autoregressive import NextToken
from feller.text.tokenizers import Pieces, TokenizerError, bundled_pieces

NAMES = sorted(domains()["text"].recipes)
TINY = [name for name in NAMES if name.split("-")[0] in ("shakespeare", "stdlib", "books", "bytes")]


@pytest.fixture(params=NAMES)
def found(request):
    return recipe(f"text/{request.param}")


def chosen(found):
    """A recipe with a tokenizer, where it leaves the choice open."""
    if found.data.tokenizer != Pieces(""):
        return found
    pieces = bundled_pieces("python-1023")
    model = replace(found.model, codec=replace(found.model.codec, tokenizer=pieces))
    return replace(found, model=model, data=replace(found.data, tokenizer=pieces))


def parameters(model_config):
    with torch.device("meta"):
        network = model_config.network.build(model_config.vocabulary)
    return sum(p.numel() for p in network.parameters())


def test_every_recipe_is_registered():
    assert {name.replace("_", "-") for name in recipes.__all__} == set(NAMES)


def test_a_recipe_makes_sense(found):
    assert isinstance(found, Recipe)
    codec, data = found.model.codec, found.data
    assert (codec.tokenizer, codec.length) == (data.tokenizer, data.length)
    assert codec.has_end == data.has_end
    assert found.optimizer.warmup <= found.training.steps / 10
    rates = [found.optimizer.rate(step, found.training.steps) for step in (0, 1000)]
    assert all(0 < rate <= found.optimizer.lr for rate in rates)


def test_a_recipe_survives_json(found):
    assert decode(encode(found)) == found


@pytest.mark.parametrize("name", [n for n in NAMES if f"{n.rsplit('-', 1)[0]}-mask" in NAMES])
def test_a_baseline_has_the_same_blocks_data_and_steps(name):
    ours, theirs = recipe(f"text/{name.rsplit('-', 1)[0]}-mask"), recipe(f"text/{name}")
    assert (ours.data, ours.training, ours.optimizer) == (
        theirs.data,
        theirs.training,
        theirs.optimizer,
    )
    blocks = (ours.model.network.transformer, theirs.model.network.transformer)
    assert blocks[0] == blocks[1]
    assert isinstance(theirs.objective, NextToken) == name.endswith("-ar")


def test_the_sizes():
    for name in TINY:
        assert parameters(recipe(f"text/{name}").model) <= 4.3e6  # 8.6 MB in half precision
    assert parameters(recipes.text8_mask().model) == pytest.approx(85e6, rel=0.01)
    assert parameters(chosen(recipes.owt_uniform()).model) > 120e6


@pytest.mark.parametrize("name", ["lm1b-mask", "lm1b-uniform", "owt-mask", "owt-uniform"])
def test_english_is_not_cut_by_a_tokenizer_of_python(name, tmp_path):
    found = recipe(f"text/{name}")
    (tmp_path / "corpus.txt").write_text("to be or not to be\n" * 300)
    path, cache = str(tmp_path / "corpus.txt"), str(tmp_path)
    data = replace(found.data, source="file", path=path, cache=cache)
    for build in (data.build, found.model.build):
        with pytest.raises(
            TokenizerError, match=r"no tokenizer is chosen: give .*FILE --data\.tok"
        ):
            build()
    assert repr(found.data.tokenizer) == "Pieces('')"


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_takes_a_step(name, tmp_path):
    found = chosen(recipe(f"text/{name}"))
    corpus = tmp_path / "corpus.txt"
    corpus.write_text("to be or not to be " * 300)
    small = TransformerConfig(dim=32, depth=1, num_heads=2, rotary=True, qk_norm=True)
    model = replace(found.model, network=replace(found.model.network, transformer=small))
    data = replace(
        found.data, source="file", path=str(corpus), test_fraction=0.0, cache=str(tmp_path)
    )
    training = replace(found.training, batch_size=4, steps=1)
    asked = replace(found, model=model, data=data, training=training)
    run = build_run(asked, Accelerator(cpu=True))
    before = [p.detach().clone() for p in run.bare_model.parameters()]
    (record,) = training_steps(run)
    vocabulary = found.model.vocabulary.sampleable
    # Of a fresh network all tokens are equally likely; a bound is that only on average.
    assert 0.3 * math.log(vocabulary) < float(record.loss) < 3 * math.log(vocabulary)
    assert math.isfinite(float(record.gradient_norm))
    after = run.bare_model.parameters()
    assert any(not a.equal(b) for a, b in zip(before, after, strict=True))
