"""Products: a state has the factors of its space, and an error names the factor."""

import pytest
import torch

from feller.core.spaces import Euclidean, ProductSpace, Tokens

SPACE = ProductSpace({"position": Euclidean(), "residue": Tokens(21)})
STATE = {"position": torch.zeros(2, 3), "residue": torch.zeros(2, dtype=torch.int64)}


def test_a_state_has_every_factor():
    SPACE.check(STATE)
    with pytest.raises(
        ValueError, match=r"factors \['position', 'residue'\], this one \['position'\]"
    ):
        SPACE.check({"position": STATE["position"]})
    with pytest.raises(ValueError, match="this one"):
        SPACE.check(STATE | {"colour": torch.zeros(2)})


def test_an_error_names_its_factor():
    with pytest.raises(ValueError, match="factor 'residue': tokens are 0"):
        SPACE.check(STATE | {"residue": torch.tensor([30, 0])})
