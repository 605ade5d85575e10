"""Saved models for the commands."""

import pytest
import texts

from feller.core.cards import ModelCard
from feller.core.checkpoint import save_model

CARD = ModelCard(name="toys/text")


@pytest.fixture(scope="session")
def chain(tmp_path_factory):
    return save_model(texts.model(), tmp_path_factory.mktemp("chain") / "model", card=CARD)


@pytest.fixture(scope="session")
def baseline(tmp_path_factory):
    return save_model(texts.causal(), tmp_path_factory.mktemp("causal") / "model", card=CARD)
