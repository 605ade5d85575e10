"""What the public sees besides the code: workflows call the gate, badges and links are true."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
GITHUB = ROOT / ".github"


def steps(workflow):
    jobs = yaml.safe_load((GITHUB / "workflows" / workflow).read_text())["jobs"]
    return [step.get("run", "") for job in jobs.values() for step in job["steps"]]


@pytest.mark.parametrize(
    ("workflow", "call"), [("gate.yml", ".ci/run"), ("site.yml", ".ci/run site")]
)
def test_workflows_call_the_gate(workflow, call):
    assert call in steps(workflow)
    assert 'stage "site" site' in (ROOT / ".ci" / "run").read_text()


def test_a_badge_is_that_of_a_workflow_which_is_there():
    badges = re.findall(r"\[!\[.*?\]\((.*?)\)\]", (ROOT / "README.md").read_text())
    assert badges
    for badge in badges:
        name = re.search(r"/actions/workflows/([\w.]+)/badge\.svg$", badge)
        assert name, f"{badge} is not the state of a workflow"
        assert (GITHUB / "workflows" / name[1]).exists()


@pytest.mark.parametrize("form", sorted((GITHUB / "ISSUE_TEMPLATE").glob("[!c]*.yml")), ids=str)
def test_issue_forms_ask_something(form):
    asked = yaml.safe_load(form.read_text())
    assert {"name", "description", "body"} <= set(asked)
    assert any(field.get("validations", {}).get("required") for field in asked["body"])


def test_the_version_is_one():
    versions = {
        re.search(r'^version = "(.*)"', file.read_text(), re.MULTILINE)[1]
        for file in [ROOT / "pyproject.toml", *ROOT.glob("packages/*/pyproject.toml")]
    }
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"]
    assert versions == {cited}
    assert f"version={{{cited}}}" in (ROOT / "docs" / "citing.md").read_text()


def test_the_packages_carry_one_version_and_it_is_released():
    """The newest dated section of the changelog is that of the packages and of `CITATION.cff`."""
    files = [ROOT / "pyproject.toml", *ROOT.glob("packages/*/pyproject.toml")]
    versions = {tomllib.loads(file.read_text())["project"]["version"] for file in files}
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"]
    changelog = (ROOT / "CHANGELOG.md").read_text()
    assert changelog.index("## Unreleased") < changelog.index("## 0")
    newest = re.search(r"^## (\d+\.\d+\.\d+) - \d{4}-\d\d-\d\d$", changelog, re.MULTILINE)
    assert versions == {citation} == {newest[1]}


PAGES = [*(ROOT / "docs").rglob("*.md"), *ROOT.glob("*.md"), *ROOT.glob("packages/*/README.md")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_link_of_a_page_leads_to_a_file(page):
    links = re.findall(r"\]\((?![a-z]+:|#)([^)#\s]+)", page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []
