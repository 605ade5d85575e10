"""The promise of the bundled models: the asked class, and every class when none is asked."""

import pytest
import torch

from feller.core import load
from feller.images.classifier import load_classifier
from feller.images.metrics.report import class_fractions, conditional_accuracy
from feller.images.models import Sampling


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("name", "calls"), [("flow", 39), ("joint", 40)])
def test_the_asked_class_is_drawn_and_no_class_is_forgotten(name, calls):
    model, classifier = load(f"images/fashion-{name}"), load_classifier("fashion-mnist")
    labels = torch.arange(1000) % 10
    guided, nfe = model.draw(1000, labels, Sampling(guidance=2.0), seed=1)
    assert nfe == 2 * calls
    assert conditional_accuracy(guided, labels, classifier).value >= 0.85
    free, nfe = model.draw(1000, None, Sampling(), seed=1)
    assert nfe == calls
    assert class_fractions(free, classifier).smallest.value >= 0.04


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_asked_digit_appears_from_masks():
    model, classifier = load("images/mnist-discrete"), load_classifier("mnist")
    labels = torch.arange(200) % 10
    guided, _ = model.draw(200, labels, Sampling(guidance=2.0), seed=1)
    assert conditional_accuracy(guided, labels, classifier).value >= 0.9


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_one_network_call_draws_the_asked_garment_more_often_than_not():
    model, classifier = load("images/fashion-meanflow"), load_classifier("fashion-mnist")
    labels = torch.arange(1000) % 10
    images, calls = model.draw(1000, labels, Sampling(steps=1), seed=1)
    assert calls == 1
    assert conditional_accuracy(images, labels, classifier).value >= 0.65
