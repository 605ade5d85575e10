"""The autoregressive baseline: an exact likelihood, and draws that follow it."""

import itertools
from dataclasses import replace

import pytest
import texts
import torch
from scipy import stats
from tokenizers import Tokenizer as Library
from tokenizers import models
from torch.testing import assert_close

from feller.core.checkpoint import load_model, save_model
from feller.core.config import decode, encode
from feller.text.autoregressive import NextToken
from feller.text.tokenizers import Pieces


def test_the_probabilities_of_all_texts_sum_to_one():
    every = torch.tensor(list(itertools.product(range(5), repeat=3)))
    total = texts.causal().log_probability(every).double().sum(1).exp().sum()
    assert_close(total, torch.ones(()).double(), rtol=1e-5, atol=0)


def test_draws_have_these_probabilities():
    model = texts.causal()
    every = torch.tensor(list(itertools.product(range(5), repeat=2)))
    law = model.log_probability(every).double().sum(1).exp().detach()
    drawn = model.draw(4000, 2)
    counts = torch.bincount(drawn @ torch.tensor([5, 1]), minlength=25)
    expected = (law / law.sum() * len(drawn)).numpy()
    some = expected > 5
    observed = [*counts.numpy()[some], counts.numpy()[~some].sum()]
    assert stats.chisquare(observed, [*expected[some], expected[~some].sum()]).pvalue > 1e-3


def test_a_draw_depends_on_the_seed_and_its_position():
    model = texts.causal()
    four = model.draw(4, 6, seed=1)
    assert model.draw(2, 6, seed=1).equal(four[:2])
    assert not model.draw(4, 6, seed=2).equal(four)


def test_a_model_survives_its_folder(tmp_path):
    model = texts.causal()
    again = load_model(save_model(model, tmp_path / "model"))
    x = torch.tensor([[0, 1, 2]])
    assert again.log_probability(x).equal(model.log_probability(x))
    assert decode(encode(model.config)) == model.config


def test_a_network_that_looks_ahead_is_refused():
    config = texts.causal_config()
    with pytest.raises(ValueError, match=r"a causal model has network\.causal"):
        replace(config, network=replace(config.network, causal=False))
    with pytest.raises(ValueError, match="a causal model takes no labels"):
        replace(config, network=replace(config.network, num_classes=3))


def test_special_ids_are_not_drawn():
    made = Library(models.WordLevel({"[PAD]": 0, "a": 1, "b": 2}))
    made.add_special_tokens(["[PAD]"])
    config = texts.causal_config()
    codec = replace(config.codec, tokenizer=Pieces(made.to_str()))
    model = texts.shaken(replace(config, codec=codec).build())
    assert set(model.draw(200, 4).flatten().tolist()) == {1, 2}


@pytest.mark.parametrize(("n", "length"), [(-1, 4), (2, -1)])
def test_a_number_below_none_is_refused(n, length):
    with pytest.raises(ValueError, match="n and length are at least 0"):
        texts.causal().draw(n, length)


def test_the_next_token_is_that_of_the_model(rng):
    model = texts.causal()
    z = torch.randint(5, (3, 8), generator=rng)
    each = NextToken()(model, model.path, z, torch.zeros(3), z)
    assert_close(each, -model.log_probability(z).mean(1))
    each.mean().backward()
    assert all(p.grad is not None for p in model.parameters())
    assert decode(encode(NextToken())) == NextToken()


def test_a_preview_is_text(tmp_path):
    texts.causal().preview(tmp_path / "step_1")
    assert len((tmp_path / "step_1.txt").read_text().split("\n----\n")) == 2


def test_a_draw_knows_no_dropout():
    blocks = replace(texts.BLOCKS, dropout=0.5)
    config = texts.causal_config()
    network = replace(config.network, transformer=blocks)
    model = texts.shaken(replace(config, network=network).build()).train()
    assert model.draw(3, 6, seed=1).equal(model.draw(3, 6, seed=1))
    assert model.training
