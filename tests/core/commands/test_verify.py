"""`feller verify`: the table of solutions, a chosen one, or the domain of a model."""

import json

import pytest
from terminal import complaint, feller

from feller.core import verify as core_verify
from feller.core.commands import verify
from feller.core.generators import Flow
from feller.core.solutions import solves, table
from feller.core.verify import examples
from feller.core.verify.examples import Example


@pytest.fixture(autouse=True)
def only_ours(monkeypatch):
    """Tests that count rows see the core's, whatever domain is installed."""
    monkeypatch.setattr(examples, "brought", tuple)


def rows(*argv):
    code, out, err = feller("verify", *argv, "--json", "--times", ".5", "--samples", 200)
    assert err == ""
    return code, json.loads(out)


def test_the_table_is_verified(monkeypatch):
    """Each tenth row of it; `test_rows` verifies them all."""
    few = list(core_verify.cases())[::10]
    monkeypatch.setattr(core_verify, "cases", lambda: iter(few))
    code, found = rows("--seed", 0)  # of 200 samples alone, another is unlucky now and then
    assert code == 0
    assert len(found) == len(few) > 5
    assert all(row["passed"] for row in found)
    assert {"forward", "backward"} <= {row["role"] for row in found}


@pytest.mark.gate
def test_a_table_is_printed():
    code, out, _ = feller("verify", "--path", "geodesic")
    assert code == 0
    assert out.splitlines()[0].startswith("path      space        schedule")
    assert "3 of 3 pass\nerrors below " in out


@pytest.mark.gate
def test_each_run_has_times_and_directions_of_its_own():
    def seed(*argv):
        _, out, _ = feller("verify", "--path", "geodesic", "--space", "torus", "--json", *argv)
        return json.loads(out)[0]

    first, other = seed(), seed()
    assert (first["seed"], first["time"]) != (other["seed"], other["time"])
    assert seed("--seed", first["seed"], "--moments", 3) == first
    assert len(seed("--moments", 1, "--directions", 1, "--details")["residuals"]) == 3


def test_a_superposition_is_chosen():
    code, found = rows("--path", "gaussian", "--schedule", "cosine", "--kind", "flow=.5,jump=.5")
    assert code == 0
    assert {row["generator"] for row in found} == {"0.5 flow + 0.5 jump"}
    assert {row["schedule"] for row in found} == {"Cosine"}
    assert {row["data"] for row in found} == {"one point", "2 points"}


def test_a_space_is_chosen():
    _, found = rows("--space", "tokens")
    assert {row["path"] for row in found} == {"geometric", "mixture"}


def test_both_at_full_weight_fail():
    code, found = rows("--path", "gaussian", "--schedule", "polynomial", "--kind", "flow,jump")
    assert code == 1
    exact = [row for row in found if row["method"] == "quadrature"]
    assert exact
    assert not any(row["passed"] for row in exact)
    assert found[0]["note"] == "forward weights less backward weights sum to 1, these to 2"


def test_a_flow_alone_is_not_stationary():
    code, found = rows("--path", "gaussian", "--kind", "flow", "--stationary")
    assert code == 1
    assert found[0]["role"] == "stationary"


def test_a_wrong_entry_fails(monkeypatch):
    class Bent(examples.GaussianPath):
        """A path whose flow is one percent too fast."""

    monkeypatch.setattr(table, "_SOLUTIONS", dict(table._SOLUTIONS))
    points = examples._reals([[0.7], [-1.0]])
    known = {**examples.EXAMPLES, Bent: lambda: [Example(Bent(), points, ("flow",), marginal=True)]}
    monkeypatch.setattr(examples, "EXAMPLES", known)

    @solves(Bent, Flow)
    def fast(path, x, t, z):
        right = table.solution(examples.GaussianPath(), Flow)(path, x, t, z)
        return Flow(1.01 * right.velocity)

    code, found = rows("--path", "bent")
    assert code == 1
    assert [row["passed"] for row in found] == [False, False]
    code, out, _ = feller("verify", "--path", "bent")
    assert code == 1
    assert "FAIL" in out


def test_a_corrector_is_added():
    code, found = rows("--space", "interval", "--kind", "diffusion, corrector=2")
    assert code == 0
    assert {row["generator"] for row in found} == {"diffusion + 2 corrector"}


@pytest.mark.gate
def test_a_figure_is_drawn(tmp_path):
    file = tmp_path / "sides.png"
    assert feller("verify", "--path", "geodesic", "--plot", file).code == 0
    assert file.is_file()


def test_mistakes_are_named():
    assert complaint("verify", "--kind", "flow,jmp").startswith(
        "feller verify: unknown kind 'jmp' in --kind; there are flow, "
    )
    assert complaint("verify", "--kind", "flow=a") == (
        "feller verify: --kind holds numbers, not 'a'"
    )
    assert complaint("verify", "--times", "0.5,1") == (
        "feller verify: times lie between 0.0001 and 0.9999, not (0.5, 1.0)"
    )
    assert complaint("verify", "--schedule", "linear", "--path", "gaussian").startswith(
        "feller verify: unknown schedule 'linear'; there are condot, "
    )
    assert complaint("verify", "--path", "nowhere") == (
        "feller verify: no example of that: `feller verify` lists all there is"
    )
    assert complaint("verify", "--stationary").startswith("feller verify: --stationary is said of")


@pytest.mark.parametrize("code", [0, 1])
def test_a_model_is_left_to_its_domain(code, monkeypatch):
    calls = []
    monkeypatch.setattr(verify, "domain_command", lambda *given: calls.append(given) or code)
    assert feller("verify", "images/x", "-n", "3").code == code
    assert calls == [("verify", ["images/x", "-n", "3"])]


def test_an_unknown_model_is_named():
    line = complaint("verify", "images/nothing")
    assert line.startswith("feller verify: unknown model 'images/nothing'")


def test_a_negative_weight_fails():
    code, found = rows("--path", "gaussian", "--kind", "flow=-1,jump=2")
    assert code == 1
    assert not any(row["passed"] for row in found)


def test_a_schedule_skips_the_paths_it_does_not_fit():
    code, found = rows("--schedule", "variancepreserving", "--kind", "jump", "--space", "euclidean")
    assert code == 0 or {row["path"] for row in found} == {"gaussian"}
    assert found
    line = complaint("verify", "--schedule", "variancepreserving", "--path", "mixture")
    assert "a mixing weight starts at 0" in line


def test_wrong_bounds_and_kinds_are_named():
    for flag, value in (("--errors", "nan"), ("--errors", "-1"), ("--tolerance", "inf")):
        line = complaint("verify", f"{flag}={value}")
        assert f"{flag[2:]} is a finite number >= 0, not {value}" in line
    assert "unknown kind ''" in complaint("verify", "--kind", "")
    assert complaint("verify", "--kind", "corrector") == (
        "feller verify: --kind corrector leaves the path alone: add --stationary"
    )
