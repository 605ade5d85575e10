"""Model folders: `config.json`, `model.safetensors` and a card.

`config.json` is type-tagged; an unknown key is an error. It records the coupling of the training
pairs unless these were independent, and names the modules of types that are not feller's own: the
caller must import these, never the file. Weights are safetensors, loaded strictly after their
checksum is compared. There is no pickle anywhere.
"""

import json
import math
import textwrap
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from feller.core.cards import ModelCard, card_of, keep_card
from feller.core.config import ConfigError, decode, encode, fits, foreign_homes, type_of
from feller.core.couplings import Coupling, IndependentCoupling, coupling_of, set_coupling
from feller.core.devices import pick_device
from feller.core.domains import KNOWN_DOMAINS, RegistryError, domain_of, resolve
from feller.core.errors import OneLineError
from feller.core.files import digest, keep_others, published, read_json
from feller.core.sizes import SizeError, build_within

__all__ = [
    "CheckpointError", "checked_weights", "is_finite", "load_model", "load_weights", "model_config",
    "read_config", "save_model", "unfitting",
]  # fmt: skip

FORMAT = 1

# What building a network of senseless sizes raises.
_MISFITS = (
    ArithmeticError, AttributeError, LookupError, MemoryError, RuntimeError, TypeError, ValueError,
)  # fmt: skip


class CheckpointError(OneLineError, ValueError):
    """A model folder is incomplete, damaged or inconsistent."""


def save_model(
    model: Any,
    folder: str | Path,
    *,
    card: ModelCard | None = None,
    dtype: torch.dtype | None = None,
) -> Path:
    """Write a model folder; an old one of the same name stays until the new one is complete.

    Other files in an old one, such as notes or `.git`, are kept.

    Args:
        model: A domain's model, with a `config`, and with a `coupling` unless it is independent.
        folder: Where to write.
        card: The card; by default the one the model was loaded with, without its figures if the
            weights have changed since, or else a bare one.
        dtype: Type in which weights are stored, such as `torch.float16` for half the size; they are
            loaded in the type of the model. By default unchanged.

    Raises:
        CheckpointError: When the folder exists and is not a model's, the model has no
            configuration, or weights are not finite or too large for the dtype.
        ConfigError: When its configuration has a value of the wrong type, and could not be loaded.
        OSError: When it cannot be written.
    """
    folder = Path(folder)
    _check_target(folder)
    if getattr(model, "config", None) is None or not hasattr(model, "state_dict"):
        raise CheckpointError(
            f"a {type(model).__name__} has no configuration to build it of: keep its state_dict "
            "with torch.save, or let feller.core.train make the model (OwnModel)"
        )
    if bad := [name for name, p in model.named_parameters() if not is_finite(p)]:
        raise CheckpointError(f"{bad[0]} is not finite: {folder} is not written")
    encoded = encode(model.config)
    decode(encoded, where=type(model.config).__name__)
    if card is None:
        card = card_of(model, folder.name)
    # A clone each: safetensors refuses tied weights.
    tensors = {k: _stored(v, dtype, k) for k, v in model.state_dict().items()}
    with published(folder) as fresh:
        weights = fresh / "model.safetensors"
        save_file(tensors, weights)
        weights.chmod(0o644)  # safetensors writes for its owner alone
        config = {"format": FORMAT, "model": encoded, "sha256": digest(weights)}
        if (coupling := coupling_of(model)) != IndependentCoupling():
            config["coupling"] = encode(coupling)
        if homes := foreign_homes(config):
            config["modules"] = homes
        (fresh / "config.json").write_text(json.dumps(config, indent=2) + "\n")
        card.write(fresh)
        keep_others(folder, fresh)
    return folder


def load_model(folder: str | Path, *, device: str = "cpu") -> Any:
    """Build the model of a folder and load its weights.

    Args:
        folder: The model folder.
        device: Where to put the model; `auto` for an accelerator if there is one.

    Raises:
        CheckpointError: When a file is missing, or its content is not what the configuration says.
        ConfigError: When the configuration has an unknown type or field.
    """
    folder = Path(folder)
    file, config = folder / "config.json", read_config(folder)
    recipe = _described(config, file)
    model = _build(recipe, checked_weights(folder), file)
    load_weights(model, folder)
    if "coupling" in config:
        set_coupling(model, _coupling(config["coupling"], file))
    keep_card(model, ModelCard.read(folder))
    return model.to(pick_device(device)).eval()


def model_config(folder: str | Path) -> Any:
    """Return what the model of a folder is made of.

    Raises:
        CheckpointError: When its file is missing.
        ConfigError: When the configuration has an unknown type or field.
    """
    file = Path(folder) / "config.json"
    return _described(read_config(file.parent), file)


def load_weights(model: Any, folder: str | Path) -> None:
    """Load the weights of a model folder into a model of the same architecture.

    Raises:
        CheckpointError: When they are missing, corrupt, or those of another network.
    """
    weights = checked_weights(Path(folder))
    try:
        model.load_state_dict(load_file(weights))
    except (RuntimeError, SafetensorError) as error:
        raise unfitting(weights, error) from None


def unfitting(weights: Path, error: Exception) -> CheckpointError:
    """Return the error that weights are those of another network, in one line."""
    first = str(error).splitlines()[1 if "\n" in str(error) else 0].strip()
    reason = textwrap.shorten(first, 200, placeholder=" ...")
    return CheckpointError(f"{weights} does not fit the network: {reason}")


