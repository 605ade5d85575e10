"""Heads: how the output of a network is read as a generator."""

from feller.core.heads.base import FlowHead, Head, JointHead, Kinds, check_output
from feller.core.heads.bins import JumpHead, PosteriorHead
from feller.core.heads.noise import DiffusionHead, DriftHead, ScoreHead
from feller.core.heads.product import ProductHead

__all__ = [
    "DiffusionHead",
    "DriftHead",
    "FlowHead",
    "Head",
    "JointHead",
    "JumpHead",
    "Kinds",
    "PosteriorHead",
    "ProductHead",
    "ScoreHead",
    "check_output",
]
