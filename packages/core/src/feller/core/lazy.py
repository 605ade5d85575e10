"""A package's flat namespace: its public names, each loaded from its module when first used.

The names stand once, in the package's `__init__.pyi`, where type checkers read them; at run time
the same file says which module a name lives in. So `import feller.core` costs nothing, `dir` and
completion list everything, and pyright and mypy know every type.
"""

import ast
import importlib
from collections.abc import Callable
from pathlib import Path

__all__ = ["attach"]

Attached = tuple[Callable[[str], object], Callable[[], list[str]], list[str]]
"""The `__getattr__`, `__dir__` and `__all__` of a package."""


def attach(package: str, file: str) -> Attached:
    """Return what makes a package lazy.

    Args:
        package: Its `__name__`.
        file: Its `__file__`, with an `__init__.pyi` beside it of lines `from module import name as
            name`.

    Example:
        >>> import feller.core
        >>> "GaussianPath" in dir(feller.core)
        True
    """
    homes = _homes(Path(file).with_suffix(".pyi"))

    def load(name: str) -> object:
        if name == "__version__":
            from importlib.metadata import version  # takes as long as all the rest

            return version(package.replace(".", "-"))
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(importlib.import_module(homes[name]), name)

    return load, lambda: sorted(homes), sorted(homes)


def _homes(stub: Path) -> dict[str, str]:
    """Return the module that each public name is imported from in a stub."""
    imports = (n for n in ast.parse(stub.read_text()).body if isinstance(n, ast.ImportFrom))
    return {alias.asname or "": str(n.module) for n in imports for alias in n.names if alias.asname}
