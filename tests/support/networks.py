"""What networks of images are given beside the state and its time, checked the same for each."""

from dataclasses import replace

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.testing import assert_close

from feller.core.conditions import dropped
from feller.core.config import decode, encode
from feller.core.nn.condition_kinds import (
    ClassCondition,
    FloatCondition,
    ImageCondition,
    VectorCondition,
)
from feller.core.nn.conditions import Conditions


def awake(config, rng):
    """A network in double precision with no weight left at zero."""
    network = config.build().double()
    for parameter in network.parameters():
        noise = torch.randn(parameter.shape, generator=rng, dtype=torch.float64)
        parameter.data += 0.1 * noise
    return network


def check_two_times(config, inputs, rng):
    one, fresh = awake(config, rng), replace(config, two_times=True).build().double()
    assert (one.takes_next, fresh.takes_next) == (False, True)
    missing = fresh.load_state_dict(one.state_dict(), strict=False).missing_keys
    assert all(name.startswith("embed_step.") for name in missing)
    x, t, labels = inputs
    assert torch.equal(fresh(x, t, labels, t), one(x, t, labels))
    assert torch.equal(fresh(x, t, labels), one(x, t, labels))
    two = awake(replace(config, two_times=True), rng)
    assert not torch.allclose(two(x, t, labels, t + 0.1), two(x, t, labels))
    with sdpa_kernel(SDPBackend.MATH):  # as MeanFlow takes it
        found = torch.func.jvp(lambda t: two(x, t, labels, torch.ones_like(t)), (t,), (t * 0 + 1,))[
            1
        ]
    step = 1e-7
    ends = [two(x, t + h, labels, torch.ones_like(t)) for h in (step, -step)]
    assert_close(found, (ends[0] - ends[1]) / (2 * step), rtol=1e-3, atol=1e-3)


def check_numbers(config, inputs, rng):
    network = awake(replace(config, num_classes=0, condition_size=2), rng)
    x, t, _ = inputs
    numbers = torch.rand(len(x), 2, generator=rng, dtype=torch.float64)
    out, free = network(x, t, numbers), network(x, t)
    assert not torch.allclose(out, free)
    numbers[1] = torch.nan
    mixed = network(x, t, numbers)
    assert_close(mixed[1], free[1])
    assert_close(mixed[2], out[2])
    mixed.sum().backward()
    assert all(p.grad.isfinite().all() for p in network.parameters())
    with pytest.raises(ValueError, match=r"conditions are \(b, 2\) numbers, not \(4, 3\)"):
        network(x, t, numbers[:, [0, 0, 1]])
    with pytest.raises(ValueError, match=r"a class \(num_classes\) or a vector"):
        replace(config, condition_size=2).build()


def check_conditions(config, inputs, rng):
    """A network of images hears each condition, each row its own, and none as one left out."""
    x, t, _ = inputs
    b, _, height, width = x.shape
    told = {"kind": ClassCondition(classes=3), "size": FloatCondition()}
    told |= {"numbers": VectorCondition(size=2), "look": ImageCondition(image_channels=1)}
    network = awake(replace(config, num_classes=0, conditions=Conditions(told)), rng)
    values = {
        "kind": torch.arange(b) % 3,
        "size": torch.rand(b, generator=rng).double(),
        "numbers": torch.randn(b, 2, generator=rng).double(),
        "look": torch.randn(b, 1, height, width, generator=rng).double(),
    }
    found, silent = network(x, t, values), network(x, t, None)
    for name, value in values.items():
        less = {**values, name: None}
        assert not network(x, t, less).allclose(found)
        assert network(x, t, {**values, name: dropped(value, torch.ones(b).bool())}).allclose(
            network(x, t, less)
        )
    assert network(x, t, dropped(values, torch.ones(b).bool())).allclose(silent)
    first = network(x, t, dropped(values, torch.arange(b) == 0))
    assert first[0].allclose(silent[0]) and first[1].allclose(found[1])
    assert decode(encode(network.config)) == network.config
    with pytest.raises(ValueError, match="conditions take the place of num_classes"):
        replace(network.config, num_classes=2)
