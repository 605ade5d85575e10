import pytest
import torch

from feller.core.nn.condition_kinds import (
    ClassCondition,
    FloatCondition,
    ImageCondition,
    VectorCondition,
)
from feller.core.nn.conditions import Conditions


@pytest.mark.parametrize(
    ("config", "value", "nothing"),
    [
        (ClassCondition(classes=3), torch.tensor([0, 2]), -1),
        (FloatCondition(scale=3.0), torch.tensor([0.1, 0.9]), torch.nan),
        (VectorCondition(size=2), torch.tensor([[0.0, 1.0], [2.0, 0.0]]), torch.nan),
    ],
)
def test_a_condition_tells_apart_and_has_a_null(config, value, nothing):
    assert config.check(value) == ""
    embed = config.build(8)
    found = embed(value, batch=2)
    null = embed(None, batch=2)
    assert found.shape == (2, 8) and not found[0].equal(found[1])
    assert embed(torch.full_like(value, nothing), batch=2).equal(null)
    part = value.clone()
    part[0] = nothing
    assert embed(part, batch=2)[0].equal(null[0])
    torch.testing.assert_close(embed(part, batch=2)[1], found[1])


def test_the_null_is_learnt():
    embed = FloatCondition().build(4)
    embed(torch.tensor([torch.nan, 1.0]), batch=2).square().sum().backward()
    assert all(p.grad.isfinite().all() for p in embed.parameters())
    assert embed.null.grad.abs().sum() > 0


def test_an_image_lies_beside_the_state():
    config = ImageCondition(image_channels=2)
    embed = Conditions({"look": config}).build(8)
    x, image = torch.zeros(2, 1, 4, 4), torch.rand(2, 2, 4, 4)
    image[1] = torch.nan
    found = embed.beside(x, {"look": image})
    assert found.shape == (2, 1 + config.channels, 4, 4)
    assert found[0, 1:3].equal(image[0]) and found[0, 3].eq(1).all()
    assert found[1].eq(0).all()
    assert embed.beside(x, None).eq(0).all()
    small = embed.beside(x, {"look": torch.ones(2, 2, 2, 2)})
    torch.testing.assert_close(small[:, 1:], torch.ones(2, 3, 4, 4))
    assert embed({"look": image}, batch=2).eq(0).all()


def test_other_shapes_are_refused():
    assert "numbers (b, 2), not torch.float32 (3, 1)" in VectorCondition(size=2).check(
        torch.zeros(3, 1)
    )
    assert "(b, 2, h, w)" in ImageCondition(image_channels=2).check(torch.zeros(1, 1, 4, 4))
