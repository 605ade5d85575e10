"""`feller verify` for images: a model that knows its data passes, a random one does not."""

import json
from dataclasses import replace

import numpy as np
import pictures
import pytest
import torch
from terminal import complaint, feller
from torch.testing import assert_close

from feller.core.generators import Flow, Jump
from feller.core.paths import GaussianPath, MixturePath
from feller.core.posteriors import FiniteData
from feller.core.sources import Masked
from feller.core.spaces import Euclidean, Tokens
from feller.core.verify import Plan, Reference, verify
from feller.core.verify.report import ModelFlags
from feller.images.commands.verify import VerifyFlags, reference, statistics
from feller.images.data import ImageData


@pytest.fixture(scope="module")
def labelled(tmp_path_factory):
    """A file of 50 images in the three classes of the tiny model."""
    file = tmp_path_factory.mktemp("data") / "noise.npz"
    noise = np.random.default_rng(0).integers(0, 256, (50, 8, 8), dtype=np.uint8)
    np.savez(file, test_images=noise, test_labels=np.arange(50) % 3)
    return file


def test_statistics_are_those_they_are_called(rng):
    x = torch.rand(5, 1, 8, 8, generator=rng, dtype=torch.float64) - 0.3
    functions = statistics(x)
    values = dict(zip(functions.names, functions.values(x).unbind(1), strict=True))
    assert_close(values["brightness"], x.mean((1, 2, 3)))
    assert_close(values["contrast"], (x**2).mean((1, 2, 3)))
    assert_close(values["roughness"], ((x[..., 1:] - x[..., :-1]) ** 2).mean((1, 2, 3)))
    assert len(values) == 9
    assert all(value.std() > 1e-4 for value in values.values())
    assert_close(functions.values(x)[1:3], functions.values(x[1:3]))


def test_an_exact_model_of_images_passes(rng):
    points = torch.rand(6, 1, 8, 8, generator=rng, dtype=torch.float64) * 2 - 1
    exact = FiniteData(GaussianPath(Euclidean(3)), Flow, points)
    plan = Plan(functions=statistics(points), samples=500, batch=200)
    found = verify(exact, Reference(points), plan=plan)
    assert found.passed
    assert found.relative() < 3 * found.noise()


def test_the_reference_is_the_encoded_split(labelled):
    model = pictures.model()
    flags = VerifyFlags(data=ImageData(source="npz", root=str(labelled)), labels=True)
    images = reference(model, flags)
    assert images.points.shape == (50, 1, 8, 8)
    assert images.points.abs().max() <= 1
    assert images.conditions.bincount().tolist() == [17, 17, 16]
    assert torch.equal(images.points, reference(model, flags).points)
    assert reference(model, replace(flags, labels=False)).conditions is None
    other = reference(model, replace(flags, check=ModelFlags(seed=1))).points
    assert not torch.equal(images.points, other)
    with pytest.raises(ValueError, match="--labels: the model takes none"):
        reference(pictures.model(pictures.UNCONDITIONAL), flags)


def test_an_exact_chain_of_grey_levels_passes_and_one_that_is_too_slow_does_not(rng):
    points = torch.randint(4, (6, 1, 4, 4), generator=rng)
    path = MixturePath(Tokens(5, event_dim=3), Masked(4))
    exact = FiniteData(path, Jump, points)
    plan = Plan(functions=statistics(points, levels=4), samples=500, batch=100)
    assert verify(exact, Reference(points), plan=plan).passed
    slow = verify(0.5 * exact, Reference(points), plan=plan)
    assert not slow.passed


def test_statistics_of_levels_are_those_of_the_numbers_they_stand_for(rng):
    levels = torch.randint(4, (5, 1, 8, 8), generator=rng)
    masked = levels.masked_fill(levels == 2, 4)
    numbers = 2 * levels / 3 - 1
    functions, plain = statistics(levels, levels=4), statistics(numbers)
    assert_close(functions.values(levels), plain.values(numbers))
    assert_close(functions.values(masked), plain.values(numbers.masked_fill(levels == 2, 0.0)))


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return pictures.save(tmp_path_factory.mktemp("models") / "tiny")


FLAGS = ("--data.size", 8, "-n", 40, "--times", 0.3, 0.6, "--device", "cpu")


def test_random_weights_fail(tiny):
    code, out, err = feller("verify", tiny, *FLAGS)
    assert code == 1
    assert err == "drawn, test: 2000 images of 8 x 8 x 1, 10 labels\n"
    assert out.splitlines()[0].startswith("t    relative error  resolved  f")
    assert "at most 0.05: FAIL" in out


def test_a_threshold_decides(tiny, tmp_path):
    code, out, _ = feller(
        "verify", tiny, *FLAGS, "--threshold", 1000, "--json", "--plot", tmp_path / "a.png"
    )
    (row,) = json.loads(out)
    assert code == 0
    assert row["passed"] is True
    assert row["relative"] > 0.1
    assert row["time"] in (0.3, 0.6)
    assert (tmp_path / "a.png").is_file()


def test_details_and_labels(tiny, labelled):
    flags = (*FLAGS[2:], "--data.source", "npz", "--data.root", labelled, "--json", "--details")
    _, out, _ = feller("verify", tiny, *flags, "--labels")
    _, plain, _ = feller("verify", tiny, *flags)
    (told,), (untold,) = json.loads(out), json.loads(plain)
    assert len(told["residuals"]) == 18
    assert told["relative"] != untold["relative"]


def test_data_are_asked_for(tmp_path):
    nameless = replace(pictures.CARD, dataset="")
    folder = pictures.save(tmp_path / "nameless", card=nameless)
    assert "names no data set that feller has: give --data.source" in complaint("verify", folder)


@pytest.mark.slow
def test_fashion_flow_passes(data_root):
    folder = data_root / "images" if (data_root / "images").is_dir() else data_root
    flags = ("--data.root", folder, "--device", "cpu", "--threshold", 0.03)
    assert feller("verify", "images/fashion-flow", *flags).code == 0
