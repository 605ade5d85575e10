"""tools/measures.py, on a sample: the limits can be broken, and are then found."""

import ast

from measures import (
    abstract_methods,
    depth,
    foreign_names,
    function_lengths,
    identifiers,
    inheritance,
    nodes,
    parameter_counts,
    public_methods,
    side_effects,
    undocumented,
)

SAMPLE = '''
"""A module."""
import torch
from torch.utils.data import Sampler

RATE: float = 1.0
print("loud")

class Shape(ABC):
    """A shape.

    Of lines.
    """

    @abc.abstractmethod
    def area(self): ...

    @property
    def name(self) -> str:
        return "shape"

class Square(Shape):
    """A square."""

    def area(self, a, b=1, *rest, c, **more):
        """Not
        counted."""

        # nor this
        text = """counted
        twice"""
        self.time_steps = Sampler(timesteps=3)
        return text

    def _hidden(self): ...

    @staticmethod
    def make_helpers(timestep): ...

class Unit(Square[int], Shape): pass
'''


def sample_class(name):
    return next(node for node in nodes(ast.parse(SAMPLE), ast.ClassDef) if node.name == name)


def test_function_lengths():
    lengths = function_lengths(SAMPLE)
    assert lengths == [
        ("area", 1),
        ("name", 2),
        ("area", 5),
        ("_hidden", 1),
        ("make_helpers", 1),
    ]


def test_parameter_counts():
    counts = parameter_counts(ast.parse(SAMPLE))
    assert counts == [("area", 0), ("name", 0), ("area", 3), ("_hidden", 0), ("make_helpers", 1)]


def test_methods_and_inheritance():
    bases = inheritance([ast.parse(SAMPLE)])
    assert abstract_methods(sample_class("Shape")) == {"area"}
    assert public_methods(sample_class("Square")) == {"area", "make_helpers"}
    assert [depth(name, bases) for name in ("Shape", "Square", "Unit")] == [0, 1, 2]


def test_undocumented():
    assert undocumented(ast.parse(SAMPLE)) == ["area", "name", "make_helpers", "Unit"]
    assert undocumented(ast.parse("x = 1")) == ["the module"]


def test_foreign_names():
    assert foreign_names(identifiers(ast.parse(SAMPLE))) == {"make_helpers", "timestep"}
    assert foreign_names({"BatchSamplers", "NNUtil", "useful", "scheduler"}) == {
        "BatchSamplers",
        "NNUtil",
    }


def test_side_effects():
    assert side_effects(ast.parse(SAMPLE)) == [7]
    assert side_effects(ast.parse("if __name__ == '__main__':\n    main()\nfor a in b: c")) == [3]
