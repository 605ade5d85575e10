"""benchmarks/run.py: what it measures is what it says, and the site shows it."""

import importlib
import json
import re
from pathlib import Path

import pytest

from site_speed import RESULTS, speed_page

ROOT = Path(__file__).parents[2]


@pytest.fixture
def job(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return importlib.import_module("peers.job")


class Clock:
    """A clock that work moves on."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now

    def work(self, seconds):
        def run():
            self.now += seconds

        return run


def test_a_ratio_is_our_time_over_theirs(job):
    clock = Clock()
    made = job.Job(part="", name="", ours=clock.work(0.3), theirs=clock.work(0.1), clock=clock)
    found = job.timed(made)
    assert found == pytest.approx((3.0, 3.0, 3.0, 0.3, 0.1))


@pytest.mark.parametrize(("rounds", "ends"), [(5, (0, 4)), (9, (1, 7)), (15, (3, 11))])
def test_the_interval_holds_the_median_as_often_as_it_says(job, rounds, ends):
    assert job.median_interval(rounds) == ends
    below = sum(job.comb(rounds, i) for i in range(ends[0] + 1)) / 2**rounds
    assert 1 - 2 * below > 0.93


def row(name, ratio, **more):
    low, high = ratio - 0.1, ratio + 0.1
    who = {"package": "peer", "version": "1", "peer": "f"}
    times = {"ours": ratio, "theirs": 1.0, "items": 0, "ratio": [ratio, low, high]}
    return {"module": "m", "part": "P", "job": name, "rounds": 9} | who | times | more


def test_the_page_is_worst_first_and_names_what_is_missing():
    rows = [row("a", 0.5), row("b", 2.0, items=8), {"module": "m", "missing": "x", "reason": "y"}]
    about = {"threads": 1, "date": "d", "processor": "p", "python": "3", "torch": "2"}
    page = speed_page(about | {"rows": rows})
    assert re.findall(r"P: (\w)", page) == ["b", "a"]
    assert "| **2.00** | 1.90 to 2.10 | P: b | 2 s, 4 samples a second | 1 s, 8 samples" in page
    assert "| x | y |" in page


def test_what_is_committed_is_whole():
    found = json.loads(RESULTS.read_text())
    parts = {row["module"] for row in found["rows"]}
    source = (ROOT / "benchmarks" / "run.py").read_text()
    assert parts == set(re.search(r"PARTS = \((.*?)\)", source)[1].replace('"', "").split(", "))
    for row in found["rows"]:
        if "ratio" in row:
            value, low, high = row["ratio"]
            assert low <= value <= high
            assert row["package"] and row["version"]


def test_figures_of_speed_on_pages_are_those_that_were_measured():
    """A page writes `N x (name)` of no peer but from the file: `speed.md` is the only one."""
    pages = [ROOT / "README.md", *(ROOT / "packages").glob("*/README.md")]
    pages += [page for page in (ROOT / "docs").rglob("*.md")]
    claims = re.compile(r"(?:times|x) (?:as fast|faster|slower)", re.IGNORECASE)
    assert not [(page.name, claim) for page in pages for claim in claims.findall(page.read_text())]
