"""Domains: what is installed, listed by pattern."""

import pytest
from toys import installed

from feller.core.domains import domains, list_models, list_recipes, recipe, resolve


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
