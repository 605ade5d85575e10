"""Build the site and check it: `uv run --group docs python tools/build_site.py`.

Offline, into `site/`, with warnings as errors. Then every link of every page is followed, anchors
included, and nothing that a page loads may come from elsewhere: it shows without a network.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

__all__ = ["broken", "main"]

ROOT = Path(__file__).parents[1]
SITE = ROOT / "site"
# What a browser fetches to show a page, by tag; other addresses are followed when they are clicked.
LOADED = {"img": "src", "script": "src", "link": "href", "iframe": "src", "source": "src"}


def main() -> int:
    """Build and check; return 0 when nothing is wrong."""
    quiet = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet"]
    if subprocess.run(command, cwd=ROOT, env=quiet, check=False).returncode:
        return 1
    found = list(broken(SITE))
    pages = len(list(SITE.rglob("*.html")))
    sys.stdout.write("".join(f"{line}\n" for line in found))
    sys.stdout.write(f"{pages} pages in {SITE.name}/, {len(found)} broken links\n")
    return 1 if found else 0


def broken(site: Path) -> Iterator[str]:
    """Yield a line for each link of a built site that leads nowhere or loads from afar."""
    pages = {file: Page.read(file) for file in sorted(site.rglob("*.html"))}
    for file, page in pages.items():
        if file.name == "404.html":
            continue  # its addresses are those of a server's root
        name = file.relative_to(site)
        for tag, address in page.links:
            parts = urlsplit(address)
            if parts.scheme or parts.netloc:
                if tag in LOADED and parts.scheme != "data":
                    yield f"{name}: {tag} loads {address}"
                continue
            target = (file.parent / unquote(parts.path)).resolve() if parts.path else file
            target = target / "index.html" if target.is_dir() else target
            if not target.exists():
                yield f"{name}: {address} is not there"
            elif target in pages and unquote(parts.fragment) not in pages[target].anchors:
                yield f"{name}: {address} has no such anchor"


class Page(HTMLParser):
    """The links and the anchors of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[tuple[str, str]] = []
        self.anchors: set[str] = {""}

    @classmethod
    def read(cls, file: Path) -> "Page":
        """Read a page."""
        page = cls()
        page.feed(file.read_text(encoding="utf-8"))
        return page

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what a tag leads to, and what it may be led to by."""
        given = {name: value for name, value in attrs if value is not None}
        self.anchors |= {given[name] for name in ("id", "name") if name in given}
        address = given.get(LOADED.get(tag, "href"))
        if address and not (tag == "link" and given.get("rel") in ("canonical", "prev", "next")):
            self.links.append((tag, address))


if __name__ == "__main__":
    sys.exit(main())
