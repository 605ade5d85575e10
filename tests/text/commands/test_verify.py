"""`feller verify` for text: a chain that knows its data passes, and each fault is caught."""

import json
from dataclasses import dataclass, replace

import pytest
import texts
import torch
from chains import SOURCES, ExactModel, exact_model
from terminal import complaint, feller
from torch import Tensor
from torch.testing import assert_close

from feller.core.cards import ModelCard
from feller.core.checkpoint import save_model
from feller.core.config import encode
from feller.core.generators import Categorical, Jump
from feller.core.posteriors import FiniteData
from feller.core.schedules import Cosine
from feller.core.verify import Plan, Reference, Statistics, verify
from feller.core.verify.report import ModelFlags
from feller.text.commands.verify import (
    VerifyFlags,
    _change,
    reference,
    statistics,
    usual_data,
    verify_tokens,
)
from feller.text.data import TextData
from feller.text.recipes import stdlib_mask

V = 5
CORPUS = ("aab", "ab ", "ac ", "bad", "  a", "a a")
WEIGHTS = torch.tensor([0.3, 0.25, 0.15, 0.15, 0.1, 0.05], dtype=torch.float64)
POINTS = torch.stack([texts.CODEC.tokens(text) for text in CORPUS])
PLAN = Plan((0.2, 0.8), samples=20_000, batch=10_000)
every_source = pytest.mark.parametrize("noise", SOURCES)


@dataclass
class Chain:
    """A chain on the exact posterior, made wrong by a tilt, by rates, or by not looking."""

    exact: ExactModel
    tilt: Tensor
    rate: float = 1.0
    looks: bool = True

    @property
    def path(self):
        return self.exact.path

    def __call__(self, x, t, condition=None):
        kappa = self.path.schedule.alpha(torch.tensor(t, dtype=torch.float64))
        seen = x if self.looks else torch.full_like(x, self.exact.vocabulary.mask)
        logits = self.exact.logits(seen, kappa) + self.tilt
        may_jump = self.path.source.log_density(x) > -torch.inf
        hazard = self.path.schedule.hazard(torch.tensor(t, dtype=torch.float64))
        intensity = torch.where(may_jump, self.rate * hazard, 0.0)
        return Jump(intensity, Categorical(logits))


def chain(noise, **faults):
    exact = exact_model(noise, POINTS, WEIGHTS, v=V, schedule=Cosine())
    return Chain(exact, faults.pop("tilt", torch.zeros(V)), **faults)


def setting(noise):
    """The texts, with their probabilities, and test functions of them."""
    functions = statistics(texts.CODEC, POINTS, has_mask=noise.startswith("mask"))
    return Reference(POINTS, WEIGHTS), functions


def residuals(noise, plan=PLAN, **faults):
    windows, functions = setting(noise)
    return verify_tokens(chain(noise, **faults), windows, functions, plan)


def test_functions_are_those_they_are_called():
    z = texts.CODEC.tokens("ab cba d")[None]
    functions = statistics(texts.CODEC, z, has_mask=True)
    x = torch.cat([z, z.clone()])
    x[1, 1:3] = 5
    values = functions.values(x)
    of = dict(zip(functions.functions, values.unbind(1), strict=True))
    assert_close(of["masked"], torch.tensor([0, 2 / 8]))
    assert_close(of["'a' (0)"], torch.tensor([2 / 8, 2 / 8]))
    assert_close(of["letters"], torch.tensor([6 / 8, 5 / 8]))
    assert_close(of["spaces"], torch.tensor([2 / 8, 1 / 8]))
    assert_close(of["letters, spaces"], torch.tensor([2 / 7, 1 / 7]))
    numbers = dict(zip(functions.names, functions.tables.unbind(1), strict=True))
    assert_close(of["hash"], numbers["hash"][x].mean(1))
    left, right = numbers["left 2"][x], numbers["right 2"][x]
    assert_close(of["left 2, right 2"], (left[:, :-1] * right[:, 1:]).mean(1))
    assert values.shape[1] == len(functions.functions) == 10
    alone = statistics(texts.CODEC, z[:, :1], has_mask=False)
    assert alone.values(z[:, :1]).isfinite().all()


