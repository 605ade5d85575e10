"""Images into files: a grid, an array, or a folder of images, by the suffix."""

import os
import re
from pathlib import Path

import numpy as np
from jaxtyping import Int, UInt8
from torch import Tensor

from feller.images.plots import MOST_CHANNELS, save_classes, save_grid

__all__ = ["check_target", "write_images"]

_ENDINGS = (".png", ".webp", ".npz")


def check_target(out: Path, channels: int = 1) -> None:
    """Reject a target that cannot be written, before anything is computed.

    Args:
        out: See `write_images`.
        channels: Of the images.

    Raises:
        ValueError: When the suffix is unknown, a folder has files in it, a file is a folder, its
            folder cannot be written to, or a PNG does not hold so many channels.
    """
    if out.name in _ENDINGS:
        raise ValueError(f"{out} is a suffix without a name: choose another --out")
    if out.suffix not in (*_ENDINGS, ""):
        raise ValueError(
            "--out ends in .png (a grid), .webp (a film), .npz or nothing (a folder), not "
            f"{out.suffix}"
        )
    if out.suffix != ".npz" and channels > MOST_CHANNELS:
        raise ValueError(
            f"PNGs and films have up to {MOST_CHANNELS} channels, these images {channels}: "
            "give an .npz"
        )
    if out.suffix and out.is_dir():
        raise ValueError(f"{out} is a folder: choose another --out")
    if not out.suffix and out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ValueError(f"{out} exists already: choose another --out")
    out.parent.mkdir(parents=True, exist_ok=True)
    if not os.access(out.parent, os.W_OK):
        raise ValueError(f"{out.parent} cannot be written to: choose another --out")


def write_images(
    images: UInt8[Tensor, "n h w c"],
    labels: Int[Tensor, " n"] | None,
    out: Path,
    classes: tuple[str, ...],
) -> None:
    """Write images.

    Args:
        images: The images.
        labels: Their labels, where they were asked for.
        out: `.png` for a grid, with labels a column a class, `.npz` for arrays `images` and
            `labels`, no suffix for a folder of PNGs.
        classes: The names of the labels.
    """
    check_target(out, images.shape[-1])
    if out.suffix == ".png" and labels is not None:
        save_classes(images, labels, out, classes)
    elif out.suffix == ".png":
        save_grid(images, out)
    elif not out.suffix:
        _write_folder(images, labels, out, classes)
    elif labels is None:
        np.savez_compressed(out, images=images.numpy())
    else:
        np.savez_compressed(out, images=images.numpy(), labels=labels.numpy())


def _write_folder(
    images: Tensor, labels: Tensor | None, out: Path, classes: tuple[str, ...]
) -> None:
    from PIL import Image

    out.mkdir(exist_ok=True)
    digits = len(str(len(images) - 1))
    for i, image in enumerate(images):
        name = "" if labels is None else "_" + re.sub(r"[^\w-]+", "-", classes[int(labels[i])])
        Image.fromarray(image.squeeze(-1).numpy()).save(out / f"{i:0{digits}}{name}.png")
