"""The pages of the site that are made from what the repository holds, and where each page stands.

A page is Markdown, by its address: home from the README, the zoo from the cards, benchmarks from
their results, tutorials from notebooks, examples from their files, the reference from the names of
each package.
"""

import json
import posixpath
import re
from pathlib import Path
from typing import Any

import site_reference
from feller.core.cards import ModelCard
from feller.core.domains import list_models
from feller.core.registry import read_card
from readme_models import README, sample_of, table
from site_speed import RESULTS, speed_page

__all__ = ["generated", "linked", "navigation"]

ROOT = README.parent
DOCS, SOURCE = ROOT / "docs", "https://github.com/feller-zoo/feller/blob/main"
LINK = re.compile(r"(?<=\]\()(?![a-z]+:|#)([^)#\s]+)")
BADGE = re.compile(r"^\[!\[.*\n", re.MULTILINE)  # an image from elsewhere
TITLE = re.compile(r"^# (.+)$", re.MULTILINE)
# Files of the repository that are pages of the site.
MOVED = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "benchmarks/samplers/README.md": "benchmarks/samplers.md",
}
PLACES = MOVED | {
    "docs/notebooks": "tutorials/index.md",
    "examples/README.md": "examples/index.md",
    "packages": "api/index.md",
}
KINDS = {
    r"examples/(\w+)\.py": r"examples/\1.md",
    r"docs/notebooks/(\w+)\.ipynb": r"tutorials/\1.md",
    r"docs/(.+)": r"\1",
    r"packages/\w+/src/feller/(\w+)/weights/([\w-]+)/README\.md": r"zoo/\1/\2.md",
    r"packages/\w+/src/feller/(\w+)/(\w+)": r"api/\1.\2.md",
}
GUIDE = "paths couplings sources generators heads losses times solvers guidance likelihood verify"
HOW_TO = (
    "app own-data own-network own-path own-domain conditions fine-tune import resume several-gpus"
    " plan cluster watch push"
)
MIGRATE = "flow_matching torchcfm diffusers mdlm rfdiffusion"


def navigation() -> list[dict[str, Any]]:
    """Return the navigation: a title and an address, or a title and a list of the same."""
    zoo = ["zoo/index.md", *(f"zoo/{name}.md" for name in list_models())]
    tutorials = [f"tutorials/{file.stem}.md" for file in _notebooks()]
    examples = [f"examples/{file.stem}.md" for file in _examples()]
    benchmarks = ["benchmarks/index.md", "benchmarks/samplers.md", "benchmarks/speed.md"]
    benchmarks += ["imported-families.md", "jump-and-flow.md"]
    return [
        {"Home": "index.md"},
        {"Concepts": ["concepts.md", *_there("guide", GUIDE)]},
        {"How to": ["how-to/index.md", *_there("how-to", HOW_TO)]},
        {"Tutorials": ["tutorials/index.md", *tutorials]},
        {"Examples": ["examples/index.md", *examples]},
        {"Migrate": ["migrate/index.md", *_there("migrate", MIGRATE)]},
        {"Zoo": zoo},
        {"Benchmarks": benchmarks},
        {"Reference": ["api/index.md", *site_reference.pages()]},
        {"About": [*_there("", "comparison faq citing deprecation"), *_about()]},
    ]


def generated() -> dict[str, str]:
    """Return the Markdown of each generated page by its address."""
    pages = {page: _moved(source) for source, page in MOVED.items()}
    pages |= {f"zoo/{name}.md": _card(name) for name in list_models()} | {"zoo/index.md": _zoo()}
    pages |= {f"tutorials/{file.stem}.md": _notebook(file) for file in _notebooks()}
    pages["tutorials/index.md"] = _listed("Tutorials", TUTORIALS, pages, "tutorials/")
    pages |= {f"examples/{file.stem}.md": _example(file) for file in _examples()}
    pages["examples/index.md"] = _listed("Examples", EXAMPLES, pages, "examples/")
    pages["benchmarks/index.md"] = _benchmarks()
    pages["benchmarks/speed.md"] = speed_page(json.loads(RESULTS.read_text()))
    written = {name: (DOCS / name).read_text(encoding="utf-8") for name in _there("how-to", HOW_TO)}
    pages["how-to/index.md"] = _listed("How to", "", written, "how-to/")
    return pages | site_reference.pages()


TUTORIALS = """Each is a notebook in `docs/notebooks`, run by the gate from its first cell to its
last (`tools/run_notebook.py`, which needs no Jupyter). Download one, or run it from a clone."""

EXAMPLES = """Each file reads alone from top to bottom, asks the theory a question, prints what it
measures and asserts its claim; the gate runs them all. `uv run python examples/NAME.py` runs one.
"""


def _about() -> list[str]:
    return ["contributing.md", "changelog.md"]


def _there(folder: str, names: str) -> list[str]:
    """Return the addresses of the pages of a folder that are written."""
    addresses = [posixpath.join(folder, f"{name}.md") for name in names.split()]
    return [address for address in addresses if (DOCS / address).exists()]


def _notebooks() -> list[Path]:
    return sorted((DOCS / "notebooks").glob("*.ipynb"))


def _examples() -> list[Path]:
    return sorted((ROOT / "examples").glob("*.py"))


