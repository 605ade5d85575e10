"""Configurations: every tagged value to JSON and back, and errors that name the place."""

import importlib
import json
import pkgutil
import sys
import types
from dataclasses import dataclass

import pytest
import torch

import feller.core
from feller.core import config
from feller.core.config import ConfigError, decode, encode, leaves, tag_of, tagged
from feller.core.couplings import ConditionalOT, EntropicOT, MinibatchOT, ProductCoupling
from feller.core.discrete.sources import MaskedUniform, UnigramTokens
from feller.core.divergences import SquaredNorm
from feller.core.heads import FlowHead, JointHead, JumpHead, PosteriorHead, ProductHead
from feller.core.losses import Objective
from feller.core.networks import OwnNetwork, buildable
from feller.core.nn.condition_kinds import ClassCondition, ImageCondition, VectorCondition
from feller.core.nn.conditions import Conditions
from feller.core.nn.text_encoder import TextCondition
from feller.core.nn.transformer import TransformerConfig
from feller.core.own_models import OwnModelConfig
from feller.core.pair_data import PairFolder
from feller.core.paths import (
    BridgePath,
    BrownianNoise,
    GaussianPath,
    GeodesicPath,
    GeometricPath,
    MixturePath,
    ProductPath,
)
from feller.core.schedules import CondOT, Cosine, Polynomial, VariancePreserving
from feller.core.sources import (
    DataSource,
    Gaussian,
    Masked,
    UniformBox,
    UniformSphere,
    UniformTokens,
)
from feller.core.spaces import Euclidean, ProductSpace, Sphere, Tokens, Torus
from feller.core.times import Beta, LogitNormal, Skewed, UShaped
from feller.core.training.config import DataConfig, ModelConfig, Optimizer, Recipe, Training


@tagged("test_config/model")
@dataclass(frozen=True)
class ProbeModel(ModelConfig):
    def build(self):
        return torch.nn.Identity()


@tagged("test_config/data")
@dataclass(frozen=True)
class ProbeData(DataConfig):
    def build(self, split="train"):
        return [split]


@buildable
class Line(torch.nn.Linear):
    """A network of one's own."""


OWN = OwnNetwork(__name__, "Line", (("in_features", 2), ("out_features", 2)))
MIXTURE = MixturePath(Tokens(5, event_dim=0), Masked(4), Polynomial(3.0))
CHANGED = [  # every field away from its default
    Objective() + 0.1 * Objective(loss_space="x_1").named("data"),
    GaussianPath(Euclidean(3), Cosine()),
    GeodesicPath(Sphere(), UniformSphere(), Cosine()),
    GeodesicPath(Torus(2), UniformBox(-3.0, 3.0)),
    GeodesicPath(Euclidean(), Gaussian()),
    MIXTURE,
    MixturePath(Tokens(5), UniformTokens(5)),
    MixturePath(Tokens(3), UnigramTokens((3.0, 1.0, 2.0))),
    MixturePath(Tokens(5), MaskedUniform(4, 0.3)),
    ProductPath({"position": GaussianPath(), "residue": MIXTURE}),
    ProductSpace({"position": Euclidean(), "residue": Tokens(5)}),
    VariancePreserving(0.2, 10.0),
    GeometricPath(Tokens(5), 0.2, Polynomial(3.0)),
    BridgePath(Euclidean(3), Cosine(), BrownianNoise(0.5), DataSource()),
    ConditionalOT(EntropicOT(0.5), 2.0),
    PairFolder("pairs", paired=False),
    ProductCoupling({"position": MinibatchOT()}),
    Conditions({"kind": ClassCondition(classes=3), "size": VectorCondition(size=2)}),
    Conditions({"seen": ImageCondition(image_channels=1, drop=0.5)}),
    Conditions({"said": TextCondition(encoder="bert", definition='{"model_type": "bert"}')}),
    OwnModelConfig(network=OWN, path=GaussianPath(), head=FlowHead(), shape=(2,)),
    FlowHead("noise"),
    PosteriorHead(16, 0.5, 0.2, 0.3),
    JointHead((FlowHead(), JumpHead(8, (-2.0, 2.0))), (0.25, 0.75)),
    ProductHead({"a": FlowHead()}),
    Objective(SquaredNorm(), "x_1"),
    LogitNormal(1.0, 2.0),
    Skewed(1.0, 2.0),
    Beta(3.0, 4.0),
    UShaped(1.0),
    TransformerConfig(dim=12, depth=2, num_heads=3, dropout=0.1),
    Optimizer(betas=(0.8, 0.9), decay="constant"),
    Training(steps=3, mixed_precision="bf16"),
    Recipe(model=ProbeModel(), data=ProbeData(), times=Beta(), coupling=MinibatchOT()),
]


