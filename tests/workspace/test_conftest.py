"""Which runs are shared out among processes: whole folders, once, and nothing else."""

import argparse
import importlib.util
from pathlib import Path

import pytest

HERE = Path(__file__)
QUICK = "not slow and not gate and not compile and not wheel"


@pytest.fixture
def share(monkeypatch):
    """The processes that a run gets, None for this one alone."""
    spec = importlib.util.spec_from_file_location(
        "conftest_of_all", HERE.parents[1] / "conftest.py"
    )
    conftest = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(conftest)
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)

    def processes(*paths, **asked):
        option = argparse.Namespace(
            **{"keyword": "", "usepdb": False, "collectonly": False, "record_samples": False},
            **{"markexpr": QUICK, "numprocesses": None, "dist": "no"},
        )
        vars(option).update(asked)
        config = argparse.Namespace(option=option, args=[str(path) for path in paths])
        conftest.pytest_cmdline_main(config)
        return option.numprocesses

    return processes


def test_folders_are_shared_out(share):
    assert 1 <= share(HERE.parents[1]) <= 4
    assert 1 <= share(HERE.parent, HERE.parents[1] / "core") <= 4
    assert 1 <= share(HERE.parents[1], markexpr="gate") <= 4


def test_where_no_system_says_what_a_process_may_use_the_cores_count(share, monkeypatch):
    monkeypatch.delattr("os.sched_getaffinity", raising=False)  # as on macOS
    monkeypatch.setattr("os.cpu_count", lambda: 3)
    assert share(HERE.parents[1]) == 3


def test_a_file_or_a_choice_is_not(share):
    assert share(HERE) is None
    assert share(HERE.parent, HERE) is None
    assert share(f"{HERE}::test_a_file_or_a_choice_is_not") is None
    assert share(HERE.parent, keyword="times") is None
    assert share(HERE.parent, markexpr="slow") is None
    assert share(HERE, markexpr="gate") is None
    assert share(HERE.parent, usepdb=True) is None
    assert share(HERE.parent, collectonly=True) is None
    assert share(HERE.parent, record_samples=True) is None


def test_what_is_asked_is_done(share):
    assert share(HERE.parent, numprocesses=0) == 0
    assert share(HERE, numprocesses=3) == 3


def test_a_process_of_many_has_none_of_its_own(share, monkeypatch):
    monkeypatch.setenv("PYTEST_XDIST_WORKER", "gw0")
    assert share(HERE.parent) is None
