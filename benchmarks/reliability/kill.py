"""Whether a run that is killed anywhere, and again, becomes the run that was not.

    python benchmarks/reliability/kill.py --domain images --kills 200

A training of seconds that saves every other step is killed by SIGKILL at random moments and started
again, until it ends; then another begins. After each kill every checkpoint has to be whole, and at
the end the model has to be, byte for byte, and each line of the log but for speeds, those of a run
that nothing touched. Processes are forked of one that has trained already, and so imports nothing
any more: most of a session is work, and half of that is saving. The exit code is 1 where anything
differs.
"""

import argparse
import json
import math
import multiprocessing
import os
import random
import resource
import sys
import tempfile
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import torch
from recipes import DOMAINS, tiny
from tqdm.auto import tqdm

from feller.core.files import verify
from feller.core.training import Recipe
from feller.core.training.checkpointing import checkpoints
from feller.core.training.trainer import train

SPEEDS = ("seconds", "samples_per_second")
HANGS = 300.0
"""Seconds of the clock for a session that takes one."""


def session(recipe: Recipe, out: Path) -> multiprocessing.Process:
    """Start a process that trains."""
    process = multiprocessing.get_context("fork").Process(target=_train, args=(recipe, out))
    process.start()
    return process


def warm(recipe: Recipe, out: Path) -> None:
    """Import what a training imports late, which would be most of each session, and no thread."""
    from torch.utils.tensorboard import SummaryWriter

    assert SummaryWriter
    tqdm.monitor_interval = 0  # its thread
    train(replace(recipe, training=replace(recipe.training, trackers=())), out, cpu=True)
    assert threading.active_count() == 1, "a process that has threads is not forked"


def _train(recipe: Recipe, out: Path) -> None:
    with (out.parent / f"{out.name}.said").open("a") as said:
        for number in (1, 2):
            os.dup2(said.fileno(), number)
        tqdm.set_lock(threading.RLock())  # the one that forks share dies with who has it
        train(recipe, out, cpu=True)


def result(out: Path) -> tuple[bytes, list[dict[str, Any]]]:
    """Return the model's file, and the lines of the log without speeds."""
    lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    kept = [{k: v for k, v in line.items() if k not in SPEEDS} for line in lines]
    return (out / "model" / "model.safetensors").read_bytes(), kept


def damaged(out: Path) -> list[str]:
    """Return what is wrong with the checkpoints of a run."""
    wrong = []
    for found in checkpoints(out / "checkpoints"):
        try:
            verify(found)
        except (ValueError, OSError) as error:
            wrong.append(f"{found}: {error}")
    return wrong


def killed_until_it_ends(
    recipe: Recipe, out: Path, longest: float, rng: random.Random
) -> tuple[int, list[str]]:
    """Train, and kill each session after up to `longest` seconds; return kills and faults.

    Seconds are of the processor, so that a machine with other work changes nothing, and some of the
    clock, in which a process may wait for the disk.
    """
    kills, faults = 0, []
    while True:
        process = session(recipe, out)
        until, since = rng.uniform(0, longest), time.monotonic()
        while process.is_alive() and _spent(process) < until:
            process.join(0.005)
            if time.monotonic() - since > HANGS:
                faults.append(f"{out}: process {process.pid} hangs")
                return kills, faults
        process.join(rng.uniform(0, 0.05))
        alive = process.is_alive()
        process.kill()
        process.join()
        if not alive:
            if process.exitcode:
                faults.append(f"{out}: exit code {process.exitcode}")
            return kills, faults
        kills += 1
        faults += damaged(out)


def _spent(process: multiprocessing.Process) -> float:
    """Return the seconds of the processor that a process has had."""
    try:
        used = psutil.Process(process.pid).cpu_times()
    except psutil.NoSuchProcess:
        return math.inf
    return used.user + used.system


def main() -> int:
    """Kill, compare, and say what was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--domain", choices=DOMAINS, default="points", help="what is trained")
    parser.add_argument("--kills", type=int, default=200, help="kills, at least (default: 200)")
    parser.add_argument("--steps", type=int, default=20, help="steps of a run (default: 20)")
    parser.add_argument("--seed", type=int, default=0, help="chooses the moments (default: 0)")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    rng, kills, runs, faults = random.Random(asked.seed), 0, 0, []
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        recipe = tiny(asked.domain, home, asked.steps)
        warm(recipe, home / "warm")
        session(recipe, home / "whole").join()
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        expected, longest = result(home / "whole"), used.ru_utime + used.ru_stime
        while kills < asked.kills and not faults:
            out = home / f"run{runs}"
            more, faults = killed_until_it_ends(recipe, out, longest, rng)
            if not faults and result(out) != expected:
                faults = [f"{out}: the model or the log is another"]
            kills, runs = kills + more, runs + 1
            print(f"{kills} kills, {runs} runs to the end", file=sys.stderr)
        said = (home / f"run{runs - 1}.said").read_text()[-2000:] if faults else ""
    print(f"{asked.domain}: {kills} kills, {runs} runs to the end, {len(faults)} faults")
    print("\n".join([*faults, said]).strip())
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
