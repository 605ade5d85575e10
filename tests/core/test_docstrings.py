"""Every example in a docstring runs and says what it says."""

import doctest
import importlib
import inspect
import pkgutil

import pytest

import feller.core

MODULES = [
    module.name
    for module in pkgutil.walk_packages(feller.core.__path__, "feller.core.")
    if not module.name.endswith("__main__")
]


@pytest.mark.parametrize("name", ["feller.core", *MODULES])
def test_examples_run(name):
    module = importlib.import_module(name)
    source = inspect.getsource(module)
    found = doctest.testmod(module)
    assert found.failed == 0
    run = found.attempted - getattr(found, "skipped", 0)  # later Pythons count these too
    assert run == source.count(">>> ") - source.count("+SKIP")  # none is overlooked
