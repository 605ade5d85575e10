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


@pytest.mark.gate
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
    with pytest.raises(ValueError, match="no residue of whole chains has a known name"):
        sequence_likelihood(model, [replace(chain, residues=np.full(6, 20, np.uint8))])


def test_chains_that_lack_atoms_are_left_out_and_said_so():
    model = ProteinModelConfig().build()
    whole, other = model.sample(2, length=8, steps=2)
    broken = replace(other, atoms=other.atoms.copy())
    broken.atoms[3, 2] = np.nan
    found = sequence_likelihood(model, [whole, broken], draws=1)
    assert found.value == sequence_likelihood(model, [whole], draws=1).value
    assert found.protocol.endswith("; 1 chains that lack atoms are left out")


def test_numbers_of_residues_of_a_whole_chain_count_for_nothing():
    """52A, or a relative's leap in numbers, is the next residue."""
    model = load("proteins/short-codesign")
    (chain,) = model.sample(1, length=24, steps=20)
    leap = np.arange(24, dtype=np.int32) + 10 * (np.arange(24) > 11).astype(np.int32)
    codes = np.minimum(np.arange(24), 20).astype(np.int32)
    first = sequence_likelihood(model, [chain], draws=1).value
    for index in (leap, codes):
        other = replace(chain, index=index)
        assert sequence_likelihood(model, [other], draws=1).value == pytest.approx(first, abs=1e-4)
