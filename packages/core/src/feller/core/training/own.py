"""Training your own network on your own data from Python: `feller.core.train`."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor, nn
from torch.utils.data import default_collate

from feller.core.checkpoint import load_model
from feller.core.conditions import dropped
from feller.core.config import encode, tagged
from feller.core.couplings import couple
from feller.core.heads import FlowHead, Head
from feller.core.losses import Loss, Objective
from feller.core.models import takes_condition
from feller.core.networks import check_rebuilt, network_config
from feller.core.nn.modes import evaluating
from feller.core.own_models import OwnModel, OwnModelConfig, TensorCodec
from feller.core.pair_data import PairData
from feller.core.pairs import is_pair, states_of
from feller.core.paths import ConditionalPath, GaussianPath
from feller.core.spaces import Euclidean
from feller.core.training.config import DataConfig, Optimizer, Recipe, Training
from feller.core.training.streams import Stream, is_stream
from feller.core.training.trainer import train as train_recipe

__all__ = ["GivenData", "train"]

T = TypeVar("T")


@tagged("given_data")
@dataclass(frozen=True)
class GivenData(DataConfig):
    """Data given from Python: a recipe describes them, but does not contain them.

    Attributes:
        kind: What they are.
    """

    kind: str = ""
    _items: Any = field(default=None, init=False, repr=False, compare=False)

    _held_out: Any = field(default=None, init=False, repr=False, compare=False)

    def build(self, split: Literal["train", "test"] = "train") -> Any:
        """Return the data, those that are held out where these are asked for and known.

        Raises:
            ValueError: When they are not those of this process.
        """
        if self._items is None:
            raise ValueError(f"the data ({self.kind}) were given in Python: they are not in a file")
        return self._items if split == "train" or self._held_out is None else self._held_out

    @staticmethod
    def of(data: Any, held_out: Any = None) -> "GivenData":
        """Return a tensor, a data set of torch or a stream as data of a recipe.

        Args:
            data: The data.
            held_out: Other data, on which the loss is validated.

        Raises:
            ValueError: When it has no items, or cannot be iterated over again and again.
        """
        items = _given(data)
        name = type(data).__name__
        found = GivenData(name if is_stream(data) else f"{name} of {len(data)}")
        object.__setattr__(found, "_items", items)
        object.__setattr__(found, "_held_out", None if held_out is None else _given(held_out))
        return found


def _given(data: Any) -> Any:
    """Return data of a program as a data set, or a stream."""
    name = type(data).__name__
    if isinstance(data, PairData):
        return data
    if is_stream(data):
        return data if isinstance(data, Stream) else Stream(data)
    if not (hasattr(data, "__len__") and hasattr(data, "__getitem__")):
        raise ValueError(f"data are a tensor, a torch Dataset or a stream of items, not {name}")
    if not len(data):
        raise ValueError(f"the data are empty: {name} of length 0")
    return _Rows(data) if isinstance(data, Tensor) else _Items(data)


@dataclass(frozen=True)
class _Rows:
    """The rows of a tensor."""

    data: Tensor

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, indices: list[int]) -> Tensor:
        return self.data[indices]


@dataclass(frozen=True)
class _Items:
    """The items of a data set of torch, a batch at a time."""

    data: Any

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, indices: list[int]) -> Any:
        fetch = getattr(self.data, "__getitems__", None)
        return default_collate(fetch(indices) if fetch else [self.data[i] for i in indices])


def train(
    data: Any,
    network: nn.Module,
    out: str | Path,
    *,
    path: ConditionalPath | None = None,
    head: Head | None = None,
    objective: Loss | None = None,
    **settings: Any,
) -> OwnModel:
    """Train your own network on your own data, or resume the run in the folder.

    The folder is like that of `feller train`: log, checkpoints, the averaged weights and their
    card. The returned model is loaded from it, as by `feller.core.load(out)`.

    Args:
        data: Data points, batch first; or a torch `Dataset` with a length, whose items are a data
            point, or a data point and its condition (a tensor, a number, or a dict of them); or
            `PairData`, with the coupling `GivenPairs()` where their rows belong together; or a
            stream of such items or of one or two columns, such as an `IterableDataset` of torch or
            of `datasets`; `Stream(data, block=100_000)` shuffles more of it at once.
        network: Called as `network(x, t)` or, where its `forward` takes a third argument,
            `network(x, t, condition)`, with x `(b, *event)` and t `(b,)`, 0 noise and 1 data. With
            `condition_drop` it is also called without a condition: class -1, or NaN (`torch.where(y
            < 0, classes, y)` turns that into an extra class). Weights of a trained network are
            kept. A network with arguments must be marked `feller.core.buildable`.
        out: The folder.
        path: The conditional path; by default the Gaussian one, a straight line from noise to data.
        head: How the network's output is read; a velocity by default.
        objective: The loss; by default the squared error of the velocity.
        settings: Any field of `Training` (`steps`, `batch_size`, `condition_drop`, ...) or of
            `Optimizer` (`lr`, ...), `times` and `coupling` of `Recipe`, `cpu` and `new_data`
            as the flags of `feller train`, and `held_out`, data for `validate_every`.

    Raises:
        ValueError: When network, path and data do not match, the network cannot be rebuilt from a
            saved configuration, or the folder holds something else.
        TypeError: On an unknown setting.
        TimeoutError: When `max_minutes` is over; the same call resumes.

    Example:
        >>> points = torch.randn(256, 2).sign()
        >>> class Network(nn.Module):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.layer = nn.Linear(3, 2)
        ...     def forward(self, x, t):
        ...         return self.layer(torch.cat([x, t[:, None]], 1))
        >>> model = train(points, Network(), "runs/points", steps=500)  # doctest: +SKIP
        >>> model.sample(64).shape  # doctest: +SKIP
        torch.Size([64, 2])
    """
    flags = _split(settings)
    given = GivenData.of(data, flags["run"].pop("held_out", None))
    z, condition = states_of(_two(given.build()), TensorCodec().encode)
    config = OwnModelConfig(
        network=network_config(network),
        path=GaussianPath(Euclidean(z.ndim - 1)) if path is None else path,
        head=FlowHead() if head is None else head,
        shape=tuple(z.shape[1:]),
    ).starting(network)
    recipe = Recipe(model=config, data=given, objective=objective or Objective(), **flags["recipe"])
    encode(recipe)  # what it cannot hold is refused now
    _try(recipe, z, condition)
    folder = train_recipe(recipe, out, **flags["run"])
    if folder is None:
        raise TimeoutError(
            f"max_minutes is over, the state is saved in {out}: call again to resume"
        )
    return load_model(folder)


def _split(settings: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return settings as those of the recipe and of the run."""
    parts = {"training": Training(), "optimizer": Optimizer()}
    names = {part: [f.name for f in fields(value)] for part, value in parts.items()}
    direct = {"recipe": ["times", "coupling", *parts], "run": ["cpu", "new_data", "held_out"]}
    known = [name for group in (names | direct).values() for name in group]
    if unknown := [name for name in settings if name not in known]:
        near = difflib.get_close_matches(unknown[0], known, n=2)
        hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(known)}"
        raise TypeError(f"train has no setting {unknown[0]!r}; {hint}")

    def chosen(group: list[str]) -> dict[str, Any]:
        return {name: settings[name] for name in group if name in settings}

    recipe = {p: replace(value, **chosen(names[p])) for p, value in parts.items()}
    return {"recipe": recipe | chosen(direct["recipe"]), "run": chosen(direct["run"])}