def test_what_stands_beside_a_token_is_centred():
    z = texts.CODEC.tokens("abdcabd abc cab dab c")[None]
    functions = statistics(texts.CODEC, z, has_mask=True)
    numbers = dict(zip(functions.names, functions.tables.unbind(1), strict=True))
    for name in ("left 1", "right 1", "left 2", "right 2"):
        assert numbers[name][5] == 0
        assert_close(numbers[name][z].mean(), torch.zeros(()), atol=1e-6, rtol=0)
        assert numbers[name].std() > 0.05
    left, told = numbers["left 1"], []
    for i in range(V):
        before = z[0, :-1][z[0, 1:] == i]
        told.append(left[before].sum() / (len(before) + 10))
    both = torch.stack([torch.stack(told), numbers["right 1"][:V]])
    assert_close(both.corrcoef()[0, 1], torch.ones(()))


@every_source
def test_closed_forms_are_what_the_generator_does(noise, rng):
    """Compare with `Jump.apply`, which goes to every destination of every element."""
    windows, functions = setting(noise)
    model = chain(noise, tilt=torch.arange(5.0))
    x = model.path.sample(windows.points.repeat(5, 1), 0.5, rng)
    jump = model(x, 0.5)
    double = replace(functions, tables=functions.tables.double())
    each = range(len(functions.functions))
    by_hand = [jump.apply(lambda y, i=i: double.values(y)[:, i], x) for i in each]
    for generator in (jump, 0.25 * jump + 0.75 * jump):
        found = double.rates(x, _change(generator, x, double.tables))
        assert_close(found, torch.stack(by_hand, 1))


@every_source
def test_exact_posteriors_have_no_residual(noise):
    found = residuals(noise)
    assert found.passed
    assert found.noise() < 0.1
    assert found.relative() < 2 * found.noise()


@every_source
def test_the_change_is_that_of_the_distribution(noise):
    """Sum the distribution of every state, and compare."""
    windows, functions = setting(noise)
    known = FiniteData(chain(noise).path, Jump, windows.points, windows.weights)
    found = verify_tokens(known, windows, functions, PLAN)
    names, values = functions.functions, functions.values
    law = verify(known, windows, plan=replace(PLAN, functions=Statistics(names, values)))
    assert law.method == "enumeration"
    assert found.passed
    for drawn, summed in zip(found.residuals, law.residuals, strict=True):
        assert (drawn.time, drawn.function) == (summed.time, summed.function)
        assert drawn.change == pytest.approx(summed.change, abs=0.02)
        assert drawn.action == pytest.approx(summed.action, abs=0.02)


@every_source
def test_a_tilt_is_caught_at_its_size(noise):
    """Tilting the odds of a token moves its fraction by what can be summed."""
    tilt = torch.tensor([1.0, 0, 0, 0, 0])
    found = residuals(noise, tilt=tilt)
    assert not found.passed
    assert found.relative() > 3 * found.noise()
    windows, functions = setting(noise)
    at = functions.functions.index(next(n for n in functions.names if n.endswith("(0)")))
    summed = Statistics(("share",), lambda x: functions.values(x)[:, at : at + 1])
    law = verify(chain(noise, tilt=tilt), windows, plan=replace(PLAN, functions=summed))
    ours = [r for r in found.residuals if r.function == functions.functions[at]]
    for drawn, exact in zip(ours, law.residuals, strict=True):
        gap = (drawn.action - drawn.due) - (exact.action - exact.due)
        assert abs(gap) < 4 * drawn.standard_error
        assert exact.size > 4 * drawn.standard_error


@every_source
def test_low_rates_are_caught(noise):
    found = residuals(noise, rate=0.9)
    assert not found.passed
    assert found.relative() == pytest.approx(0.1, abs=0.02 + found.noise())
    for r in found.residuals:
        assert abs(r.action - 0.9 * r.change) < 5 * r.standard_error + 1e-6


