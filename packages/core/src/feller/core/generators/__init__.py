"""Generators: the ways a Markov process can move."""

from feller.core.generators.base import Generator
from feller.core.generators.flow import Flow

__all__ = ["Flow", "Generator"]
