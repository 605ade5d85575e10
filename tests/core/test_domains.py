"""Domains: what is installed, listed by pattern."""

import pictures
import pytest
from toys import installed

from feller.core import load
from feller.core.cli import main
from feller.core.domains import (
    RegistryError,
    domains,
    list_models,
    list_recipes,
    recipe,
    resolve,
)
from feller.core.registry import read_card


@pytest.fixture
def toys(tmp_path, monkeypatch):
    with installed(tmp_path, monkeypatch) as domain:
        yield domain


def test_models_and_recipes_are_listed_by_pattern(toys):
    assert list_models() == ["toys/cat-flow", "toys/dog-jump"]
    assert list_models("toys/*") == list_models()
    assert list_models("*-jump") == ["toys/dog-jump"]
    assert list_models("images/*") == []
    assert list_recipes() == ["toys/bird-flow", "toys/cat-flow"]
    assert list_recipes("toys/b*") == ["toys/bird-flow"]


def test_the_images_are_installed():
    domain = domains()["images"]
    assert domain.name == "images"
    assert "images/drawn-flow" in list_recipes("images/*")
    assert domain.import_models().__name__ == "feller.images.models"


def test_a_recipe_has_a_name(toys):
    assert recipe("toys/cat-flow") == {}
    assert resolve("feller.core.domains:resolve") is resolve


def test_a_package_of_models_alone_is_a_zoo(tmp_path, monkeypatch, capsys):
    """Its entry point names it; none of it is imported, and its name is not a domain's."""
    pictures.save(tmp_path / "acme_models" / "weights" / "cat-flow")
    (tmp_path / "acme_models" / "__init__.py").write_text("raise RuntimeError('imported')\n")
    about = tmp_path / "acme_models-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-models\nVersion: 1.0\n")
    points = "[feller.zoo]\nacme = acme_models\ngone = acme_gone\nimages = acme_models\n"
    (about / "entry_points.txt").write_text(points)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert list_models("acme/*") == ["acme/cat-flow"]
    assert load("acme/cat-flow").config == pictures.CONFIG
    assert read_card("acme/cat-flow") == pictures.CARD
    assert main(["list", "acme/*"]) == main(["show", "acme/cat-flow"]) == 0
    assert "acme/cat-flow" in capsys.readouterr().out
    assert "images/cat-flow" not in list_models()
    with pytest.raises(
        RegistryError, match=r"unknown model 'acme/cat'; did you mean acme/cat-flow"
    ):
        load("acme/cat")