def test_a_chain_that_does_not_look_is_caught_by_neighbours():
    """With the right fraction of every token at every position, only products tell."""
    found = residuals("mask", replace(PLAN, times=(0.8,)), looks=False)
    faults = {r.function for r in found.residuals if not r.passed}
    assert {"left 1, right 1", "left 2, right 2"} <= faults
    assert all("," in function for function in faults)


def test_batches_do_not_matter():
    whole = residuals("mask", replace(PLAN, samples=100))
    parts = residuals("mask", replace(PLAN, samples=100, batch=33))
    other = residuals("mask", replace(PLAN, samples=100, seed=1))
    for a, b, c in zip(whole.residuals, parts.residuals, other.residuals, strict=True):
        assert a.action == pytest.approx(b.action, rel=1e-5, abs=1e-7)
        assert a.function != "letters" or a.change != c.change


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    file = tmp_path_factory.mktemp("data") / "corpus.txt"
    file.write_text("abcd dcba " * 40)
    return file


@pytest.fixture
def flags(corpus, tmp_path):
    cache = ("--data.cache", tmp_path / "cache")
    return ("--data.path", corpus, *cache, "-n", 40, "--times", 0.3, 0.6, "--device", "cpu")


def test_the_reference_is_the_held_out_text(corpus, tmp_path):
    data = TextData(path=str(corpus), test_fraction=0.2, stride=3, cache=str(tmp_path))
    model = texts.model()
    windows = reference(model, VerifyFlags(data=data))
    assert windows.points.shape == (10, 8)
    assert set(model.codec.decode(windows.points)) == {
        *("abcd dcb", "a abcd d", "cba abcd", " dcba ab", "cd dcba "),
    }
    train = VerifyFlags(data=data, check=ModelFlags(split="train"))
    assert len(reference(model, train).points) == 40


def test_random_weights_fail(chain, flags):
    code, out, err = feller("verify", chain, *flags)
    assert code == 1
    assert err == ""
    assert out.splitlines()[0].startswith("t    relative error  resolved  f")
    assert "at most 0.05: FAIL" in out


def test_a_threshold_decides(chain, flags, tmp_path):
    picture = tmp_path / "a.png"
    asked = ("--threshold", 1000, "--json", "--details", "--plot", picture)
    code, out, _ = feller("verify", chain, *flags, *asked)
    (row,) = json.loads(out)
    assert code == 0
    assert row["passed"] is True
    assert row["relative"] > 0.1
    assert row["method"] == "switching"
    assert len(row["residuals"]) == 2 * 10
    assert picture.is_file()
    (other,) = json.loads(feller("verify", chain, *flags, "--seed", 1, "--json").out)
    assert other["relative"] != row["relative"]
    (more,) = json.loads(feller("verify", chain, *flags, "-n", 640, "--json").out)
    assert more["noise"] < row["noise"] / 2


def test_the_text_is_that_of_the_run_or_the_recipe(chain, tmp_path):
    assert usual_data(str(chain)) == TextData()
    run = tmp_path / "run"
    save_model(texts.model(), run / "model", card=ModelCard(name="text/stdlib-mask"))
    known = usual_data(str(run))
    assert known == replace(stdlib_mask().data, tokenizer=TextData().tokenizer, has_end=False)
    assert (known.source, known.held_out, known.test_fraction) == ("stdlib", "documents", 0.05)
    data = TextData(path="mine.txt", test_fraction=0.3)
    (run / "recipe.json").write_text(json.dumps({"data": encode(data)}))
    assert usual_data(str(run)) == data


def test_one_line_says_what_is_wrong(chain, baseline, flags, tmp_path):
    assert "autoregressive baseline" in complaint("verify", baseline, *flags)
    assert "--data.path is missing: give a file" in complaint("verify", chain, *flags[2:])
    (tmp_path / "short.txt").write_text("abcd " * 10)
    assert "a window has 8" in complaint("verify", chain, "--data.path", tmp_path / "short.txt")


@pytest.mark.slow
def test_shakespeare_passes(data_root):
    root = data_root / "text" if (data_root / "text").is_dir() else data_root
    flags = ("--data.path", root / "tinyshakespeare.txt.gz", "--device", "cpu")
    assert feller("verify", "text/shakespeare-mask", *flags).code == 0
