"""Run the cells of a notebook as Python, and show what each ends with.

    uv run python tools/run_notebook.py docs/notebooks/share.ipynb

It needs no Jupyter. What a cell ends with is asked for its picture or its HTML, as a notebook asks.
Files go into the present folder.
"""

import ast
import json
import sys
from pathlib import Path
from typing import Any

__all__ = ["main", "run"]


def main() -> int:
    """Run notebooks, one after the other."""
    for file in sys.argv[1:]:
        run(Path(file))
    return 0


def run(file: Path) -> dict[str, Any]:
    """Run a notebook; return what its cells have defined.

    Raises:
        Exception: What a cell raises, with the number of the cell as a note.
    """
    names: dict[str, Any] = {"__name__": "__main__"}
    cells = json.loads(file.read_text(encoding="utf-8"))["cells"]
    for number, cell in enumerate(cells):
        if cell["cell_type"] != "code":
            continue
        try:
            _show(_value("".join(cell["source"]), f"{file.name}[{number}]", names))
        except Exception as error:
            error.add_note(f"in cell {number} of {file}")
            raise
    return names


def _value(source: str, name: str, names: dict[str, Any]) -> Any:
    """Run a cell; return the value of its last line, if that is an expression without `;`."""
    body = ast.parse(source, name).body
    last = body.pop() if body and type(body[-1]) is ast.Expr else None
    exec(compile(ast.Module(body, []), name, "exec"), names)
    if last is None:
        return None
    value = eval(compile(ast.Expression(last.value), name, "eval"), names)
    return None if source.rstrip().endswith(";") else value


def _show(value: Any) -> None:
    """Print a value as a terminal can: of a picture its size."""
    for name in ("_repr_png_", "_repr_html_"):
        if found := getattr(value, name, lambda: None)():
            print(f"{type(value).__name__}: {len(found)} of {name}")
            return
    if value is not None:
        print(value)


if __name__ == "__main__":
    sys.exit(main())