def checked_weights(folder: Path) -> Path:
    """Return the weight file of a folder, after checking its SHA-256 in the configuration.

    Raises:
        CheckpointError: When it is missing, or has another SHA-256.
    """
    config, weights = read_config(folder), folder / "model.safetensors"
    if not weights.is_file():
        raise CheckpointError(f"{weights} is missing")
    if (found := digest(weights)) != config["sha256"]:
        raise CheckpointError(
            f"{weights} is corrupt: its SHA-256 is {found}, config.json has {config['sha256']!r}"
        )
    return weights


def read_config(folder: Path) -> dict[str, Any]:
    """Return what `config.json` holds: `format`, `model` with its `type`, `sha256`, any `coupling`.

    Raises:
        CheckpointError: When it is missing, or is not the configuration of a feller model.
    """
    file = folder / "config.json"
    if not file.is_file():
        raise CheckpointError(f"{file} is missing: {folder} is not a model folder")
    try:
        config = read_json(file)
    except ValueError as error:
        raise CheckpointError(f"{file} is not JSON: {error}") from None
    if not fits(config, dict) or "format" not in config:
        raise CheckpointError(
            f"{file} is not that of a feller model: it has no 'format'; "
            f"`feller import {folder} --out DIR` reads those of other libraries"
        )
    if config["format"] != FORMAT:
        raise CheckpointError(
            f"{file} has format {config['format']!r}, this feller reads {FORMAT}: "
            "pip install -U feller-core"
        )
    expected = {"format", "model", "sha256"}
    for key in sorted(config.keys() - {"coupling", "modules"} ^ expected):
        raise CheckpointError(f"{file}: {key!r} is {'missing' if key in expected else 'unknown'}")
    if not fits(config.get("modules", {}), dict):
        raise CheckpointError(f"{file}: 'modules' is not a mapping from types to modules")
    model = config["model"]
    if not (fits(model, dict) and fits(model.get("type"), str)):
        raise CheckpointError(f"{file}: 'model' has no 'type', such as 'images/model'")
    return config


def is_finite(tensor: Tensor) -> bool:
    """Return whether all of a tensor is finite.

    It looks at the extremes, without allocating a tensor: 20 times as fast on a CPU as `isfinite`.

    Example:
        >>> is_finite(torch.zeros(3)), is_finite(torch.tensor([0.0, torch.nan]))
        (True, False)
    """
    if not tensor.numel() or not tensor.is_floating_point():
        return True
    return all(bool(end.isfinite()) for end in tensor.detach().aminmax())


def _check_target(folder: Path) -> None:
    """Check that a folder to write to is new or a model folder."""
    if not folder.exists():
        return
    try:
        read_config(folder)
    except CheckpointError:
        error = f"{folder} exists and is not a model folder: choose another"
        raise CheckpointError(error) from None


def _stored(tensor: Tensor, dtype: torch.dtype | None, name: str) -> Tensor:
    tensor = tensor.detach().cpu().contiguous().clone()
    if dtype is None or not tensor.is_floating_point():
        return tensor
    if not is_finite(stored := tensor.to(dtype)):
        raise CheckpointError(f"{name} has values that {dtype} does not hold: store it as it is")
    return stored


def _described(config: dict[str, Any], file: Path) -> Any:
    """Return what a configuration describes, of types known in this process or an installed one."""
    homes = config.get("modules", {})
    try:
        _import_type(config["model"]["type"], homes)
        for tag, home in homes.items():
            if type_of(tag) is None:
                raise CheckpointError(
                    f"{file}: {tag!r} is a type of the module {home}: import {home} first"
                )
        return decode(config["model"], where=str(file))
    except (CheckpointError, ConfigError):
        raise
    except _MISFITS as error:
        raise _undescribed(file, error) from None


def _import_type(tag: str, homes: dict[str, str]) -> None:
    """Import the domain of the type in a model's configuration, unless the type is your own."""
    if tag == "core/model":
        resolve("feller.core.own_models:OwnModelConfig")  # which models import
        return
    try:
        domain_of(tag, "type").import_models()
    except RegistryError:
        own = hasattr(type_of(tag), "build") or tag in homes
        if tag.split("/", 1)[0] in KNOWN_DOMAINS or not own:
            raise


def _build(recipe: Any, weights: Path, file: Path) -> Any:
    """Make the model, with fresh weights and of about as many numbers as there are weights."""
    limit = _numbers(weights)
    try:
        # Weights that are made twice, to be tied or put in other words, are stored once.
        return build_within(recipe.build, 2 * limit + 100_000)
    except SizeError as error:
        raise _undescribed(file, f"{error}, the weights hold {limit:,}") from None
    except _MISFITS as error:
        raise _undescribed(file, error) from None


def _numbers(weights: Path) -> int:
    """Return how many numbers a file of weights says it holds."""
    try:
        with safe_open(weights, "pt") as stored:
            sizes = (stored.get_slice(name).get_shape() for name in stored.keys())  # noqa: SIM118
            return sum(math.prod(size) for size in sizes)
    except SafetensorError as error:
        raise CheckpointError(f"{weights} does not fit the network: {error}") from None


def _undescribed(file: Path, error: object) -> CheckpointError:
    first = " ".join(str(error).split())
    return CheckpointError(f"{file} describes no model that can be built here: {first}")


def _coupling(config: Any, file: Path) -> Coupling:
    coupling = decode(config, where=f"{file}.coupling")
    if not fits(coupling, Coupling):
        raise CheckpointError(f"{file}: 'coupling' is not a coupling, such as 'minibatch_ot'")
    return coupling
