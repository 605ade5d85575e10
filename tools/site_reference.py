"""The reference of the site: a page for each room of a package, with its public names.

The names are those of the packages' `__init__.pyi`, which is what users import from, and those of a
few rooms that have an `__all__` of their own.
"""

import ast
from pathlib import Path

from readme_models import README
from site_formulas import dollars

__all__ = ["pages"]

ROOT = README.parent
DOMAINS = ("core", "images", "text", "proteins")
ROOMS = ("feller.core.testing", "feller.core.verify", "feller.core.importing")


def pages() -> dict[str, str]:
    """Return the pages of the reference by their addresses."""
    rooms = {room: [name for _, name in names] for room, names in _by_room().items()}
    found = {f"api/{room.removeprefix('feller.')}.md": _page(room) for room in rooms}
    lines = [
        f"| [`{room}`]({room.removeprefix('feller.')}.md) | {_summary(room)} | "
        f"{', '.join(f'`{name}`' for name in names)} |\n"
        for room, names in rooms.items()
    ]
    head = "| room | what it is | names |\n|---|---|---|\n"
    return {"api/index.md": INDEX + head + "".join(lines)} | found


INDEX = """# Reference

`from feller.core import GaussianPath`: the names of each package are flat, and loaded when first
used. They are listed here by the room they live in. Each docstring gives shapes, units and errors.

"""


def _by_room() -> dict[str, list[tuple[str, str]]]:
    """Return modules and names for each room: the first part of a module within its package."""
    rooms: dict[str, list[tuple[str, str]]] = {}
    for domain in DOMAINS:
        for module, name in _exported(domain):
            room = ".".join(module.split(".")[:3])
            rooms.setdefault(room, []).append((module, name))
    for room in ROOMS:
        names = _all_of(_file(room))
        rooms[room] = [(room, name) for name in names]
    return rooms


def _exported(domain: str) -> list[tuple[str, str]]:
    """Return the module and the name of each public name of a package."""
    stub = ROOT / "packages" / domain / "src" / "feller" / domain / "__init__.pyi"
    imports = [
        node for node in ast.parse(stub.read_text()).body if isinstance(node, ast.ImportFrom)
    ]
    return [
        (str(node.module), alias.name)
        for node in imports
        for alias in node.names
        if alias.asname and str(node.module).startswith(f"feller.{domain}.")
    ]


def _page(room: str) -> str:
    names = "".join(f"::: {module}.{name}\n\n" for module, name in _by_room()[room])
    return f"# {room}\n\n{_docstring(room)}\n\n{names}"


def _file(module: str) -> Path:
    """Return the file of a module of the workspace."""
    domain = module.split(".")[1]
    path = ROOT / "packages" / domain / "src" / Path(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def _docstring(module: str) -> str:
    text = ast.get_docstring(ast.parse(_file(module).read_text(encoding="utf-8"))) or ""
    return dollars(text)


def _summary(module: str) -> str:
    return " ".join(_docstring(module).split("\n\n")[0].split())


def _all_of(file: Path) -> list[str]:
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return list(ast.literal_eval(node.value))
    return []