def _moved(source: str) -> str:
    """Return a file of the repository with its links as they are on the site."""
    text = BADGE.sub("", (ROOT / source).read_text(encoding="utf-8"))
    return linked(text, source, MOVED[source])


def linked(text: str, source: str, page: str) -> str:
    """Return the text of a file of the repository with its links as they are from its page."""
    return LINK.sub(lambda found: _address(found[1], source, page), text)


def _address(link: str, source: str, page: str) -> str:
    """Return where a link of a file leads from its page: on the site, or to the source."""
    file = posixpath.normpath(posixpath.join(posixpath.dirname(source), link))
    target = PLACES.get(file) or next(
        (re.sub(kind, place, file) for kind, place in KINDS.items() if re.fullmatch(kind, file)), ""
    )
    home = posixpath.dirname(page) or "."
    return posixpath.relpath(target, home) if target else f"{SOURCE}/{file}"


def _card(name: str) -> str:
    domain, model = name.split("/")
    home = ROOT / "packages" / domain / "src" / "feller" / domain / "weights" / model
    page = (home / "README.md").read_text(encoding="utf-8").split("---\n", 2)[2]
    picture = sample_of(name)
    shown = f"![A sample](../../{picture.removeprefix('docs/')})\n\n" if picture else ""
    title, rest = page.lstrip().split("\n", 1)
    return f"{title}\n\n{shown}```\nfeller sample {name} --help\n```\n{rest}"


def _zoo() -> str:
    rows = re.sub(r"`(\w+/[\w-]+)`", r"[`\1`](\1.md)", table())
    rows = rows.replace("](docs/", "](../")
    return f"# The zoo\n\n{ZOO}\n\n{rows}\n## Data and licences\n\n{_data()}"


ZOO = """The models that come with the packages: each was trained on about one CPU core by the
command of its card. A card says how it was trained, how it draws, and each figure with its interval
and protocol. `feller list` prints this table, `feller show NAME` a card.

![Garments, a text and protein backbones, each sampled by a bundled model](../zoo.png)"""


def _data() -> str:
    cards: list[ModelCard] = [read_card(name) for name in list_models()]
    rows = "".join(f"| `{card.name}` | {card.data} | {card.licence} |\n" for card in cards)
    return f"| model | data | licence of the weights |\n|---|---|---|\n{rows}"


def _notebook(file: Path) -> str:
    """Return a notebook as a page: its text, its code, and where the file is."""
    parts = []
    for cell in json.loads(file.read_text(encoding="utf-8"))["cells"]:
        text = "".join(cell["source"])
        parts.append(text if cell["cell_type"] == "markdown" else f"```python\n{text}\n```")
    address = f"{SOURCE}/docs/notebooks/{file.name}"
    return "\n\n".join([*parts, f"[The notebook]({address})\n"])


def _example(file: Path) -> str:
    text = file.read_text(encoding="utf-8")
    docstring, code = text.removeprefix('"""').split('"""\n', 1)
    title, rest = (docstring.strip() + "\n").split("\n", 1)
    address = f"{SOURCE}/examples/{file.name}"
    head = f"# {file.stem.replace('_', ' ').capitalize()}\n\n**{title}**\n{rest}"
    return f"{head}\n```python\n{code.strip()}\n```\n\n[The file]({address})\n"


def _listed(title: str, text: str, pages: dict[str, str], folder: str) -> str:
    return f"# {title}\n\n{text}\n{_list(pages, folder)}"


def _list(pages: dict[str, str], folder: str) -> str:
    """Return a list of links to the pages of a folder, by their titles."""
    titles = {name: TITLE.search(text) for name, text in pages.items() if name.startswith(folder)}
    lines = [
        f"- [{title[1]}]({name.removeprefix(folder)})"
        for name, title in sorted(titles.items())
        if title and not name.endswith("index.md")
    ]
    return "\n" + "\n".join(lines) + "\n"


def _benchmarks() -> str:
    """Return the page of what was measured, with the numbers of the files of results."""
    found = json.loads((ROOT / "benchmarks" / "samplers" / "results.json").read_text())
    published = [row for row in found["rows"] if row["package"] != "feller-core"]
    packages = sorted({f"{row['package']} {row['version']}" for row in published})
    speed = [row for row in json.loads(RESULTS.read_text())["rows"] if "ratio" in row]
    return BENCHMARKS.format(
        samplers=len(published),
        packages=len(packages),
        names=", ".join(packages),
        jobs=len(speed),
        peers=len({row["package"] for row in speed}),
    )


BENCHMARKS = """# Benchmarks

- [Published samplers](samplers.md): {samplers} samplers of {packages} packages, each given the
  exact posterior of small data, and the distribution that it returns, with intervals, beside
  feller's ({names}).
- [Imported families](../imported-families.md): the largest difference of each imported network from
  the original.
- [The zoo](../zoo/index.md): the figures of each bundled model, with intervals and protocols.

- [Flow, jump and mixtures](../jump-and-flow.md) of protein rotations: bonds, clashes, folds and
  diversity of one network in 25 settings.

- [Speed](speed.md): {jobs} comparisons with {peers} packages, worst first.

What each piece of feller costs is measured by more scripts in `benchmarks/`: `solvers.py` and
`token_draws.py` (beside loops by hand), `jump_step.py`, `training_speed.py`, `protein_reading.py`,
`fine_tuning.py`, `versions.py` (another checkout).
"""
