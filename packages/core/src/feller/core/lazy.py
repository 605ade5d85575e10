"""A package's flat namespace: its public names, each loaded from its module when first used.

The names stand once, in the package's `__init__.pyi`, where type checkers read them; at run time
the same file says which module a name lives in. So `import feller.core` costs nothing, `dir` and
completion list everything, and pyright and mypy know every type.
"""

import importlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

__all__ = ["attach"]

_IMPORT = re.compile(r"^from ([\w.]+) import (\w+) as \2$", re.MULTILINE)
_DEFINED = re.compile(r"^([A-Z]\w*): ", re.MULTILINE)


class Namespace(NamedTuple):
    """What makes a package lazy.

    Attributes:
        load: Its `__getattr__`.
        names: Its `__dir__`.
        public: Its `__all__`.
    """

    load: Callable[[str], object]
    names: Callable[[], list[str]]
    public: list[str]


def attach(package: str, file: str) -> Namespace:
    """Return what makes a package lazy.

    Args:
        package: Its `__name__`.
        file: Its `__file__`, with an `__init__.pyi` beside it: a line `from module import name as
            name` for each lazy name, and `NAME: type` for each constant that the package defines.

    Example:
        >>> import feller.core
        >>> "GaussianPath" in dir(feller.core)
        True
    """
    stub = Path(file).with_suffix(".pyi").read_text()
    homes = {name: module for module, name in _IMPORT.findall(stub)}
    public = sorted([*homes, *_DEFINED.findall(stub)])

    def load(name: str) -> object:
        if name == "__version__":
            from importlib.metadata import version  # takes as long as all the rest

            return version(package.replace(".", "-"))
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(importlib.import_module(homes[name]), name)

    return Namespace(load, lambda: [*public, "__version__"], public)
