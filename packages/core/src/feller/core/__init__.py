"""The core of feller: Generator Matching on any space.

Read in this order, the modules are the theory: `schedules`, `paths`, `generators`, `solutions`,
`objective`, `solvers`. Names below are loaded when first used, so that `import feller.core` costs
nothing.
"""

import importlib

__all__ = ["list_models", "load", "simulate"]  # pyright: ignore[reportUnsupportedDunderAll]

_HOMES = {
    "list_models": "feller.core.registry",
    "load": "feller.core.registry",
    "simulate": "feller.core.solvers",
}


def __getattr__(name: str) -> object:
    """Load a public name from its module."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
