"""`feller demo`: sample every bundled model and make a page to look at."""

import argparse
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from string import Template

from feller.core.domains import KNOWN_DOMAINS, Domain, domains, list_models, resolve

__all__ = ["run"]


def run(argv: Sequence[str]) -> None:
    """Write the demo folder, or rewrite an old one."""
    parser = argparse.ArgumentParser(
        "feller demo", description="Sample every bundled model and write a page of the results."
    )
    parser.add_argument(
        "--out", type=Path, default=Path("demo"), help="folder to write (default: demo)"
    )
    out = parser.parse_args(argv).out
    if not list_models():
        raise ValueError("no models are installed: pip install feller-images")
    if not _is_ours(out):
        raise ValueError(f"{out} exists and is not a demo: choose another --out")
    out.mkdir(parents=True, exist_ok=True)
    page = out / "index.html"
    page.write_text(_page("<p>Not finished.</p>"), encoding="utf-8")  # marks the folder as a demo
    shown = sorted(domains().values(), key=_position)
    exhibits = [e for domain in shown if domain.demo for e in resolve(domain.demo)(out)]
    page.write_text(_page("\n".join(e.markup() for e in exhibits)), encoding="utf-8")
    print(f"open {page}")


def _page(figures: str) -> str:
    """Return the page, whole: it asks for nothing but files beside it."""
    style, script = _asset("demo.css"), _asset("demo.js")
    return Template(_asset("demo.html")).substitute(style=style, script=script, figures=figures)


def _asset(name: str) -> str:
    return (resources.files("feller.core.commands") / "assets" / name).read_text(encoding="utf-8")


def _position(domain: Domain) -> int:
    """Return which a domain comes: images first, since they need no words."""
    known = domain.name in KNOWN_DOMAINS
    return KNOWN_DOMAINS.index(domain.name) if known else len(KNOWN_DOMAINS)


def _is_ours(out: Path) -> bool:
    """Return whether a folder is free, or has a demo in it."""
    if not out.is_dir():
        return not out.exists()
    page = out / "index.html"
    if not page.is_file():
        return not any(out.iterdir())
    return 'content="feller demo"' in page.read_text(encoding="utf-8", errors="replace")
