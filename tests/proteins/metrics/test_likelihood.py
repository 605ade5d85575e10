"""The sequence's likelihood given the backbone: of a model that knows nothing it is log2 20."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from feller.core import load
from feller.proteins.metrics.likelihood import sequence_likelihood
from feller.proteins.models import ProteinModelConfig


def test_guessing_costs_what_twenty_names_do():
    model = ProteinModelConfig().build()
    with torch.no_grad():
        for parameter in model.heads.parameters():
            parameter.zero_()
    chains = model.sample(3, length=10, steps=2)
    found = sequence_likelihood(model, chains, draws=2)
    assert found.value == pytest.approx(math.log2(20), abs=1e-4)
    assert "3 chains, 2 draws each" in found.protocol
    assert sequence_likelihood(model, chains[:1], draws=2).low is None


def test_a_trained_model_finds_its_own_sequences_likelier():
    model = load("proteins/short-codesign")
    chains = model.sample(3, length=24, steps=20)
    found = sequence_likelihood(model, chains, draws=4)
    rng = np.random.default_rng(0)
    mixed = [replace(chain, residues=rng.permutation(chain.residues)) for chain in chains]
    assert found.value < sequence_likelihood(model, mixed, draws=4).value


def test_what_is_unknown_is_not_counted():
    model = ProteinModelConfig().build()
    (chain,) = model.sample(1, length=6, steps=2)
    with pytest.raises(ValueError, match="no residue of these chains has a known name"):
        sequence_likelihood(model, [replace(chain, residues=np.full(6, 20, np.uint8))])
