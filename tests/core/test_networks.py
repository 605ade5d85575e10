import enum
import sys
import types

import pytest
import torch
from torch import nn

from feller.core.config import ConfigError, decode, encode
from feller.core.networks import OwnNetwork, buildable, check_rebuilt, network_config


@buildable
class Wide(nn.Module):
    def __init__(self, width, *, scale=1.0, **more):
        super().__init__()
        self.layer, self.scale, self.more = nn.Linear(2, width), scale, more

    def forward(self, x):
        return self.scale * self.layer(x)


class Wider(Wide):
    def __init__(self):
        super().__init__(9)


@buildable
def stacked(depth):
    return nn.Sequential(*(nn.Linear(2, 2) for _ in range(depth)))


class Plain(nn.Module):
    def __init__(self, scale=1.0):
        super().__init__()
        self.layer, self.scale = nn.Linear(2, 2), scale

    def forward(self, x):
        return self.scale * self.layer(x)


@pytest.mark.parametrize("make", [lambda: Wide(3, scale=2.0, a=1), lambda: stacked(2), Plain])
def test_a_network_is_made_again_from_its_configuration(make):
    network = make()
    config = network_config(network)
    again = decode(encode(config))
    assert again == config
    assert [*again.build().state_dict()] == [*network.state_dict()]
    before = {name: value.clone() for name, value in network.state_dict().items()}
    check_rebuilt(network, config, torch.ones(1, 2))
    assert all(network.state_dict()[name].equal(value) for name, value in before.items())


def test_arguments_are_those_of_the_class_itself():
    assert network_config(Wide(3, scale=2.0, a=1)).arguments == (
        ("width", 3), ("scale", 2.0), ("a", 1),
    )  # fmt: skip
    assert network_config(Wider()).arguments == ()


def test_arguments_that_are_not_known_are_not_guessed():
    with pytest.raises(ValueError, match="another network: put @buildable"):
        check_rebuilt(Plain(2.0), network_config(Plain(2.0)), torch.ones(1, 2))
    changed = Wide(3)
    changed.layer = nn.Linear(2, 4)
    with pytest.raises(ValueError, match=r"cannot be made again .*size mismatch"):
        check_rebuilt(changed, network_config(changed), torch.ones(1, 2))
    with pytest.raises(ValueError, match="argument scale is of type Tensor"):
        network_config(Wide(3, scale=torch.ones(1)))


@buildable
class Gained(nn.Module):
    def __init__(self, gains):
        super().__init__()
        self.layer, self.gains = nn.Linear(2, 2), gains

    def forward(self, x):
        return self.gains.get("a", 0.0) * self.layer(x)


def test_an_argument_that_json_would_change_is_refused():
    with pytest.raises(ValueError, match=r"its argument gains is of type dict, .* the key 0: JSON"):
        network_config(Gained({0: 1.0}))
    config = network_config(network := Gained({"a": 1.0}))
    check_rebuilt(network, config, torch.ones(1, 2))


class Mode(enum.IntEnum):
    FULL = 1


def test_a_network_is_made_again_from_what_a_file_holds():
    """JSON has a whole number for a member of an enumeration."""
    network = Moded(Mode.FULL)
    with pytest.raises(ValueError, match="Moded, made again, is another network"):
        check_rebuilt(network, network_config(network), torch.ones(1, 2))


@buildable
class Moded(nn.Module):
    def __init__(self, mode):
        super().__init__()
        self.layer, self.mode = nn.Linear(2, 2), mode

    def forward(self, x):
        return self.layer(x) if isinstance(self.mode, Mode) else x


def test_a_file_names_a_module_and_imports_none():
    data = {"type": "own_network", "module": "far_away", "name": "Net", "arguments": []}
    with pytest.raises(ConfigError, match="Net of the module far_away: import far_away first"):
        decode(data)
    assert "far_away" not in sys.modules


def test_a_file_calls_nothing_that_is_not_marked(monkeypatch):
    module = types.ModuleType("near")
    called = []

    class Net(nn.Module):
        __module__ = "near"

        def __init__(self, *numbers):
            super().__init__()
            called.append(numbers)

    Net.__qualname__ = "Net"
    module.Net, module.call, module.Linear = Net, called.append, nn.Linear
    monkeypatch.setitem(sys.modules, "near", module)
    for name, arguments in [("call", ()), ("Linear", ()), ("gone", ()), ("Net", (("a", 1),))]:
        with pytest.raises(ValueError, match="of the module near, which"):
            OwnNetwork("near", name, arguments)
    assert not called
    OwnNetwork("near", "Net").build()
    assert called == [()]
