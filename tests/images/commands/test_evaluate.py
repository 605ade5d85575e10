"""`feller evaluate` on images."""

import json
from dataclasses import replace

import pictures
import pytest
import torch
from terminal import complaint, feller

from feller.core.cards import Metric
from feller.core.config import encode
from feller.images.data import ImageData
from feller.images.metrics import likelihood as bits_of_images
from feller.images.metrics import report as metrics
from feller.images.models import Sampling

FAST = ("--steps", 2, "--solver", "euler")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return pictures.save(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def measured(monkeypatch):
    """Calls of the measurement, which returns two figures at once."""
    calls = []

    def measure(model, data, how, *, n, seed, features):
        calls.append((data, how, n, seed, features))
        return [
            Metric(name="accuracy", value=0.5, low=0.25, high=0.75, protocol="so"),
            Metric(name="distance", value=2.0),
        ]

    monkeypatch.setattr(metrics, "evaluate", measure)
    bits = Metric(name="bits per dimension", value=3.0)
    monkeypatch.setattr(bits_of_images, "likelihood", lambda *args, **kwargs: bits)
    return calls


def test_figures_in_a_table(model, measured):
    code, out, _ = feller("evaluate", model)
    assert code == 0
    assert [line.split() for line in out.splitlines()] == [
        ["accuracy", "0.5", "(0.25", "to", "0.75)", "so"], ["distance", "2"],
        ["bits", "per", "dimension", "3"],
    ]  # fmt: skip
    assert not any(line.endswith(" ") for line in out.splitlines())
    assert measured == [(ImageData(source="drawn"), Sampling(guidance=2.0), 1000, 0, "auto")]


def test_figures_are_printed_where_there_are_no_bits(model, measured, monkeypatch):
    def none(*args, **kwargs):
        raise ValueError("there is no bound")

    monkeypatch.setattr(bits_of_images, "likelihood", none)
    code, out, err = feller("evaluate", model)
    assert code == 0
    assert out.startswith("accuracy") and "bits" not in out
    assert err.splitlines()[-1] == "no bits per dimension: there is no bound"


def test_figures_as_json(model, measured):
    _, out, _ = feller("evaluate", model, "--json")
    assert json.loads(out)[0] == {
        "name": "accuracy", "value": 0.5, "low": 0.25, "high": 0.75, "protocol": "so",
    }  # fmt: skip


def test_flags_of_evaluate(model, measured):
    where = ("--data.source", "npz", "--data.root", "a.npz")
    flags = ("-n", 12, "--guidance", 3, "--solver", "euler", "--steps", 4, "--seed", 5)
    flags += ("--features", "a.pt", "--mix", 0.25, 0.75, "--guidance-interval", 0.1, 0.9)
    flags += ("--guidance-rescale", 0.5, "--autoguidance", "worse", "--grid", "power")
    assert feller("evaluate", model, *where, *flags).code == 0
    how = Sampling(
        steps=4, solver="euler", guidance=3.0, mix=(0.25, 0.75), interval=(0.1, 0.9), rescale=0.5,
        autoguidance="worse", grid="power",
    )  # fmt: skip
    assert measured == [(ImageData(source="npz", root="a.npz"), how, 12, 5, "a.pt")]


def test_the_data_are_those_of_the_card(measured, tmp_path):
    card = replace(pictures.CARD, dataset="fashion-mnist")
    folder = pictures.save(tmp_path / "tiny", card=card)
    assert feller("evaluate", folder, "--data.root", "here").code == 0
    assert feller("evaluate", folder, "--data.source", "mnist").code == 0
    assert [data for data, *_ in measured] == [
        ImageData(source="fashion-mnist", root="here"), ImageData(source="mnist"),
    ]  # fmt: skip
    assert "fashion-mnist)" in feller("evaluate", folder, "--help").out


def test_the_data_of_a_run_are_its_own(measured, tmp_path):
    own = ImageData(source="folder", root="mine", size=8, gray=True)
    folder = pictures.save(tmp_path / "run" / "model")
    (tmp_path / "run" / "recipe.json").write_text(json.dumps({"data": encode(own)}))
    assert feller("evaluate", folder).code == 0
    assert feller("evaluate", folder, "--data.root", "other").code == 0
    assert [data for data, *_ in measured] == [own, replace(own, root="other")]


@pytest.mark.parametrize("dataset", ["", "imagenet"])
def test_a_card_without_data_needs_a_flag(dataset, measured, tmp_path):
    folder = pictures.save(tmp_path / "tiny", card=replace(pictures.CARD, dataset=dataset))
    assert complaint("evaluate", folder) == (
        f"feller evaluate: the card of {folder} names no data set that feller has: "
        "give --data.source"
    )
    assert measured == []
    assert feller("evaluate", folder, "--data.source", "drawn").code == 0
    assert feller("evaluate", folder, "--data.source=drawn").code == 0
    assert feller("evaluate", folder, "--help").code == 0


def test_real_figures(tmp_path, monkeypatch):
    folder = pictures.save(tmp_path / "tiny")
    pictures.script(torch.nn.Flatten(), 8, tmp_path / "a.pt")
    flags = ("-n", 4, "--steps", 1, "--data.size", 8, "--json", "--features", tmp_path / "a.pt")
    code, out, _ = feller("evaluate", folder, *flags)
    assert code == 0
    names = [metric["name"] for metric in json.loads(out)]
    assert {"KID", "FID", "nearest-neighbour ratio"} <= {*names}
    assert feller("evaluate", folder, *flags[:-1], "resnet").err.splitlines()[-1] == (
        "feller evaluate: --features is auto, classifier, efficientnet or a file, not resnet"
    )
    missing = complaint("evaluate", folder, "--data.source", "mnist", "--data.root", tmp_path)
    assert missing.startswith(f"feller evaluate: {tmp_path} holds neither mnist.npz nor ")


# demo
