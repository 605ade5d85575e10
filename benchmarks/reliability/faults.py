"""Whether anything that breaks gives a wrong model, or loses a state that was there.

    python benchmarks/reliability/faults.py --domain images [--places 100]

Bits flipped and files cut in the newest checkpoint, a disk that is full (a limit on the size of
files), two runs in one folder at once, and gradients that are infinite, with each optimizer,
clipped or not. Each has to end in one line, or to go on from the state before, and the model has to
be, byte for byte, that of a run that nothing touched.
"""

import argparse
import contextlib
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from recipes import DOMAINS, tiny

from feller.core.files import locked
from feller.core.training import Recipe, loop, trainer
from feller.core.training.checkpointing import latest_checkpoint
from feller.core.training.trainer import train


def model_of(recipe: Recipe, out: Path) -> bytes:
    """Train, and return the file of the model's weights."""
    with (
        Path(os.devnull).open("w") as nowhere,
        contextlib.redirect_stdout(nowhere),
        contextlib.redirect_stderr(nowhere),
    ):
        model = train(recipe, out, cpu=True)
    assert model is not None
    return (model / "model.safetensors").read_bytes()


def refusal(recipe: Recipe, out: Path) -> str:
    """Return the line that a training ends with, or a fault where it is none."""
    try:
        model_of(recipe, out)
    except (ValueError, OSError) as error:
        return "" if "\n" not in str(error) else f"more than a line: {error}"
    return "nothing was said"


def damage(recipe: Recipe, whole: Path, places: int, rng: random.Random) -> Iterator[str]:
    """Flip bits and cut files of the newest checkpoint; the run goes on from the one before."""
    expected = (whole / "model" / "model.safetensors").read_bytes()
    for place in range(2 * places):
        out = whole.with_name("damaged")
        shutil.copytree(whole, out)
        shutil.rmtree(out / "model")
        newest = latest_checkpoint(out / "checkpoints")
        assert newest is not None
        file = rng.choice(sorted(newest.iterdir()))
        content = bytearray(file.read_bytes())
        position = rng.randrange(len(content))
        if place % 2:
            content[position] ^= 1 << rng.randrange(8)
        else:
            del content[position:]
        file.write_bytes(content)
        if model_of(recipe, out) != expected:
            yield f"{file.name} {'flipped' if place % 2 else 'cut'} at {position}: another model"
        shutil.rmtree(out)


def full_disk(recipe: Recipe, home: Path, expected: bytes) -> Iterator[str]:
    """Run out of room at each of several sizes; with room again, it goes on."""
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    states = (home / "whole" / "checkpoints").rglob("*.safetensors")
    largest = max(file.stat().st_size for file in states)
    for room in (largest // 20, largest // 2, largest - 1):
        out = home / f"full{room}"
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, before[1]))
        try:
            said = refusal(recipe, out)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        if said:
            yield f"a disk with {room} bytes: {said}"
        if model_of(recipe, out) != expected:
            yield f"after a disk with {room} bytes: another model"
    signal.signal(signal.SIGXFSZ, handler)


def two_at_once(recipe: Recipe, home: Path, expected: bytes) -> Iterator[str]:
    """Start a run in a folder that another has."""
    out = home / "two"
    with locked(out):
        patient, trainer.locked = trainer.locked, lambda folder: locked(folder, patience=0.1)
        said = refusal(recipe, out)
        trainer.locked = patient
    if said or model_of(recipe, out) != expected:
        yield f"two runs at once: {said or 'another model'}"


def infinite(recipe: Recipe, home: Path) -> Iterator[str]:
    """Make the loss of some steps, and of all, infinite."""
    plain = loop.losses_of_rows
    for name in ("adamw", "muon"):
        for clip in (0.0, 1.0):
            optimizer = replace(recipe.optimizer, name=name, clip=clip)
            asked = replace(recipe, optimizer=optimizer)
            for steps, ends in ((range(3, 5), False), (range(3, 10**6), True)):

                def wild(run: Any, batch: Any, rows: range, steps: range = steps) -> Any:
                    factor = torch.inf if run.step in steps else 1.0
                    return {k: loss * factor for k, loss in plain(run, batch, rows).items()}

                loop.losses_of_rows = wild
                out = home / f"{name}-{clip}-{ends}"
                try:
                    said = refusal(asked, out)
                finally:
                    loop.losses_of_rows = plain
                fine = not said if ends else said == "nothing was said"
                if not fine or (out / "model").exists() == ends:
                    yield f"{name}, clip {clip}, {'all' if ends else 'some'} infinite: {said}"


def main() -> int:
    """Break things, and say what was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--domain", choices=DOMAINS, default="points", help="what is trained")
    parser.add_argument("--places", type=int, default=100, help="bits, and cuts (default: 100)")
    parser.add_argument("--seed", type=int, default=0, help="chooses the places (default: 0)")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        home, rng = Path(name), random.Random(asked.seed)
        recipe = tiny(asked.domain, home, 8)
        expected = model_of(recipe, home / "whole")
        faults = [
            *damage(recipe, home / "whole", asked.places, rng),
            *full_disk(recipe, home, expected),
            *two_at_once(recipe, home, expected),
            *infinite(replace(recipe, training=replace(recipe.training, bad_steps=4)), home),
        ]
    print(f"{asked.domain}: {asked.places} bits, {asked.places} cuts, {len(faults)} faults")
    print("\n".join(faults))
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
