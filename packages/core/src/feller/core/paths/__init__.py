"""Conditional probability paths: Gaussian, mixture, geometric, geodesic and their products."""

from feller.core.paths.base import ConditionalPath
from feller.core.paths.gaussian import GaussianPath
from feller.core.paths.geodesic import GeodesicPath
from feller.core.paths.geometric import GeometricPath
from feller.core.paths.mixture import MixturePath
from feller.core.paths.product import ProductPath

__all__ = [
    "ConditionalPath",
    "GaussianPath",
    "GeodesicPath",
    "GeometricPath",
    "MixturePath",
    "ProductPath",
]
