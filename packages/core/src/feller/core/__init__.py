"""The core of feller: Generator Matching on any space.

Read in this order, the modules are the theory: `schedules`, `paths`, `generators`, `solutions`,
`losses`, `solvers`. The public names are in `__init__.pyi`; each is loaded when first used, so that
`import feller.core` costs nothing.
"""

from feller.core.lazy import attach

__getattr__, __dir__, __all__ = attach(__name__, __file__)
