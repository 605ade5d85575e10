"""The READMEs say what is so: their code runs and type-checks, their table is that of the cards."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from feller.core.cli import COMMANDS
from readme_models import README, filled

ROOT = README.parent
PACKAGES = {name: ROOT / "packages" / name / "README.md" for name in ("core", "proteins")}
READMES = [README, *PACKAGES.values()]
HERE = Path(sys.executable).parent


def blocks(readme, language="python"):
    return re.findall(rf"^```{language}\n(.*?)^```", readme.read_text(), re.DOTALL | re.MULTILINE)


def script(readme, folder):
    """Write the Python of a README into a file, one block after the other."""
    file = folder / f"{readme.parent.name.replace('-', '_')}_readme.py"
    file.write_text("\n".join(blocks(readme)))
    return file


def run(*command, cwd):
    done = subprocess.run(
        list(map(str, command)), cwd=cwd, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize(
    "readme",
    [
        pytest.param(README, marks=pytest.mark.gate),
        pytest.param(PACKAGES["core"], marks=pytest.mark.gate),
        pytest.param(PACKAGES["proteins"], marks=pytest.mark.slow),
    ],
)
def test_its_code_runs_as_written(readme, tmp_path):
    run(sys.executable, script(readme, tmp_path), cwd=tmp_path)


@pytest.mark.gate
def test_its_code_passes_mypy_and_pyright(tmp_path):
    files = [script(readme, tmp_path) for readme in READMES]
    run(HERE / "mypy", "--strict", "--cache-dir", ROOT / ".mypy_cache", *files, cwd=tmp_path)
    run(HERE / "pyright", "--pythonpath", sys.executable, *files, cwd=tmp_path)


def test_every_readme_with_code_is_tried():
    with_code = [file for file in ROOT.glob("packages/*/README.md") if blocks(file)]
    assert {README, *with_code} == {*READMES}


def test_the_table_of_models_is_that_of_the_cards():
    text = README.read_text(encoding="utf-8")
    assert filled(text) == text, "run tools/readme_models.py"


def test_what_it_links_to_is_there_and_small():
    links = re.findall(r"\]\(([^)#:]+)\)", README.read_text(encoding="utf-8"))
    assert "docs/zoo.png" in links
    assert not [link for link in links if not (ROOT / link).exists()]
    assert (ROOT / "docs" / "zoo.png").stat().st_size <= 200 * 1024


def test_it_names_commands_recipes_and_models_that_are_there():
    listed = json.loads(run(HERE / "feller", "list", "--json", cwd=ROOT))
    known = {*listed["recipes"], *(model["name"] for model in listed["models"])}
    for file in [README, *ROOT.glob("packages/*/README.md")]:
        lines = "".join(blocks(file, "")).splitlines()
        calls = [line.split() for line in lines if line.startswith("feller ")]
        assert {words[1] for words in calls} <= {*COMMANDS}
        named = {word for words in calls for word in words[2:3] if re.match(r"[a-z]+/\w", word)}
        assert {name for name in named if not name.startswith("runs/")} <= known
