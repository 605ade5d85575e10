"""Modes: asked without dropout, left as they were."""

import pytest
from torch import nn

from feller.core.nn.modes import evaluating


def test_each_part_keeps_its_mode_even_after_an_error():
    model = nn.Sequential(nn.Dropout(), nn.Dropout().eval())
    with pytest.raises(ValueError, match="refused"), evaluating(model):
        assert not any(part.training for part in model.modules())
        raise ValueError("refused")
    assert [part.training for part in model.modules()] == [True, True, False]
