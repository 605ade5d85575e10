"""`python -m feller.core.importing.unpickle FILE OUT ENTRY`: a pickle of tensors as safetensors.

It runs in a process of its own, with limits, since the file is not trusted. `weights_only` lets
torch make tensors and plain values, and call nothing.
"""

import argparse
import json
import resource
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from feller.core.config import fits

__all__ = ["chosen", "main"]

# Averaged weights first.
_ENTRIES = (
    *("ema_model", "model_ema1", "model_ema", "ema", "state_dict", "model_state_dict"),
    *("model", "net_model", "module", "net"),
)
_ROOM = 2 << 30


def main(argv: list[str]) -> int:
    """Read a file and write its tensors; return the exit code, 2 after a line on why not."""
    file, out, entry = Path(argv[0]), Path(argv[1]), argv[2]
    _limit(file)
    try:
        with torch.serialization.safe_globals([argparse.Namespace]):
            held = torch.load(file, map_location="cpu", weights_only=True)
        name, tensors = chosen(held, entry)
        fields = held if fits(held, dict) else {}
        options = fields.get("args")  # those of the program that trained it
        fields = {**(vars(options) if fits(options, argparse.Namespace) else {}), **fields}
        plain = {k: v for k, v in fields.items() if fits(k, str) and fits(v, int | float | str)}
        whole = {k: v.detach().contiguous().clone() for k, v in tensors.items()}
        save_file(whole, out, {"entry": name, "fields": json.dumps(plain)})
    except Exception as error:  # a damaged file has errors of every kind
        print(_reason(error), file=sys.stderr)
        return 2
    return 0


def chosen(held: Any, entry: str = "") -> tuple[str, Mapping[str, Tensor]]:
    """Return the tensors of what was loaded, and the name of the part that they are.

    Args:
        held: Tensors by name, or parts by name of which one is such.
        entry: The part to take; by default averaged weights before others.

    Raises:
        ValueError: When no part is tensors by name, or not the one asked for.

    Example:
        >>> chosen({"model": {"a": torch.zeros(1)}, "ema": {"a": torch.ones(1)}, "step": 3})
        ('ema', {'a': tensor([1.])})
    """
    parts = {"": held, **held} if fits(held, dict) else {"": held}
    states = {name: part for name, part in parts.items() if _is_state(part)}
    wanted = (entry,) if entry else ("", *_ENTRIES)
    for name in wanted:
        if name in states:
            return name, states[name]
    some = ", ".join(sorted(map(str, states))) or "none"
    raise ValueError(f"no part {entry!r} of tensors by name; there are {some}: --set entry=NAME")


def _is_state(part: Any) -> bool:
    if not fits(part, Mapping) or not part:
        return False
    return all(fits(k, str) and fits(v, Tensor) for k, v in part.items())


def _limit(file: Path) -> None:
    """Let this process have memory for the file a few times over, and no more."""
    status = Path("/proc/self/status")
    if not status.exists():  # the limit is of what Linux counts
        return
    lines = status.read_text().splitlines()
    used = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmSize"))
    most = used + 6 * file.stat().st_size + _ROOM
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


def _reason(error: Exception) -> str:
    """Return a line: torch's own is a page on how to be careless."""
    text = " ".join(str(error).split()) or type(error).__name__
    found = text.partition("WeightsUnpickler error: ")[2] or text
    return found.partition(" Please use")[0].partition(" Check the documentation")[0][:200]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
