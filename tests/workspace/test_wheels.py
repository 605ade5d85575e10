"""The wheels, alone in an empty environment, do what the README says."""

import os
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
UV = os.environ.get("UV") or shutil.which("uv")
PACKAGES = ("feller-core", "feller-images")
OTHER_DOMAINS_NEED = ("transformers", "biotite")
MEBIBYTE = 2**20

pytestmark = [pytest.mark.wheel, pytest.mark.timeout(1200)]


def run(*command, cwd):
    """Run a command outside of any active environment; return its output, which a failure shows."""
    outside = {k: v for k, v in os.environ.items() if k not in ("VIRTUAL_ENV", "PYTHONPATH")}
    done = subprocess.run(
        command, cwd=cwd, env=outside, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheels(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheels")
    for package in PACKAGES:
        run(UV, "build", "--wheel", "--package", package, "--out-dir", folder, cwd=ROOT)
    built = sorted(folder.glob("*.whl"))
    assert len(built) == len(PACKAGES)
    return built


@pytest.fixture(scope="module")
def environment(wheels, tmp_path_factory):
    """The folder of the commands of an environment that holds the wheels and what they need."""
    folder = tmp_path_factory.mktemp("empty")
    run(UV, "venv", "venv", cwd=folder)
    run(UV, "pip", "install", "--python", "venv", *wheels, cwd=folder)
    return folder / "venv" / "bin"


def names(wheel):
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


def test_the_namespace_belongs_to_no_wheel(wheels):
    assert not [wheel.name for wheel in wheels if "feller/__init__.py" in names(wheel)]


def test_a_wheel_is_small(wheels):
    sizes = {wheel.name: wheel.stat().st_size for wheel in wheels}
    assert max(sizes.values()) < 12 * MEBIBYTE, sizes


def test_a_wheel_carries_types_and_no_pickles(wheels):
    for wheel in wheels:
        assert any(name.endswith("/py.typed") for name in names(wheel))
        assert not [n for n in names(wheel) if Path(n).suffix in (".pt", ".pth", ".ckpt", ".pkl")]


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "README.md"])
def test_the_weights_travel_with_the_images(wheels, name):
    images = next(wheel for wheel in wheels if wheel.name.startswith("feller_images"))
    assert f"feller/images/weights/fashion-flow/{name}" in names(images)


def test_one_domain_brings_no_other(environment):
    seek = (
        f"from importlib.util import find_spec; print([*filter(find_spec, {OTHER_DOMAINS_NEED})])"
    )
    assert run(environment / "python", "-c", seek, cwd=environment).strip() == "[]"


def test_feller_list(environment, tmp_path):
    assert "images/fashion-flow" in run(environment / "feller", "list", cwd=tmp_path)


def test_feller_sample(environment, tmp_path):
    flags = ("-n", "4", "--steps", "4", "--out", "grid.png")
    run(environment / "feller", "sample", "images/fashion-flow", *flags, cwd=tmp_path)
    assert (tmp_path / "grid.png").read_bytes().startswith(b"\x89PNG")
