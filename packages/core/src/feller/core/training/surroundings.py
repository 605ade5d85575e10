"""What a session of a run was trained with: versions, code and machine.

None of it decides what a run is, for runs move from machine to machine; all of it explains why two
runs differ.
"""

import os
import platform
import subprocess
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import torch

__all__ = ["surroundings"]

_OTHERS = ("accelerate", "numpy", "safetensors", "torchvision", "transformers", "biotite")


def surroundings(device: torch.device) -> dict[str, Any]:
    """Return versions, the state of the git repository of the current folder, and the hardware.

    Args:
        device: Where the run takes its steps.

    Example:
        >>> found = surroundings(torch.device("cpu"))
        >>> found["hardware"]["device"]
        'cpu'
    """
    return {
        "python": platform.python_version(),
        **_versions(),
        "torch": str(torch.__version__),
        "git": _git(Path.cwd()),
        "hardware": _hardware(device),
    }


def _versions() -> dict[str, str]:
    found = {str(each.metadata["Name"]): each.version for each in distributions()}
    ours = [name for name in found if name.split("-")[0] == "feller"]
    return {name: found[name] for name in sorted({*ours, *_OTHERS} & found.keys())}


def _git(folder: Path) -> dict[str, Any] | None:
    """Return the commit, and whether files that git knows have changed since; None without git."""
    try:
        commit = _said_by_git(folder, "rev-parse", "HEAD")
        changed = _said_by_git(folder, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.SubprocessError):
        return None
    return {"commit": commit, "changed": bool(changed)}


def _said_by_git(folder: Path, *words: str) -> str:
    command = ["git", "-C", str(folder), "--no-optional-locks", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=5, check=True)
    return done.stdout.strip()


def _hardware(device: torch.device) -> dict[str, Any]:
    found = {
        "machine": platform.machine(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "device": device.type,
    }
    if device.type == "cuda":
        found["device_name"] = torch.cuda.get_device_name(device)
    return found


def _processor() -> str:
    """Return the name of the processor, where Linux says it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor()
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor()
