"""The pages of the site: their Python runs, their commands are there, their claims have a check."""

import re
import shlex
import subprocess
import sys
from functools import cache

import pytest
from terminal import feller

import build_site
import run_pages
import site_formulas
import site_pages
from feller.core.cli import COMMANDS
from feller.core.domains import list_models, list_recipes
from feller.core.registry import read_card

DOCS = run_pages.DOCS
ROOT = DOCS.parent
WITH_CODE = [page for page in run_pages.PAGES if run_pages.program(page)]
SHELL = re.compile(r"^```\n(.*?)^```", re.MULTILINE | re.DOTALL)
FLAG = re.compile(r"(?<![\w-])--?[a-z][\w.-]*")
MODELS = {"images": "fashion-flow", "proteins": "short-codesign", "text": "shakespeare-mask"}


def commands():
    """The words of each `feller` command of each page."""
    for page in run_pages.PAGES:
        for block in SHELL.findall(page.read_text(encoding="utf-8")):
            for line in block.replace("\\\n", " ").splitlines():
                if line.startswith("feller "):
                    yield page.name, shlex.split(line, comments=True)[1:]


@cache
def known_flags(command):
    """The flags that a command takes, of any domain."""
    targets = [()]
    if command == "plan":  # its own, and those of a training
        return known_flags("train") | set(FLAG.findall(feller("plan", "--help")[1]))
    if command == "train":
        targets = [(name,) for name in ("images/folder", "images/fashion-flow", "text/books-mask")]
        targets.append(("proteins/short-codesign",))
    elif command in ("sample", "evaluate", "verify"):
        targets = [(f"{domain}/{name}",) for domain, name in MODELS.items()]
    return {
        flag for target in targets for flag in FLAG.findall(feller(command, *target, "--help")[1])
    }


@pytest.mark.parametrize("page", WITH_CODE, ids=lambda page: page.stem)
def test_its_python_is_python(page):
    compile(run_pages.program(page), str(page), "exec")


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_its_python_runs():
    done = subprocess.run(
        [sys.executable, ROOT / "tools" / "run_pages.py"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_a_page_that_fails_says_in_which_line(tmp_path):
    (tmp_path / "x.md").write_text(
        "# x\n\n```python\na = 1\n```\n\n```py\nno\n```\n\n```python\n1 / 0\n```\n"
    )
    with pytest.raises(ZeroDivisionError) as caught:
        run_pages.run(tmp_path / "x.md")
    assert caught.traceback[-1].lineno + 1 == 12


def test_twelve_pages_are_executed():
    examples, notebooks = ROOT.glob("examples/*.py"), DOCS.glob("notebooks/*.ipynb")
    assert len(WITH_CODE) >= 12
    assert len(WITH_CODE) + len([*examples]) + len([*notebooks]) >= 30


def test_commands_and_what_they_name_are_there():
    known = {*list_models(), *list_recipes(), "waves/sine"}
    for page, words in commands():
        assert words[0] in COMMANDS, page
        named = {word for word in words[1:2] if re.match(r"(images|text|proteins|waves)/\w", word)}
        assert named <= known, page


@pytest.mark.slow
def test_flags_on_pages_are_those_of_the_commands():
    for page, words in commands():
        given = {word for word in words if FLAG.fullmatch(word)}
        assert given <= known_flags(words[0]), page


def test_every_page_that_is_written_is_in_the_navigation():
    def addresses(entries):
        for entry in entries:
            if isinstance(entry, str):
                yield entry
            else:
                for value in entry.values():
                    yield from addresses([value] if isinstance(value, str) else value)

    found = set(addresses(site_pages.navigation()))
    assert {str(page.relative_to(DOCS)) for page in run_pages.PAGES} <= found
    assert {*site_pages.generated()} <= found


def test_each_cell_of_the_comparison_has_a_check():
    text = (DOCS / "comparison.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| .*\[\^(\w+)\] \|", text, re.MULTILINE)
    notes = dict(re.findall(r"^\[\^(\w+)\]: (.*?)(?=^\[\^|\Z)", text, re.MULTILINE | re.DOTALL))
    assert len(rows) >= 12
    assert set(rows) == set(notes)
    for name, note in notes.items():
        ours = re.search(r"feller: (.*?)\.\s", note, re.DOTALL)[1]
        files = re.findall(r"`((?:tests/|LICENSE)[^`]*)`", ours)
        assert files or ours.startswith("none"), name
        assert all((ROOT / file).exists() for file in files), name


@pytest.mark.parametrize(
    ("body", "wrong"),
    [
        ('<p id="a"></p><a href="#a">x</a><a href="b.html#c">x</a>', ""),
        ('<a href="d.html">x</a>', "d.html is not there"),
        ('<a href="b.html#d">x</a>', "no such anchor"),
        ('<script src="https://example.org/x.js"></script>', "script loads"),
    ],
)
def test_links_that_lead_nowhere_are_named(tmp_path, body, wrong):
    (tmp_path / "a.html").write_text(body)
    (tmp_path / "b.html").write_text('<h1 id="c">x</h1>')
    found = list(build_site.broken(tmp_path))
    assert (wrong in found[0]) if wrong else not found


def test_formulas_of_docstrings_become_those_of_pages():
    text = "The rate is :math:`a_t\n/ b`.\n\n.. math:: x\n    = y\n\nExample:\n    >>> 1\n    1\n"
    shown = site_formulas.on_page(text)
    assert "The rate is $a_t / b$." in shown
    assert "$$x = y$$" in shown
    assert "Examples:\n    >>> 1" in shown


def test_sizes_of_models_on_pages_are_those_of_the_cards():
    sizes = [read_card(name).parameters / 1e6 for name in list_models()]
    said = f"{min(sizes):.1f} to {max(sizes):.1f} million"
    for page in ("faq.md", "comparison.md"):
        assert said in (DOCS / page).read_text(encoding="utf-8")
    text = (DOCS / "comparison.md").read_text(encoding="utf-8")
    assert f"none above {max(sizes):.1f} million" in text
