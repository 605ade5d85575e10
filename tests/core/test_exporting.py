"""Exports: a folder that is whole or not there, and what no library holds."""

from dataclasses import replace

import pictures
import pytest

from feller.core.cards import ModelCard
from feller.core.checkpoint import CheckpointError
from feller.core.exporting import export_model, libraries
from feller.core.importing import import_model

CONFIG = replace(
    pictures.UNCONDITIONAL,
    network=replace(pictures.UNCONDITIONAL.network, channels=(8, 8), norm_groups=2),
)


def test_what_is_written_has_its_licence(tmp_path):
    model = pictures.model(CONFIG)
    model.card, model.card_sums = ModelCard(name="x", licence="MIT"), []
    assert "UNet2DModel" in export_model(model, "diffusers", tmp_path / "out")["network"]
    assert import_model(tmp_path / "out").licence == "mit"
    with pytest.raises(CheckpointError, match="out exists: choose another"):
        export_model(model, "diffusers", tmp_path / "out")


def test_a_library_that_has_no_such_model(tmp_path):
    reason = "transformers holds no model of type images/model; of these diffusers does"
    with pytest.raises(CheckpointError, match=reason):
        export_model(pictures.model(CONFIG), "transformers", tmp_path / "out")
    assert libraries() == ["diffusers", "transformers"]


def test_what_is_refused_leaves_nothing(tmp_path):
    with pytest.raises(CheckpointError, match="norms of"):
        export_model(pictures.model(), "diffusers", tmp_path / "out")
    assert list(tmp_path.iterdir()) == []
