"""What an importer is, and what it makes of a folder."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from feller.core.importing.folder import Foreign

__all__ = ["Imported", "Importer", "Read"]


@dataclass(frozen=True, kw_only=True)
class Imported:
    """What an importer makes of a folder.

    Attributes:
        config: The configuration of a model of ours.
        state: The weights under our names; None where the configuration builds with them.
        reading: How the model is now read, such as its path, head and schedule, and what of theirs
            is not held: a sentence by what it is about.
    """

    config: Any
    state: Mapping[str, Tensor] | None
    reading: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Importer:
    """A family of models of others.

    Attributes:
        name: What it calls itself, such as `UNet2DModel of diffusers`.
        recognises: Says whether a folder holds one, by its configuration or the names of its
            weights.
        convert: Makes one of ours, or raises `CheckpointError` in one line.
    """

    name: str
    recognises: Callable[[Foreign], bool]
    convert: Callable[[Foreign], Imported]


@dataclass(frozen=True)
class Read:
    """A model of others that was read.

    Attributes:
        model: Ours, in evaluation mode.
        family: The name of its importer.
        reading: See `Imported`.
        licence: That which the page of the folder states; `unknown` where it states none.
    """

    model: Any
    family: str
    reading: Mapping[str, str]
    licence: str
