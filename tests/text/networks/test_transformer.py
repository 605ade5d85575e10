"""The text transformer: what it sees, and what it is told."""

import pytest
import torch
from texts import BLOCKS, shaken
from torch.testing import assert_close

from feller.core.conditions import dropped
from feller.core.config import decode, encode
from feller.core.nn.condition_kinds import ClassCondition, FloatCondition, ImageCondition
from feller.core.nn.conditions import Conditions
from feller.text.networks import TextTransformerConfig
from feller.text.vocabulary import Vocabulary

VOCABULARY = Vocabulary(tokens=5, has_mask=True)
VARIANTS = [
    {},
    {"window": 3},
    {"conditioned": True},
    {"num_classes": 3},
    {"conditioned": True, "num_classes": 3, "window": 5},
    {"conditioned": True, "num_classes": 3, "adaptive": False},
    {"causal": True, "window": 3},
]
every_variant = pytest.mark.parametrize("options", VARIANTS, ids=str)


def network(**options):
    return shaken(TextTransformerConfig(transformer=BLOCKS, **options).build(VOCABULARY))


def tokens(rng, b=2, n=7):
    return torch.randint(6, (b, n), generator=rng)


@every_variant
def test_every_weight_is_used(options, rng):
    made = network(**options)
    labels = torch.tensor([0, 2]) if made.config.num_classes else None
    hidden = made(tokens(rng), torch.tensor([0.1, 0.9]), labels)
    assert hidden.shape == (2, 7, 16)
    logits = made.head(hidden)
    assert logits.shape == (2, 7, 5)
    # A bias of keys changes no attention, and one before the norm of a mean none either.
    logits.square().sum().backward()
    assert all(p.grad is not None for p in made.parameters())


@every_variant
def test_a_fresh_network_predicts_all_alike(options, rng):
    made = TextTransformerConfig(transformer=BLOCKS, **options).build(VOCABULARY)
    hidden = made(tokens(rng), torch.tensor([0.1, 0.9]))
    assert made.head(hidden).eq(0).all()


@every_variant
def test_configurations_survive_json(options):
    config = TextTransformerConfig(transformer=BLOCKS, **options)
    assert decode(encode(config)) == config


def test_a_causal_network_does_not_look_ahead(rng):
    made, x = network(causal=True, window=3), tokens(rng)
    changed = x.clone()
    changed[:, 4] = (x[:, 4] + 1) % 5
    before, after = (made(state, torch.ones(2)) for state in (x, changed))
    assert_close(before[:, :4], after[:, :4])
    assert not torch.allclose(before[:, 4:], after[:, 4:], atol=1e-3)


@pytest.mark.parametrize("window", [1, 3])
def test_the_other_network_looks_both_ways(window, rng):
    made, x = network(window=window), tokens(rng)
    changed = x.clone()
    changed[:, 4] = (x[:, 4] + 1) % 5
    moved = (made(x, torch.ones(2)) - made(changed, torch.ones(2))).abs().amax((0, 2))
    assert (moved > 1e-4).all()


@pytest.mark.parametrize("adaptive", [True, False])
def test_kappa_is_seen_by_networks_that_are_conditioned(adaptive, rng):
    x = tokens(rng)
    early, late = torch.full((2,), 0.1), torch.full((2,), 0.9)
    told, blind = network(conditioned=True, adaptive=adaptive), network()
    assert not torch.allclose(told(x, early), told(x, late), atol=1e-2)
    assert blind(x, early).equal(blind(x, late))
    assert_close(told(x, early), told(x, early[:, None].expand(x.shape)))


@pytest.mark.parametrize("adaptive", [True, False])
def test_labels_are_seen(adaptive, rng):
    made, x = network(num_classes=3, adaptive=adaptive), tokens(rng)
    none, null = made(x, torch.ones(2)), made(x, torch.ones(2), torch.tensor([3, 3]))
    assert_close(none, null)
    assert not torch.allclose(none, made(x, torch.ones(2), torch.tensor([0, 1])), atol=1e-2)
    with pytest.raises(ValueError, match="without classes"):
        network()(x, torch.ones(2), torch.tensor([0, 1]))


@pytest.mark.parametrize("options", [{}, {"window": 3}, {"window": 3, "causal": True}], ids=str)
def test_padding_changes_nothing(options, rng):
    made, x = network(**options), tokens(rng)
    valid = torch.ones(2, 9) > 0
    valid[:, 7:] = False
    padded = torch.cat([x, x[:, :2]], 1)
    assert_close(made(padded, torch.ones(2), None, valid)[:, :7], made(x, torch.ones(2)))


@pytest.mark.parametrize("window", [0, 2, -1])
def test_a_window_has_a_middle(window):
    with pytest.raises(ValueError, match="window is odd"):
        TextTransformerConfig(transformer=BLOCKS, window=window)


@pytest.mark.parametrize("adaptive", [True, False])
def test_it_is_told_things_by_name(adaptive, rng):
    conditions = Conditions({"kind": ClassCondition(classes=3), "size": FloatCondition()})
    config = TextTransformerConfig(transformer=BLOCKS, adaptive=adaptive, conditions=conditions)
    network = shaken(config.build(Vocabulary(tokens=5, has_mask=True)))
    x, kappa = torch.randint(5, (2, 4), generator=rng), torch.rand(2, generator=rng)
    told = {"kind": torch.tensor([0, 2]), "size": torch.tensor([0.5, torch.nan])}
    found, silent = network(x, kappa, told), network(x, kappa)
    assert not found[0].allclose(silent[0])
    assert_close(network(x, kappa, {"kind": told["kind"]})[1], found[1])
    assert_close(network(x, kappa, dropped(told, torch.tensor([True, True]))), silent)
    assert decode(encode(config)) == config
    with pytest.raises(ValueError, match="tokens cannot be concatenated to an image"):
        images = Conditions({"look": ImageCondition(image_channels=1)})
        TextTransformerConfig(transformer=BLOCKS, conditions=images)
    with pytest.raises(ValueError, match="labels were given to a network without"):
        shaken(
            TextTransformerConfig(transformer=BLOCKS).build(Vocabulary(tokens=5, has_mask=True))
        )(x, kappa, told)
