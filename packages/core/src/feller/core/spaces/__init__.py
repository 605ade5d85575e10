"""State spaces: Euclidean, interval, tokens, sphere, torus and their products."""

from feller.core.spaces.base import Manifold, StateSpace
from feller.core.spaces.euclidean import Euclidean
from feller.core.spaces.interval import Interval
from feller.core.spaces.product import ProductSpace
from feller.core.spaces.sphere import Sphere
from feller.core.spaces.tokens import Tokens
from feller.core.spaces.torus import Torus

__all__ = [
    "Euclidean",
    "Interval",
    "Manifold",
    "ProductSpace",
    "Sphere",
    "StateSpace",
    "Tokens",
    "Torus",
]
