"""`feller show`: the card of a model, as a page or as JSON."""

import json
from dataclasses import asdict

import pictures
import pytest
from terminal import complaint, feller


@pytest.fixture
def run(tmp_path):
    pictures.save(tmp_path / "run" / "model")
    return tmp_path / "run"


def test_the_page(run):
    assert feller("show", run) == (0, pictures.CARD.page(), "")
    assert feller("show", run / "model").out == pictures.CARD.page()


def test_json(run):
    code, out, _ = feller("show", run, "--json")
    assert code == 0
    assert json.loads(out) == json.loads(json.dumps(asdict(pictures.CARD)))


def test_what_is_not_there_is_refused(run, tmp_path):
    assert complaint("show", "images/nothing").startswith(
        "feller show: unknown model 'images/nothing'; "
    )
    assert "neither a model nor a finished run" in complaint("show", tmp_path)
    (run / "model" / "card.json").write_text("{")
    assert f"{run / 'model' / 'card.json'} is not a card" in complaint("show", run)


def test_a_model_is_asked_for():
    code, _, err = feller("show")
    assert code == 2
    assert "the following arguments are required: model" in err
    assert "Traceback" not in err


def test_a_bundled_model():
    code, out, _ = feller("show", "images/fashion-flow", "--json")
    assert code == 0
    assert json.loads(out)["dataset"] == "fashion-mnist"
