"""Who may import whom, and what listing the models may not import."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

HEAVY = ("torch", "torchvision", "transformers", "accelerate", "scipy", "matplotlib")

IMPORT_REGISTRY = "import feller.core.registry"

LIST_MODELS = """
from feller.core.cli import main
sys.argv = ["feller", "list"]
try:
    main()
except SystemExit as stop:
    assert not stop.code, stop.code
"""

REPORT_HEAVY = f"""
loaded = sorted(sys.modules.keys() & {set(HEAVY)!r})
assert not loaded, f"imported: {{loaded}}"
"""


def run(*command):
    """Run a command in the root of the workspace; return its output, which a failure shows."""
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def python(*arguments):
    return run(sys.executable, *arguments)


def test_the_core_imports_no_domain_and_no_domain_another():
    run(Path(sys.executable).with_name("lint-imports"), "--no-cache")


def test_every_package_is_under_an_import_contract():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    found = (ROOT / "packages").glob("*/src")  # one has no code
    packages = {f"feller.{path.parent.name}" for path in found}
    named = {
        name.strip()
        for contract in settings["contracts"]
        for layer in contract["layers"]
        for name in layer.split("|")
    }
    assert set(settings["root_packages"]) == packages
    assert named == packages


@pytest.mark.parametrize("code", [IMPORT_REGISTRY, LIST_MODELS], ids=["registry", "list"])
def test_listing_models_imports_no_torch(code):
    python("-c", f"import sys\n{code}\n{REPORT_HEAVY}")


def test_the_command_line_lists_the_models():
    assert "images/fashion-flow" in python("-m", "feller.core", "list")
