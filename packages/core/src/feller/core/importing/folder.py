"""A folder of others: its JSON files, what its user adds to them, and its weights."""

import re
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from feller.core.checkpoint import CheckpointError
from feller.core.config import fits
from feller.core.files import read_json
from feller.core.importing.tensors import Tensors
from feller.core.importing.weights import PICKLES, Stored, find_weights, read_names, read_weights

__all__ = ["Foreign"]


class Foreign:
    """A folder, or one file of weights, that another library wrote.

    Args:
        path: The folder, or the file.
        options: Fields that its configuration lacks, or has wrong.

    Raises:
        CheckpointError: When there is no such folder or file.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as home:
        ...     Foreign(home, {"sample_size": 32}).config
        {'sample_size': 32}
    """

    def __init__(self, path: str | Path, options: Mapping[str, Any] | None = None) -> None:
        self.path = Path(path)
        self.options = dict(options or {})
        if not self.path.exists():
            raise CheckpointError(f"{self.path} is neither a folder nor a file")
        self._file = self.path if self.path.is_file() else None
        self.folder = self.path.parent if self._file else self.path

    def json(self, name: str) -> dict[str, Any]:
        """Return what a JSON file of the folder holds; nothing where there is none.

        Raises:
            CheckpointError: When it is not the JSON of named values.
        """
        file = self.folder / name
        if not file.is_file():
            return {}
        try:
            found = read_json(file)
        except (OSError, ValueError) as error:
            raise CheckpointError(f"{file} is not JSON: {error}") from None
        if not fits(found, dict):
            raise CheckpointError(f"{file} holds no named values")
        return found

    @cached_property
    def config(self) -> dict[str, Any]:
        """What `config.json` holds, with the options laid over it."""
        return self.json("config.json") | self.options

    def need(self, name: str, hint: str) -> Any:
        """Return a field of the configuration that the weights do not show.

        Args:
            name: The field.
            hint: A value that it may have, for the error.

        Raises:
            CheckpointError: When neither the configuration nor the options have it.
        """
        if (found := self.config.get(name)) is None:
            raise CheckpointError(
                f"{self.path} does not say its {name}: give --set {name}=VALUE, such as {hint}"
            )
        return found

    @cached_property
    def weights(self) -> Path:
        """The file of the weights, or the index of several.

        Raises:
            CheckpointError: When there is none, or several of which none has a standard name.
        """
        return self._file or find_weights(self.folder)

    @cached_property
    def stored(self) -> Stored:
        """The weights as they are stored; a pickle is read by a process of its own.

        Raises:
            CheckpointError: When they are damaged, not all there, or cannot be read without running
                code.
        """
        return read_weights(self.weights, entry=str(self.options.get("entry", "")))

    @cached_property
    def names(self) -> frozenset[str]:
        """The names of the weights; empty where there are none."""
        try:
            file = self.weights
        except CheckpointError:
            return frozenset()
        return frozenset(self.stored.tensors) if file.suffix in PICKLES else read_names(file)

    def tensors(self, prefix: str = "") -> Tensors:
        """Return the weights, to be taken one by one.

        Args:
            prefix: Cut from the start of their names; what lacks it stays as it is.
        """
        cut = {name.removeprefix(prefix): value for name, value in self.stored.tensors.items()}
        return Tensors(cut, self.weights)

    @property
    def licence(self) -> str:
        """The licence that the head of the folder's page states, or `unknown`."""
        page = self.folder / "README.md"
        if not page.is_file():
            return "unknown"
        head = re.match(
            r"---\n(.*?)\n---", page.read_text(encoding="utf-8", errors="replace"), re.S
        )
        found = re.search(r"^license: *([\w.+-]+) *$", head[1], re.M) if head else None
        return found[1] if found else "unknown"
