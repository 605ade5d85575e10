"""Files of `torch.save`: read by a process of its own, which runs nothing that they hold.

The process (`feller.core.importing.unpickle`) loads with `weights_only`, has a limit of memory and
of time, and writes what it finds as safetensors, which is read here.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import Tensor

from feller.core.checkpoint import CheckpointError

__all__ = ["Unpickled", "read_pickle"]

SECONDS = 600
"""How long the process may take."""

WAY = "where you trust it, write its tensors with safetensors.torch.save_file"


@dataclass(frozen=True)
class Unpickled:
    """What a pickle holds: see `Stored` of `feller.core.importing.weights`."""

    tensors: Mapping[str, Tensor]
    entry: str
    fields: Mapping[str, Any]


def read_pickle(file: Path, entry: str = "", *, seconds: float = SECONDS) -> Unpickled:
    """Return the tensors of a file that `torch.save` wrote.

    Args:
        file: The file.
        entry: The part of it to take.
        seconds: How long it may take.

    Raises:
        CheckpointError: When it holds more than tensors and plain values, is damaged, or takes too
            long or too much memory.
    """
    with tempfile.TemporaryDirectory() as home:
        out = Path(home, "tensors.safetensors")
        command = [sys.executable, "-P", "-m", "feller.core.importing.unpickle"]
        try:
            done = subprocess.run(
                [*command, str(file.resolve()), str(out), entry],
                cwd=home,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=seconds,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise CheckpointError(f"{file} is not read in {seconds:.0f} seconds: {WAY}") from None
        if done.returncode:
            reason = (done.stderr.strip().splitlines() or ["its process was ended"])[-1]
            raise CheckpointError(f"{file} cannot be read as tensors alone ({reason}): {WAY}")
        try:
            with safe_open(out, "pt") as found:
                tensors = {name: found.get_tensor(name) for name in found.keys()}  # noqa: SIM118
                about = found.metadata() or {}
        except (OSError, SafetensorError) as error:
            raise CheckpointError(f"{file} cannot be read: {error}") from None
        return Unpickled(tensors, about.get("entry", ""), json.loads(about.get("fields", "{}")))
