"""The wheels, alone in an empty environment, do what the README says."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
UV = os.environ.get("UV") or shutil.which("uv")
PACKAGES = ("feller-core", "feller-images", "feller-proteins", "feller-text")
WHOLE = "feller"  # has no code, and needs the others
# Domain -> what no wheel of it may bring: the needs of the others.
STRANGERS = {
    "images": ("transformers", "biotite"),
    "proteins": ("torchvision", "transformers"),
    "text": ("torchvision", "biotite"),
}
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
    for package in (WHOLE, *PACKAGES):
        run(UV, "build", "--wheel", "--package", package, "--out-dir", folder, cwd=ROOT)
    built = sorted(folder.glob("*.whl"))
    assert len(built) == 1 + len(PACKAGES)
    return built


@pytest.fixture(scope="module", params=STRANGERS)
def domain(request):
    return request.param


@pytest.fixture(scope="module")
def environment(wheels, domain, tmp_path_factory):
    """The folder of the commands of an environment that holds the core and one domain."""
    folder = tmp_path_factory.mktemp(domain)
    wanted = [w for w in wheels if w.name.split("-")[0] in ("feller_core", f"feller_{domain}")]
    run(UV, "venv", "venv", cwd=folder)
    run(UV, "pip", "install", "--python", "venv", *wanted, cwd=folder)
    return folder / "venv" / "bin"


def test_an_index_would_take_them(wheels):
    done = run(sys.executable, "-m", "twine", "check", "--strict", *wheels, cwd=ROOT)
    assert done.count("PASSED") == len(wheels)


def names(wheel):
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


def test_the_namespace_belongs_to_no_wheel(wheels):
    assert not [wheel.name for wheel in wheels if "feller/__init__.py" in names(wheel)]


def test_one_wheel_asks_for_all_others(wheels):
    (whole,) = (wheel for wheel in wheels if wheel.name.startswith(f"{WHOLE}-"))
    assert all(".dist-info/" in name for name in names(whole))
    with zipfile.ZipFile(whole) as archive:
        (about,) = (name for name in archive.namelist() if name.endswith("/METADATA"))
        lines = archive.read(about).decode().splitlines()
    asked = {line.split(": ")[1] for line in lines if line.startswith("Requires-Dist")}
    assert {f"feller-{name}" for name in ("core", *STRANGERS)} <= asked


def test_a_wheel_is_small(wheels):
    sizes = {wheel.name: wheel.stat().st_size for wheel in wheels}
    assert max(sizes.values()) < 40 * MEBIBYTE, sizes  # four trained models of images


def test_a_wheel_carries_types_and_no_pickles(wheels):
    for wheel in wheels:
        typed = any(name.endswith("/py.typed") for name in names(wheel))
        assert typed or wheel.name.startswith(f"{WHOLE}-")
        assert not [n for n in names(wheel) if Path(n).suffix in (".pt", ".pth", ".ckpt", ".pkl")]


@pytest.mark.parametrize(
    "model",
    [
        "images/fashion-flow",
        "proteins/short-codesign",
        "proteins/short-flow",
        "proteins/short-jump",
        "text/books-mask",
        "text/shakespeare-mask",
        "text/stdlib-mask",
        "text/stdlib-uniform",
    ],
)
def test_the_weights_travel_with_their_domain(wheels, model):
    domain, name = model.split("/")
    wheel = next(wheel for wheel in wheels if wheel.name.startswith(f"feller_{domain}"))
    for file in ("config.json", "model.safetensors", "README.md"):
        assert f"feller/{domain}/weights/{name}/{file}" in names(wheel)


def test_one_domain_brings_no_other(environment, domain):
    seek = f"from importlib.util import find_spec; print([*filter(find_spec, {STRANGERS[domain]})])"
    assert run(environment / "python", "-c", seek, cwd=environment).strip() == "[]"


def test_feller_list(environment, domain, tmp_path):
    listed = run(environment / "feller", "list", cwd=tmp_path)
    first = {
        "images": "images/fashion-flow",
        "proteins": "proteins/short-codesign",
        "text": "text/shakespeare-mask",
    }
    assert first[domain] in listed


def test_feller_sample(environment, domain, tmp_path):
    if domain == "proteins":
        flags = ("-n", "2", "--length", "20", "--steps", "4", "--page", "--out", "designs")
        run(environment / "feller", "sample", "proteins/short-codesign", *flags, cwd=tmp_path)
        assert len(list((tmp_path / "designs").glob("*.pdb"))) == 2
        assert "3Dmol" in (tmp_path / "designs" / "samples.html").read_text()
    elif domain == "images":
        flags = ("-n", "4", "--steps", "4", "--out", "grid.png")
        run(environment / "feller", "sample", "images/fashion-flow", *flags, cwd=tmp_path)
        assert (tmp_path / "grid.png").read_bytes().startswith(b"\x89PNG")
    else:
        flags = ("--prompt", "ROMEO:", "--steps", "4")
        told = run(environment / "feller", "sample", "text/shakespeare-mask", *flags, cwd=tmp_path)
        assert told.startswith("ROMEO:")


def test_text_trains_on_the_library_of_python(environment, domain, tmp_path):
    if domain != "text":
        pytest.skip("of text only")
    network = "--model.network.transformer"
    tiny = (f"{network}.dim", "32", f"{network}.num-heads", "1", f"{network}.depth", "1")
    short = ("--training.steps", "2", "--training.sample-every", "0", "--cpu")
    cache = ("--data.cache", str(tmp_path / "cache"))
    command = (environment / "feller", "train", "text/stdlib-mask", "--out", "run")
    run(*command, *tiny, *short, *cache, cwd=tmp_path)
    told = run(environment / "feller", "sample", "run", "--steps", "4", cwd=tmp_path)
    assert told.strip()


@pytest.fixture(scope="module")
def waves(wheels, tmp_path_factory):
    """The commands of an environment with the core, and a domain from outside the repository."""
    folder = tmp_path_factory.mktemp("waves")
    shutil.copytree(ROOT / "examples" / "own_domain", folder / "own_domain")
    run(UV, "build", "--wheel", "--out-dir", folder, folder / "own_domain", cwd=folder)
    core = next(wheel for wheel in wheels if wheel.name.startswith("feller_core"))
    run(UV, "venv", "venv", cwd=folder)
    (own,) = folder.glob("feller_waves-*.whl")
    run(UV, "pip", "install", "--python", "venv", core, own, cwd=folder)
    return folder / "venv" / "bin"


def test_a_domain_of_ones_own_is_listed_trained_and_sampled(waves, tmp_path):
    assert "waves/sine" in run(waves / "feller", "list", cwd=tmp_path)
    short = ("--training.steps", "3", "--training.sample-every", "2", "--cpu", "--out", "run")
    run(waves / "feller", "train", "waves/sine", "--model.width", "8", *short, cwd=tmp_path)
    told = run(waves / "feller", "sample", "run", "-n", "4", "--out", "waves.csv", cwd=tmp_path)
    assert told == "waves.csv: 4 waves\n"
    lines = (tmp_path / "waves.csv").read_text().splitlines()
    assert [len(line.split(",")) for line in lines] == [16] * 4