def _two(data: Any) -> Any:
    """Return a batch of two items, or of the only one."""
    return data.first(2) if isinstance(data, Stream) else data[[0, min(1, len(data) - 1)]]


def _try(recipe: Recipe, z: Any, condition: Any) -> None:
    """Ask the network once, and make it again once, before anything is written.

    With `condition_drop` the first of both rows says nothing.
    """
    config: Any = recipe.model
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = config.build()
        device = next((p.device for p in model.parameters()), z.device)
        model, t = model.cpu(), torch.full((len(z),), 0.5)
        batch = couple(model.path, recipe.coupling, z, None, condition)
        z = model.path.given(batch.pair.x_0, batch.pair.x_1)
        x, condition = model.path.sample(z, t, x_0=batch.pair.x_0), batch.condition
        if recipe.training.condition_drop:
            condition = dropped(condition, torch.arange(len(t)) == 0)
        try:
            with evaluating(model):
                recipe.objective.by_part(model, model.path, z, t, x, condition=condition)
        except Exception as error:  # a network of one's own may raise anything
            called = (
                "network(x, t, condition)" if takes_condition(model.network) else "network(x, t)"
            )
            shown = f"with x {tuple(x.shape)} and t {tuple(t.shape)}"
            shown += ", a row's condition -1 or NaN" * bool(recipe.training.condition_drop)
            reason = " ".join(str(error).split()) or type(error).__name__
            name = type(model.network).__name__
            raise ValueError(f"{name}, called as {called} {shown}: {reason:.300}") from error
        _check_start(model.path, z, batch.pair.x_0)
        x = model.model.cast(x)  # as the model asks it
        asked = (x, t, condition) if takes_condition(model.network) else (x, t)
        check_rebuilt(model.network, config.network, *asked)
        model.to(device)


def _check_start(path: ConditionalPath, z: Any, x_0: Tensor) -> None:
    """Check that a path starts at its source, except for data that its schedule leaves at t = 0."""
    start = path.sample(z, torch.zeros(len(x_0)), x_0=x_0)
    data = z.x_1 if is_pair(z) else z
    most = 0.05 * float(1 + data.abs().max()) if data.is_floating_point() else 0.0
    if not (gap := float((start - x_0).abs().max())) <= most:
        raise ValueError(
            f"a state of {type(path).__name__} at t = 0 is {gap:.3g} from its source sample, where "
            "samples start: it is x_0 itself (feller.core.testing.check_path)"
        )
