"""Generators: the ways a Markov process can move."""

from feller.core.generators.base import Generator
from feller.core.generators.combine import Superposition, backward, stationary
from feller.core.generators.destinations import Binned, Categorical, Destination, Mixture, Point
from feller.core.generators.diffusion import Diffusion
from feller.core.generators.flow import Flow
from feller.core.generators.jump import Jump

__all__ = [
    "Binned",
    "Categorical",
    "Destination",
    "Diffusion",
    "Flow",
    "Generator",
    "Jump",
    "Mixture",
    "Point",
    "Superposition",
    "backward",
    "stationary",
]