def everything_tagged():
    """Tag -> class, of every tagged class of the core."""
    for module in pkgutil.walk_packages(feller.core.__path__, "feller.core."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    return {tag: c for tag, c in config._TYPES.items() if c.__module__.startswith("feller.core.")}


def inside(value):
    """The types of a value and of all it holds."""
    found = {value["type"]} if isinstance(value, dict) and "type" in value else set()
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
    return found.union(*map(inside, parts))


@pytest.mark.parametrize("value", CHANGED, ids=lambda value: type(value).__name__)
def test_a_value_survives_json(value):
    assert decode(json.loads(json.dumps(encode(value)))) == value


@pytest.mark.parametrize("tag", sorted(everything_tagged()))
def test_every_tagged_class_survives_json(tag):
    try:
        value = everything_tagged()[tag]()
    except TypeError:
        assert any(tag in inside(encode(value)) for value in CHANGED), "add an example to CHANGED"
    else:
        assert encode(value)["type"] == tag
        assert decode(json.loads(json.dumps(encode(value)))) == value


def test_lists_become_tuples_and_plain_mappings_stay():
    assert decode({"a": [1, [2.0, None]], "b": {"c": "d"}}) == {
        "a": (1, (2.0, None)),
        "b": {"c": "d"},
    }


def test_leaves_are_dotted_names():
    flat = leaves(encode(MIXTURE))
    assert flat["schedule.power"] == 3.0
    assert flat["space.type"] == "tokens"
    assert leaves({"a": [1, {"b": 2}]}) == {"a.0": 1, "a.1.b": 2}


NO_POWER = {"type": "polynomial", "power": None}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"type": "condott"}, "config: unknown type 'condott'; did you mean condot"),
        ({"type": "?"}, "config: unknown type '?'"),
        ({"type": "polynomial", "pwr": 1.0}, "config: polynomial has no field 'pwr'; it has power"),
        ({"type": "condot", "x": 1}, "config: condot has no field 'x'; it has none"),
        ({"type": "polynomial", "power": "2"}, "config.power: '2' is not float"),
        ({"type": "polynomial", "power": True}, "config.power: True is not float"),
        ({"type": "tokens", "size": 2.5}, "config.size: 2.5 is not int"),
        ({"type": "tokens"}, "config: "),
        ({"type": "flow_head", "prediction": "x_0"}, "config.prediction: 'x_0' is not "),
        ({"type": "gaussian_path", "schedule": {"type": "gaussian"}}, "config.schedule: "),
        (
            {"type": "gaussian_path", "schedule": NO_POWER},
            "config.schedule.power: None is not float",
        ),
        ({"type": "polynomial", "power": -1.0}, "config: power is positive, not -1.0"),
        ([{"type": "condot"}, {"type": "?"}], "config[1]: unknown type"),
        ({"a": {"b": {"type": "?"}}}, "config.a.b: unknown type"),
    ],
)
def test_an_error_names_the_place_in_one_line(data, message):
    with pytest.raises(ConfigError) as caught:
        decode(data)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_a_missing_field_is_named():
    with pytest.raises(ConfigError, match=r"recipe\.json: .*'size'"):
        decode({"type": "tokens"}, where="recipe.json")


@tagged("test_config/renamed", renamed={"law": "distribution"})
@dataclass(frozen=True)
class Renamed:
    distribution: str = "signs"
    count: int = 1


def test_a_field_is_read_by_its_former_name():
    saved = {"type": "test_config/renamed", "law": "normals", "count": 2}
    assert decode(saved) == Renamed("normals", 2)
    assert encode(decode(saved))["distribution"] == "normals"
    with pytest.raises(ConfigError, match="give one"):
        decode({**saved, "distribution": "normals"})
    with pytest.raises(ConfigError, match=r"saved.distribution: 3 is not str"):
        decode({"type": "test_config/renamed", "law": 3}, where="saved")


def test_a_float_may_be_written_as_an_integer():
    value = decode({"type": "polynomial", "power": 3})
    assert encode(value)["power"] == 3.0
    assert isinstance(value.power, float)


def test_only_data_is_encoded():
    with pytest.raises(ConfigError, match="cannot hold a set"):
        encode({"a": {1}})
    with pytest.raises(ConfigError, match="cannot hold the key 0: JSON keys are strings"):
        encode({"a": {"b": 1, 0: 2}})
    with pytest.raises(ConfigError, match="has no tag; add @tagged"):
        encode(Untagged())
    assert tag_of(CondOT()) == "condot"


@dataclass(frozen=True)
class Untagged:
    size: int = 0


def test_a_tag_belongs_to_one_class():
    with pytest.raises(
        ValueError, match=r"'condot' belongs to feller\.core\.schedules\.CondOT: give Untag"
    ):
        tagged("condot")(Untagged)
    assert decode({"type": "condot"}) == CondOT()


def defined(name, module):
    """A class as one of this name in this module would be."""
    return dataclass(frozen=True)(type(name, (), {"__module__": module}))


def test_a_class_of_the_same_name_elsewhere_does_not_take_a_tag():
    for module in ("__main__", "somebodys_schedules", __name__):
        with pytest.raises(ValueError, match="'condot' belongs to"):
            tagged("condot")(defined("CondOT", module))
    assert decode({"type": "condot"}) == CondOT()


def test_a_class_may_be_defined_anew_where_it_was(monkeypatch):
    monkeypatch.setattr(config, "_TYPES", dict(config._TYPES))
    tagged("test_config/cell")(defined("Cell", "a_notebook"))
    again = tagged("test_config/cell")(defined("Cell", "a_notebook"))
    assert type(decode({"type": "test_config/cell"})) is again


def test_a_file_that_is_run_and_imported_is_one(monkeypatch):
    monkeypatch.setattr(config, "_TYPES", dict(config._TYPES))
    for name in ("a_script", "package.a_script"):
        module = types.ModuleType(name)
        module.__file__ = "/package/a_script.py"
        monkeypatch.setitem(sys.modules, name, module)
        tagged("test_config/script")(defined("Script", name))


def test_a_type_that_is_no_name_is_unknown():
    with pytest.raises(ConfigError, match=r"config\.a: unknown type \['condot'\]"):
        decode({"a": {"type": ["condot"]}})
