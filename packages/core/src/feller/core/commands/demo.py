"""`feller demo`: sample every bundled model and make a page to look at."""

import argparse
import html
from collections.abc import Sequence
from pathlib import Path

from feller.core.domains import KNOWN_DOMAINS, Domain, domains, list_models, resolve

__all__ = ["run"]

PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta name="generator" content="feller demo">
<title>feller demo</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem;
  color: #222; background: #fff }}
figure {{ margin: 2rem 0 }}
img {{ max-width: 100%; image-rendering: pixelated }}
figcaption {{ color: #555 }}
</style>
<h1>feller demo</h1>
<p>Drawn just now by the models in this installation.</p>
{figures}
</html>
"""
FIGURE = """<figure>
<h2>{title}</h2>
<img src="{file}" alt="{title}">
<figcaption>{caption}</figcaption>
</figure>"""


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
    page.write_text(PAGE.format(figures="<p>Not finished.</p>"))  # marks the folder as a demo
    shown = sorted(domains().values(), key=_position)
    figures = [f for domain in shown if domain.demo for f in resolve(domain.demo)(out)]
    body = "\n".join(
        FIGURE.format(title=html.escape(title), file=file, caption=html.escape(caption))
        for title, file, caption in figures
    )
    page.write_text(PAGE.format(figures=body), encoding="utf-8")
    print(f"open {page}")


def _position(domain: Domain) -> int:
    """Return which a domain comes: images first, since they need no words."""
    known = domain.name in KNOWN_DOMAINS
    return KNOWN_DOMAINS.index(domain.name) if known else len(KNOWN_DOMAINS)


def _is_ours(out: Path) -> bool:
    """Say whether a folder is free, or has a demo in it."""
    if not out.is_dir():
        return not out.exists()
    page = out / "index.html"
    if not page.is_file():
        return not any(out.iterdir())
    return 'content="feller demo"' in page.read_text(encoding="utf-8", errors="replace")
