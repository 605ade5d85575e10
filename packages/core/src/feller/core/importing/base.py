"""What an importer is, and what it makes of a folder."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from feller.core.importing.folder import Foreign

__all__ = ["Imported", "Importer", "Read"]


@dataclass(frozen=True, kw_only=True)
class Imported:
    """What an importer returns for a folder.

    Attributes:
        config: The configuration of the feller model.
        state: The weights under feller's names; None if the configuration already loads them.
        reading: How the model was read, such as its path, head and schedule, and what was left out:
            a sentence for each topic.
    """

    config: Any
    state: Mapping[str, Tensor] | None
    reading: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Importer:
    """A family of models of another library.

    Attributes:
        name: What it calls itself, such as `UNet2DModel of diffusers`.
        recognises: Whether a folder holds one, by its configuration or the names of its weights.
        convert: Makes a feller model, or raises a one-line `CheckpointError`.
    """

    name: str
    recognises: Callable[[Foreign], bool]
    convert: Callable[[Foreign], Imported]


@dataclass(frozen=True)
class Read:
    """An imported model.

    Attributes:
        model: The feller model, in evaluation mode.
        family: The name of its importer.
        reading: See `Imported`.
        licence: The licence that the folder's page states; `unknown` if it states none.
    """

    model: Any
    family: str
    reading: Mapping[str, str]
    licence: str
