"""Proteins for feller: frames whose rotations flow, diffuse and jump on one path.

Importing this package imports no torch. `feller.proteins.solutions` enters the solutions of its
paths into the table of the core.
"""

from feller.core.registry import Domain

__all__ = ["DOMAIN"]

DOMAIN = Domain(name="proteins", package="feller.proteins")
