"""The flat namespace: every public name is there, is what its module has, and hides no module."""

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

import feller.core
from feller.core.lazy import attach


@pytest.mark.parametrize("name", feller.core.__all__)
def test_every_public_name_is_there(name):
    assert getattr(feller.core, name) is not None
    folder = Path(feller.core.__file__).parent
    assert not (folder / name).is_dir()  # a module of this name would take its place
    assert not (folder / f"{name}.py").exists()


def test_the_namespace_knows_its_names_and_version():
    assert {"load", "simulate", "GeneratorModel", "GaussianPath"} <= set(dir(feller.core))
    assert feller.core.__version__ == version("feller-core")
    with pytest.raises(AttributeError, match=r"'feller\.core' has no attribute 'GausianPath'"):
        feller.core.GausianPath  # noqa: B018


def test_a_package_of_ones_own(tmp_path):
    (tmp_path / "__init__.pyi").write_text("from math import pi as pi\n\nDOMAIN: int\n")
    load, names, public = attach("own", str(tmp_path / "__init__.py"))
    assert names() == public == ["pi"]
    assert load("pi") == pytest.approx(3.14159265)


def test_the_namespace_imports_nothing_before_it_is_used():
    code = "import sys, feller.core; assert not sys.modules.keys() & {'torch', 'numpy'}"
    subprocess.run([sys.executable, "-c", code], check=True)
