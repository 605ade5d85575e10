"""Generators: the ways a Markov process can move."""

from feller.core.generators.base import Generator, Superposition, backward, stationary
from feller.core.generators.cells import Cells
from feller.core.generators.destinations import (
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
from feller.core.generators.langevin import LangevinDiffusion
from feller.core.generators.linear import LinearGenerator
from feller.core.generators.listed import Atoms, Binned, Categorical, Listed, MovedBinned
from feller.core.generators.parts import Part, Role, Split
from feller.core.generators.posterior import FromPosterior
from feller.core.generators.product import Product

__all__ = [
    "Atoms",
    "Binned",
    "Categorical",
    "Cells",
    "Deferred",
    "Destination",
    "Diffusion",
    "Either",
    "Flow",
    "FromPosterior",
    "FromSource",
    "Generator",
    "Jump",
    "LangevinDiffusion",
    "LinearGenerator",
    "Listed",
    "Mixture",
    "MovedBinned",
    "NormalTails",
    "Part",
    "Point",
    "Product",
    "RatioOfNormals",
    "Role",
    "Split",
    "Superposition",
    "backward",
    "stationary",
]
