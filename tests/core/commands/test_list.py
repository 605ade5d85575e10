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
        licence="Apache-2.0",
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
    table, foot = out.split("\n\n")
    header, first, quality, second, licence = table.splitlines()
    assert header.split() == ["model", "size", "task"]
    assert first.split() == ["images/a-flow", "1.23M", "images"]
    assert quality.strip() == "accuracy 0.5 (0.25 to 0.75); Apache-2.0"
    assert second.split() == ["images/b-flow", "0.00M"]
    assert licence.strip() == "MIT"
    assert header.index("size") == first.index("1.23M") == second.index("0.00M")
    assert foot.startswith("recipes: images/")


def test_it_fits_80_columns_and_breaks_no_name():
    out = feller("list")[1]
    assert max(map(len, out.splitlines())) <= 80
    assert {*list_recipes()} <= {*out.replace(",", " ").split()}


def test_what_is_known_but_not_installed_is_named():
    assert "pip install feller-text feller-proteins" in feller("list")[1]
    assert json.loads(feller("list", "--json")[1])["not_installed"] == ["text", "proteins"]


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
    assert "recipes: none\n" in feller("list", "zzz")[1]
