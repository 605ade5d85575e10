"""`feller list`: a table for people, JSON for programs."""

import json

import pytest
from terminal import feller

from feller.core.cards import Metric, ModelCard
from feller.core.domains import Domain, list_recipes

CARDS = {
    "images/a-flow": ModelCard(
        name="a-flow",
        task="images",
        parameters=1_234_567,
        metrics=(
            Metric(name="accuracy", value=0.5, low=0.25, high=0.75),
            Metric(name="distance", value=2.0),
            Metric(name="third", value=3.0),
        ),
    ),
    "images/b-flow": ModelCard(name="b-flow", licence="MIT"),
}


@pytest.fixture(autouse=True)
def bundled(tmp_path, monkeypatch, only_images):
    weights = tmp_path / "weights"
    for name, card in CARDS.items():
        folder = weights / name.split("/")[1]
        folder.mkdir(parents=True)
        (folder / "config.json").write_text("{}")
        card.write(folder)
    monkeypatch.setattr(Domain, "weights", weights)


def test_a_table():
    code, out, _ = feller("list")
    assert code == 0
    header, first, second, empty, recipes = out.splitlines()
    assert header.split() == ["model", "size", "task", "licence", "quality"]
    assert first.split(maxsplit=4) == [
        "images/a-flow", "1.23M", "images", "Apache-2.0", "accuracy 0.5 (0.25 to 0.75); distance 2",
    ]  # fmt: skip
    assert second.split() == ["images/b-flow", "0.00M", "MIT"]
    assert header.index("licence") == first.index("Apache") == second.index("MIT")
    assert not empty
    assert recipes.startswith("recipes: images/")


def test_json():
    _, out, _ = feller("list", "--json")
    listed = json.loads(out)
    assert listed["models"] == [
        {
            "name": "images/a-flow",
            "task": "images",
            "parameters": 1_234_567,
            "licence": "Apache-2.0",
            "metrics": {"accuracy": 0.5, "distance": 2.0, "third": 3.0},
        },
        {"name": "images/b-flow", "task": "", "parameters": 0, "licence": "MIT", "metrics": {}},
    ]
    assert listed["recipes"] == list_recipes()


def test_a_pattern():
    _, out, _ = feller("list", "*/b-*", "--json")
    listed = json.loads(out)
    assert [model["name"] for model in listed["models"]] == ["images/b-flow"]
    assert listed["recipes"] == []
    assert feller("list", "zzz")[1].endswith("recipes: none\n")
