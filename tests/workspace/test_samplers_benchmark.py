"""benchmarks/samplers: right samples pass its measure, wrong ones fail; its oracles are exact."""

import importlib
import json
from pathlib import Path

import pytest
import torch

from feller.core.generators import Flow, Jump
from feller.core.paths import GaussianPath, MixturePath
from feller.core.posteriors import FiniteData
from feller.core.sources import UniformTokens
from feller.core.spaces import Tokens

FOLDER = Path(__file__).parents[2] / "benchmarks" / "samplers"


@pytest.fixture
def load(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module


@pytest.mark.parametrize("name", ["Points", "Sequences"])
def test_exact_samples_pass_and_tilted_ones_fail(load, name):
    problem = getattr(load("problems"), name)()
    total_variation, weights = load("measure").total_variation, problem.weights
    torch.manual_seed(0)
    drawn = problem.read(problem.exact(20_000, 1))[0]
    right = total_variation(drawn, weights)
    assert right.low < 0 < right.high
    tilted = weights**1.3 / (weights**1.3).sum()
    truth = float((tilted - weights).clamp_min(0).sum())
    wrong = total_variation(torch.multinomial(tilted, 20_000, replacement=True), weights)
    assert wrong.low > 0
    assert abs(wrong.value - truth) < 0.02


def test_states_that_are_no_data_count(load):
    problem = load("problems").Points()
    torch.manual_seed(0)
    samples = problem.exact(4_000, 1)
    samples[::5] = torch.nan
    found = load("measure").compare(problem, samples)
    assert abs(found.variation.value - 0.2) < 0.03
    assert found.gap == torch.inf


def test_the_posterior_of_points_is_that_of_the_core(load):
    problem = load("problems").Points()
    x = torch.randn(50, 2, generator=torch.Generator().manual_seed(0))
    points, weights = problem.points.float(), problem.weights.float()
    core = FiniteData(GaussianPath(), Flow, points, weights)(x, 0.4).velocity
    torch.testing.assert_close(problem.velocity(x, 0.4), core, rtol=1e-4, atol=1e-4)
    assert problem.calls == 1


def test_the_posterior_of_sequences_is_that_of_the_core(load):
    problem = load("problems").Sequences()
    x = torch.randint(4, (50, 3), generator=torch.Generator().manual_seed(0))
    path = MixturePath(Tokens(4), UniformTokens(4))
    core = FiniteData(path, Jump, problem.sequences, problem.weights.float())
    shown = torch.nn.functional.one_hot(problem.sequences, 4).float()
    expected = torch.einsum("bk,knv->bnv", core.posterior(x, 0.6).float(), shown)
    found = problem.posterior(x, 0.6, "uniform").float()
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_a_solver_of_the_core_passes_and_a_greedy_one_fails(load):
    problem = load("problems").Sequences()
    compare, chains = load("measure").compare, load("adapters.feller_core").token_samplers()
    torch.manual_seed(0)
    events = next(s for s in chains if s.name == "events, mask")
    found = compare(events.problem, events.draw(8_000, 1))
    assert found.variation.low < 0 < found.variation.high
    assert found.calls == 3
    greedy = torch.full((8_000, 3), problem.mask)
    for i in range(3):
        greedy[:, i] = problem.posterior(greedy)[:, i].argmax(-1)
    assert compare(problem, greedy).variation.low > 0.3


def test_the_page_is_that_of_the_results(load, tmp_path):
    page = tmp_path / "page.md"
    load("report").write(FOLDER / "results.json", page)
    assert page.read_text() == (FOLDER / "README.md").read_text()
    rows = json.loads((FOLDER / "results.json").read_text())["rows"]
    published = [r for r in rows if r["package"] != "feller-core"]
    assert len(published) >= 20
    measured = [r for r in published if all("variation" in x for x in r["results"])]
    assert len(measured) >= 20
    explained = load("explanations").EXPLANATIONS
    known = {(r["package"], r["name"]) for r in rows}
    assert explained.keys() <= known
    scripts = {e.script for e in explained.values() if e.script}
    assert scripts <= {path.stem for path in (FOLDER / "findings").glob("*.py")}
