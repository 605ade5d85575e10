"""What every test may ask for: seeded randomness, and real data where there is some.

Whole folders of the quick suite, and of what the gate runs beside it (`-m gate`), are shared out
among processes, one a core and four at most; a file, a test, or another choice by `-k` or `-m` runs
in this process, without the seconds that others need to start. `-n 0` keeps all in one, `-n 2`
shares anything out.
"""

import os
from pathlib import Path

import pytest

# Tests work on small tensors, where a second thread only waits for the first. Before torch starts.
os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_addoption(parser):
    parser.addoption(
        "--data-root",
        default=os.environ.get("FELLER_DATA_ROOT"),
        help="folder of the real data sets, for slow tests (default: $FELLER_DATA_ROOT)",
    )
    parser.addoption(
        "--record-samples",
        action="store_true",
        help="take what is drawn now for right, in tests/workspace/test_bit_equal.py",
    )


@pytest.hookimpl(tryfirst=True)  # before xdist reads what is asked of it
def pytest_cmdline_main(config):
    if "PYTEST_XDIST_WORKER" in os.environ:  # one of those processes, which is to have none
        return
    option = config.option
    folders = all(Path(argument).is_dir() for argument in config.args)
    alone = option.keyword or option.usepdb or option.collectonly or option.record_samples
    quick = option.markexpr in ("not slow and not gate and not compile and not wheel", "gate")
    if folders and quick and not alone and getattr(option, "numprocesses", 0) is None:
        option.numprocesses = min(4, _cores())
        option.dist = "worksteal"  # neighbours, which share what a module builds, stay together


def _cores():
    """Return how many cores this process may use, or the machine has where none can say."""
    affinity = getattr(os, "sched_getaffinity", None)  # Linux alone has it
    return len(affinity(0)) if affinity else os.cpu_count() or 1


@pytest.fixture
def rng():
    """A `torch.Generator` with a fixed seed."""
    import torch

    return torch.Generator().manual_seed(0)


@pytest.fixture
def only_images(monkeypatch):
    """Tests that name what is installed see the images alone, whatever else is."""
    from feller.core import domains

    images = domains.domains()["images"]
    monkeypatch.setattr(domains, "domains", lambda: {"images": images})


@pytest.fixture(scope="session")
def data_root(request):
    """The folder of the real data sets; a test that asks for it is skipped, aloud, without one."""
    root = request.config.getoption("--data-root")
    if root is None:
        pytest.skip("no real data: pass --data-root, or set FELLER_DATA_ROOT")
    return Path(root)
