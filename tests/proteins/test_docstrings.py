"""Every example in a docstring runs and says what it says."""

import doctest
import importlib
import inspect
import pkgutil

import pytest

import feller.proteins

MODULES = [
    module.name for module in pkgutil.walk_packages(feller.proteins.__path__, "feller.proteins.")
]


@pytest.mark.parametrize("name", ["feller.proteins", *MODULES])
def test_examples_run(name):
    module = importlib.import_module(name)
    found = doctest.testmod(module)
    assert found.failed == 0
    assert found.attempted == inspect.getsource(module).count(">>> ")
