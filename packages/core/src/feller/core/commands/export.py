"""`feller export NAME --to LIBRARY --out DIR`: a model in the files of another library."""

import argparse
from collections.abc import Sequence
from pathlib import Path

__all__ = ["run"]


def run(argv: Sequence[str]) -> None:
    """Write a model as a folder that another library reads, and say how it is to be read."""
    parser = argparse.ArgumentParser(
        "feller export",
        description="Export a model to a folder that another library reads: U-Nets for diffusers, "
        "masked language models for transformers.",
    )
    parser.add_argument(
        "model", help="a model with a diffusers or transformers network, a folder, or a run"
    )
    parser.add_argument(
        "--to", required=True, metavar="LIBRARY",
        help="diffusers or transformers (default: none, required)",
    )  # fmt: skip
    parser.add_argument(
        "--out", type=Path, required=True, help="the folder to write (default: none, required)"
    )
    options = parser.parse_args(argv)
    from feller.core.exporting import export_model
    from feller.core.registry import load

    reading = export_model(load(options.model), options.to, options.out)
    for name, text in reading.items():
        print(f"{name:12} {text}")
    print(f"{options.out} is ready for {options.to}")
