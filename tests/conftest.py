"""What every test may ask for: seeded randomness, and real data where there is some."""

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


@pytest.fixture
def rng():
    """A `torch.Generator` with a fixed seed."""
    import torch

    return torch.Generator().manual_seed(0)


@pytest.fixture
def only_images(monkeypatch):
    """Tests that name what is installed see the images alone, whatever else is."""
    from feller.core import registry

    images = registry.domains()["images"]
    monkeypatch.setattr(registry, "domains", lambda: {"images": images})


@pytest.fixture(scope="session")
def data_root(request):
    """The folder of the real data sets; a test that asks for it is skipped, aloud, without one."""
    root = request.config.getoption("--data-root")
    if root is None:
        pytest.skip("no real data: pass --data-root, or set FELLER_DATA_ROOT")
    return Path(root)
