"""Parts: a weight and a role each, and what they make of a sum."""

import pytest
import torch

from feller.core.generators import Diffusion, Flow, Generator, Jump, backward, stationary
from feller.core.generators.base import is_kind, is_sum
from feller.core.generators.parts import Part, check_parts

FLOW = Flow(torch.ones(2, 1))


def test_a_part_is_a_multiple_of_its_generator():
    assert Part(1.0, FLOW).scaled() is FLOW  # of a kind without multiples too
    assert Part(0.5, FLOW).scaled().velocity.tolist() == [[0.5], [0.5]]


def test_a_part_of_a_part_has_both_roles():
    def roles(outer, inner):
        generator = Part(2.0, FLOW, inner)
        whole = Part(3.0, type(0.5 * FLOW)((generator,)), outer)
        return [(p.weight, p.role) for p in type(0.5 * FLOW)((whole,)).leaves()]

    assert roles("forward", "forward") == [(6.0, "forward")]
    assert roles("backward", "forward") == [(6.0, "backward")]
    assert roles("backward", "backward") == [(6.0, "forward")]
    assert roles("stationary", "forward") == [(6.0, "stationary")]


def test_forward_weights_less_backward_ones_are_due():
    check_parts((2.0 * FLOW + 1.0 * backward(FLOW) + 7.0 * stationary(FLOW)).parts)
    check_parts((1.0 * FLOW + 1.0 * backward(FLOW)).parts, due=0.0)
    with pytest.raises(ValueError, match="sum to 1, these to 2"):
        check_parts((1.0 * FLOW + 1.0 * FLOW).parts)
    with pytest.raises(ValueError, match="at least 0"):
        check_parts((2.0 * FLOW + -1.0 * FLOW).parts)


def test_a_sum_is_told_from_what_stands_alone():
    assert is_sum(1.0 * FLOW)
    assert not is_sum(FLOW)


def test_a_kind_of_ones_own_acts_as_others():
    class Both(Generator):
        acts_as = (Flow, Diffusion)
        apply = step = average = None

    assert is_kind(Both, [Flow, Diffusion, Jump])
    assert not is_kind(Both, [Flow])
    assert is_kind(Both, [Both])
    assert is_kind(Flow, [Generator])
