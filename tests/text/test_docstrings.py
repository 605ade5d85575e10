"""Every example in a docstring runs and says what it says."""

import doctest
import importlib
import inspect
import pkgutil
import re
from pathlib import Path

import pytest

import feller.text

MODULES = [
    module.name
    for module in pkgutil.walk_packages(feller.text.__path__, "feller.text.")
    if not module.name.endswith("__main__")
]
WEIGHTS = Path(feller.text.__path__[0]) / "weights"


def missing(docstring):
    """The models that a docstring loads and that are not bundled."""
    names = re.findall(r'load\("text/([^"]+)"\)', docstring)
    return [name for name in names if not (WEIGHTS / name / "config.json").exists()]


@pytest.mark.parametrize("name", ["feller.text", *MODULES])
def test_examples_run(name):
    module = importlib.import_module(name)
    found = doctest.DocTestFinder(exclude_empty=True).find(module)
    assert sum(len(test.examples) for test in found) == inspect.getsource(module).count(">>> ")
    lacking = [model for test in found for model in missing(test.docstring)]
    for test in found:
        if not missing(test.docstring):
            assert doctest.DocTestRunner().run(test).failed == 0
    if lacking:
        pytest.skip(f"not bundled yet: {', '.join(lacking)}")
