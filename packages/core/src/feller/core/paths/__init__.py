"""Conditional probability paths: Gaussian, bridges, mixture, geometric, geodesic, and products."""

from feller.core.paths.base import ConditionalPath, Drawn
from feller.core.paths.bridge import BridgePath
from feller.core.paths.bridge_noise import BridgeNoise, BrownianNoise, SineNoise
from feller.core.paths.gaussian import GaussianPath
from feller.core.paths.geodesic import GeodesicPath
from feller.core.paths.geometric import GeometricPath
from feller.core.paths.mixture import MixturePath
from feller.core.paths.product import ProductPath

__all__ = [
    "BridgeNoise",
    "BridgePath",
    "BrownianNoise",
    "ConditionalPath",
    "Drawn",
    "GaussianPath",
    "GeodesicPath",
    "GeometricPath",
    "MixturePath",
    "ProductPath",
    "SineNoise",
]
