"""Run the Python of the pages of `docs/`, each as one program in a folder of its own.

    uv run python tools/run_pages.py                 # all of them
    uv run python tools/run_pages.py docs/faq.md

Blocks of `python` are run, one after the other; blocks of `py` are other libraries' code, which is
shown only. A traceback gives the line of the page.
"""

import contextlib
import os
import re
import sys
import tempfile
import time
import traceback
from pathlib import Path

__all__ = ["PAGES", "main", "program", "run"]

DOCS = Path(__file__).parents[1] / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


def main() -> int:
    """Run pages; return 1 if one of them fails."""
    chosen = [Path(name).resolve() for name in sys.argv[1:]]
    failed = 0
    for page in chosen or [page for page in PAGES if program(page)]:
        started = time.perf_counter()
        try:
            run(page)
        except Exception:
            traceback.print_exc()
            failed = 1
        sys.stderr.write(f"-- {page.relative_to(DOCS)}: {time.perf_counter() - started:.1f} s\n")
    return failed


def program(page: Path) -> str:
    """Return the Python of a page on the lines where it stands; nothing if it has none."""
    text = page.read_text(encoding="utf-8")
    lines = [""] * text.count("\n")
    for block in BLOCK.finditer(text):
        first = text.count("\n", 0, block.start(1))
        for number, line in enumerate(block[1].splitlines()):
            lines[first + number] = line
    return "\n".join(lines).rstrip()


def run(page: Path) -> None:
    """Run the Python of a page in a folder of its own.

    Raises:
        Exception: What it raises.
    """
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as after:
        after.callback(os.chdir, before)
        os.chdir(folder)
        exec(compile(program(page), str(page), "exec"), {"__name__": "__main__"})


if __name__ == "__main__":
    sys.exit(main())
