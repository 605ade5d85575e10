"""Devices by name."""

import torch

__all__ = ["pick_device"]


def pick_device(device: str) -> torch.device:
    """Return a device by name; `auto` is an accelerator if there is one.

    Raises:
        ValueError: When there is none of that name.
    """
    if device == "auto":
        # A build for CUDA names an accelerator even where there is none. One without double
        # precision, which draws and paths need, is for those who ask for it.
        found = torch.accelerator.is_available() and torch.accelerator.current_accelerator()
        return found if found and found.type != "mps" else torch.device("cpu")
    try:
        return torch.empty(0, device=device).device
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"no device {device!r} here: {str(error).splitlines()[0]}") from None
