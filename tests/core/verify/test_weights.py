"""Weights that make no superposition are told, whatever the generator is wrapped in."""

import pytest
import torch

from feller.core.generators import Flow, Product, backward, stationary
from feller.core.verify.weights import weight_fault

FLOW = Flow(torch.ones(1, 1))


@pytest.mark.parametrize(
    ("generator", "role", "fault"),
    [
        (FLOW, "forward", ""),
        (0.5 * FLOW + 0.5 * FLOW, "forward", ""),
        (2.0 * FLOW + 1.0 * backward(FLOW), "forward", ""),
        (1.0 * FLOW + 1.0 * backward(FLOW), "stationary", ""),
        (1.0 * backward(FLOW) + 3.0 * stationary(FLOW), "backward", ""),
        (1.0 * FLOW + 1.0 * FLOW, "forward", "sum to 1, these to 2"),
        (1.0 * FLOW + 0.5 * backward(FLOW), "stationary", "sum to 0, these to 0.5"),
        (2.0 * backward(FLOW), "backward", "sum to -1, these to -2"),
        (-1.0 * FLOW + 2.0 * FLOW, "forward", "at least 0"),
        (torch.tensor([0.5, 0.4]) * FLOW + 0.5 * FLOW, "forward", "these to 0.95"),
        (Product({"a": FLOW, "b": 2.0 * FLOW}), "forward", "b: forward weights"),
    ],
)
def test_a_fault_is_told(generator, role, fault):
    found = weight_fault(generator, role)
    assert fault in found
    assert bool(found) == bool(fault)
