"""`feller show`: the card of a model, as a page or as JSON."""

import json
from dataclasses import asdict

import pictures
import pytest
from terminal import complaint, feller

from feller.core.domains import list_models, list_recipes
from feller.core.training.cost import cost_of

NEEDS_DATA = ("images/folder",)  # those of lm1b and owt need a tokenizer


@pytest.fixture
def run(tmp_path):
    pictures.save(tmp_path / "run" / "model")
    return tmp_path / "run"


def test_the_page(run):
    code, out, err = feller("show", run)
    assert (code, err) == (0, "")
    assert out == f"{pictures.CARD.page()}\n{cost_of(pictures.CONFIG).page()}\n"
    assert feller("show", run / "model").out == out


def test_json(run):
    code, out, _ = feller("show", run, "--json")
    assert code == 0
    cost = asdict(cost_of(pictures.CONFIG))
    assert json.loads(out) == json.loads(json.dumps(asdict(pictures.CARD))) | {"cost": cost}


def test_a_recipe_has_a_cost_before_it_is_trained():
    code, out, err = feller("show", "images/cifar10-flow")
    assert (code, err) == (0, "")
    assert "CIFAR-10 with the 35.7M U-Net of DDPM" in out
    assert "| parameters | 35.75 million |" in out
    assert "| operations of the network, a sample | 12.44 GFLOPs |" in out
    assert "| memory of training, 128 samples | 8.26 GB |" in out
    found = json.loads(feller("show", "images/cifar10-flow", "--json").out)
    assert found["parameters"] == found["cost"]["parameters"] == 35_746_307


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


@pytest.mark.gate
@pytest.mark.parametrize("domain", ["images", "text", "proteins"])
def test_every_model_and_recipe_is_shown(domain):
    every = (name for name in {*list_models(), *list_recipes()} if name.startswith(domain))
    for name in sorted(every):
        code, out, err = feller("show", name)
        if name in NEEDS_DATA or name.startswith(("text/lm1b", "text/owt")):
            assert (code, out) == (2, "") and err.startswith("feller show: ")
        else:
            assert (code, err) == (0, ""), name
            assert "| parameters | " in out
