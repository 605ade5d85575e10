"""What mkdocs asks while it builds the site: the pages that are generated, and formulas as MathML.

Home is the README, the zoo is its cards, benchmarks are their result files, tutorials are the
notebooks, and the reference has a page for each room of a package. Nothing of it is written to
`docs/`.
"""

from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

import site_formulas
import site_pages


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Give the site its navigation."""
    config.nav = site_pages.navigation()
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are generated; notebooks themselves are no pages."""
    for file in list(files):
        if file.src_uri.endswith(".ipynb"):
            files.remove(file)
    for name, text in site_pages.generated().items():
        files.append(File.generated(config, name, content=text))
    return files


def on_page_markdown(text: str, page: Page, **_: Any) -> str:
    """Lead the links of a page of `docs`, which name files of the repository, to their pages."""
    name = page.file.src_uri
    return text if page.file.generated_by else site_pages.linked(text, f"docs/{name}", name)


def on_page_content(text: str, **_: Any) -> str:
    """Write the formulas of a page as MathML."""
    return site_formulas.mathml(text)
