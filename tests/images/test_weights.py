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
