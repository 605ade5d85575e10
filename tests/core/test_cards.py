"""Cards: what is written is read, what is damaged is named, and the page is good Markdown."""

import json

import pytest

from feller.core.cards import CardError, Metric, ModelCard

FULL = ModelCard(
    name="images/x-flow",
    task="images",
    summary="Draws x's, after Kynkäänniemi.",
    licence="MIT",
    parameters=1_234_567,
    data="X (MIT)",
    dataset="mnist",
    training={"steps": 12, "seconds": 3.5},
    sampling={"solver": "heun"},
    metrics=(
        Metric(name="accuracy", value=0.98712, low=0.97, high=0.99, protocol="p(x|y),\n9 draws"),
        Metric(name="distance", value=1e-7),
    ),
    limitations="Only x's.",
    references=("arXiv 1", "arXiv 2"),
)


@pytest.mark.parametrize("card", [FULL, ModelCard(name="bare")], ids=["full", "bare"])
def test_a_card_is_read_as_it_was_written(card, tmp_path):
    card.write(tmp_path)
    assert {file.name for file in tmp_path.iterdir()} == {"card.json", "README.md"}
    assert ModelCard.read(tmp_path) == ModelCard.read(str(tmp_path)) == card
    assert (tmp_path / "README.md").read_text(encoding="utf-8") == card.page()


def test_a_folder_without_a_card_has_a_bare_one(tmp_path):
    assert ModelCard.read(tmp_path) == ModelCard(name=tmp_path.name)


def test_the_page_has_the_header_of_the_hub_and_everything_on_the_card():
    page = FULL.page()
    head, _, body = page.removeprefix("---\n").partition("---\n")
    assert head.splitlines()[:2] == ["library_name: feller", "license: mit"]
    lines = body.splitlines()
    for line in (
        "# images/x-flow",
        "Draws x's, after Kynkäänniemi.",
        "| parameters | 1234567 |",
        "| data set | mnist |",
        "| licence | MIT |",
        "| seconds | 3.5 |",
        "| solver | heun |",
        "| accuracy | 0.9871 (0.97 to 0.99) | p(x\\|y), 9 draws |",
        "| distance | 1e-07 |  |",
        "Only x's.",
        "- arXiv 2",
    ):
        assert line in lines
    assert [line for line in lines if line.startswith("## ")] == [
        "## Model", "## Training", "## Sampling", "## Quality", "## Limitations", "## References",
    ]  # fmt: skip


def test_markdown_needs_an_empty_line_around_a_table():
    lines = FULL.page().splitlines()
    for before, line, after in zip(lines, lines[1:], lines[2:], strict=False):
        if line.startswith("|"):
            assert before.startswith("|") or before == ""
            assert after.startswith("|") or after == ""


def test_a_bare_page_is_short():
    page = ModelCard(name="bare").page()
    assert page.endswith("\n\n# bare\n")
    assert "licen" not in page  # that of weights is their owner's to name
    assert "Training" not in page
    assert "Quality" not in page


def test_a_figure_without_an_interval_stands_alone():
    assert str(Metric(name="a", value=0.123456)) == "0.1235"
    assert str(Metric(name="a", value=2.0, low=1.0, high=3.0)) == "2 (1 to 3)"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ("{", "Expecting property name"),
        ("[]", "list"),
        ("{}", "'name'"),
        ('{"name": "a", "licens": "MIT"}', "'licens'"),
        ('{"name": "a", "metrics": [{"name": "b", "value": 1, "unit": "m"}]}', "'unit'"),
        ('{"name": "a", "metrics": [3]}', "'3', not a mapping"),
        ('{"name": 3}', "name is '3', not str"),
        ('{"name": "a", "training": []}', "training is '[]', not dict"),
        ('{"name": "a", "metrics": [{"name": "b", "value": "low"}]}', "value is 'low'"),
        (
            '{"name": "a", "metrics": [{"name": "b", "value": 1.0, "low": 0.5}]}',
            "b has one end of an i",
        ),
        (
            '{"name": "a", "metrics": [{"name": "b", "value": 1.0, "high": 2.0}]}',
            "b has one end of an",
        ),
        ("[" * 100_000, "it is nested too deeply"),
        ('{"name": "a", "metrics": [{"name": "b", "value": 1%s}]}' % ("0" * 400), "too large"),
        ('{"name": "a", "odd\\nname": 1}', "odd"),
    ],
)
def test_what_is_not_a_card_is_named(data, reason, tmp_path):
    file = tmp_path / "card.json"
    file.write_text(data)
    with pytest.raises(CardError) as caught:
        ModelCard.read(tmp_path)
    message = str(caught.value)
    assert message.startswith(f"{file} is not a card: ")
    assert reason in message
    assert "\n" not in message


def test_the_file_is_plain_json(tmp_path):
    FULL.write(tmp_path)
    data = json.loads((tmp_path / "card.json").read_text())
    assert data["metrics"][0]["low"] == 0.97
    assert data["dataset"] == "mnist"
