"""Generators: the ways a Markov process can move."""

from feller.core.generators.base import Generator
from feller.core.generators.combine import Split, Superposition, backward, split, stationary
from feller.core.generators.destinations import (
    Atoms,
    Binned,
    Categorical,
    Deferred,
    Destination,
    Either,
    FromSource,
    Mixture,
    Point,
)
from feller.core.generators.diffusion import Diffusion
from feller.core.generators.flow import Flow
from feller.core.generators.gaussian_destinations import NormalTails, RatioOfNormals
from feller.core.generators.jump import Jump
from feller.core.generators.posterior import FromPosterior
from feller.core.generators.product import Product

__all__ = [
    "Atoms",
    "Binned",
    "Categorical",
    "Deferred",
    "Destination",
    "Diffusion",
    "Either",
    "Flow",
    "FromPosterior",
    "FromSource",
    "Generator",
    "Jump",
    "Mixture",
    "NormalTails",
    "Point",
    "Product",
    "RatioOfNormals",
    "Split",
    "Superposition",
    "backward",
    "split",
    "stationary",
]
