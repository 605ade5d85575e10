"""The flat namespace: every public name is there, is what its module has, and hides no module."""

import importlib
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

import feller.core
import feller.images
import feller.proteins
import feller.text
from feller.core.lazy import attach

PACKAGES = ["core", "images", "proteins", "text"]
ALL = [(p, n) for p in PACKAGES for n in importlib.import_module(f"feller.{p}").__all__]


@pytest.mark.parametrize(("package", "name"), ALL)
def test_every_public_name_is_there(package, name):
    module = importlib.import_module(f"feller.{package}")
    found = getattr(module, name)
    assert getattr(found, "__name__", name) == name
    folder = Path(str(module.__file__)).parent
    assert not (folder / name).is_dir()  # a module of this name would take its place
    assert not (folder / f"{name}.py").exists()


@pytest.mark.parametrize("package", PACKAGES)
def test_a_namespace_knows_its_names_and_version(package):
    module = importlib.import_module(f"feller.{package}")
    assert {*module.__all__, "__version__"} <= set(dir(module))
    assert module.__version__ == version(f"feller-{package}")
    with pytest.raises(AttributeError, match=rf"'feller\.{package}' has no attribute 'Gausian'"):
        module.Gausian  # noqa: B018


def test_the_namespaces_have_what_one_looks_for():
    assert {"load", "simulate", "GeneratorModel", "GaussianPath"} <= set(dir(feller.core))
    assert {"Ancestral", "FirstHitting", "Remasking", "token_state"} <= set(dir(feller.core))
    assert "ImageModel" in dir(feller.images)
    assert "TextModel" in dir(feller.text)
    assert "ProteinModel" in dir(feller.proteins)


def test_a_package_of_ones_own(tmp_path):
    (tmp_path / "__init__.pyi").write_text(
        "from math import pi as pi\n\nDOMAIN: int\n__version__: str\n"
    )
    load, names, public = attach("own", str(tmp_path / "__init__.py"))
    assert public == ["DOMAIN", "pi"]
    assert names() == [*public, "__version__"]
    assert load("pi") == pytest.approx(3.14159265)


@pytest.mark.parametrize("package", PACKAGES)
def test_a_namespace_imports_nothing_before_it_is_used(package):
    code = f"import sys, feller.{package}; assert not sys.modules.keys() & {{'torch', 'numpy'}}"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.gate
def test_models_are_imported_without_the_compiler():
    # It would take twice as long as torch itself.
    code = "import sys, feller.core.models; assert 'torch._dynamo' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
