"""Whether a run that is preempted, and goes on with another number of processes, is the run.

    python benchmarks/reliability/preempt.py --domain images [--sharding fsdp] [--every 20 60]

Each session has one, two or four processes, which get what Slurm's tasks have (`RANK` and so on)
and no launcher; after some seconds one of them gets SIGUSR1, and all have to save and end with 138.
At the end the losses have to be those of one process that nothing touched, to 1e-4 of each.
"""

import argparse
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from recipes import DOMAINS, tiny

from feller.core.training.trainer import train


def losses(out: Path) -> dict[int, float]:
    """Return the loss of each step."""
    lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    return {line["step"]: line["loss"] for line in lines if "loss" in line}


def session(asked: argparse.Namespace, home: Path, processes: int) -> list[subprocess.Popen[bytes]]:
    """Start the processes of a session."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    group = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(processes)}
    flags = ["--domain", asked.domain, "--steps", asked.steps, "--sharding", asked.sharding]
    command = [sys.executable, __file__, "--session", home, *flags]
    with (home / "said").open("a") as said:
        return [
            subprocess.Popen(
                list(map(str, command)), stdout=said, stderr=said,
                env={**os.environ, **group, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            )
            for rank in range(processes)
        ]  # fmt: skip


def preempted(asked: argparse.Namespace, home: Path, rng: random.Random) -> int:
    """Train until the run is complete; return how often it was preempted."""
    sessions = 0
    while True:
        group = session(asked, home, rng.choice([1, 2, 4]))
        log = home / "run" / "log.jsonl"
        before, until = _size(log), float("inf")
        while time.monotonic() < until and all(each.poll() is None for each in group):
            time.sleep(0.05)
            if until == float("inf") and _size(log) != before:  # it takes steps
                until = time.monotonic() + rng.uniform(*asked.every)
        if alive := [each for each in group if each.poll() is None]:
            rng.choice(alive).send_signal(signal.SIGUSR1)
        codes = {each.wait() for each in group}
        if (home / "run" / "model").exists():
            codes -= {-signal.SIGUSR1}  # it came to a process that had ended its work
        if codes <= {0}:
            return sessions
        if codes != {128 + signal.SIGUSR1}:
            raise SystemExit(f"exit codes {codes}: {(home / 'said').read_text()[-2000:]}")
        sessions += 1


def _size(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0


def main() -> int:
    """Preempt, compare, and say what was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--domain", choices=DOMAINS, default="points", help="what is trained")
    parser.add_argument("--steps", type=int, default=200, help="steps (default: 200)")
    parser.add_argument("--sharding", default="none", help="none or fsdp (default: none)")
    parser.add_argument("--every", type=float, nargs=2, default=(20, 60), help="seconds between")
    parser.add_argument("--seed", type=int, default=0, help="chooses the moments (default: 0)")
    parser.add_argument("--session", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        home = asked.session or Path(name)
        recipe = tiny(asked.domain, home, asked.steps)
        recipe = replace(recipe, optimizer=replace(recipe.optimizer, warmup=1, decay="constant"))
        if asked.domain == "points":  # what dropout drops depends on the process
            recipe = replace(recipe, model=replace(recipe.model, dropout=0.0))
        if asked.session:
            training = replace(recipe.training, sharding=asked.sharding)
            return trained(
                lambda: train(replace(recipe, training=training), home / "run", cpu=True)
            )
        sessions = preempted(asked, home, random.Random(asked.seed))
        train(recipe, home / "whole", cpu=True)
        ours, whole = losses(home / "run"), losses(home / "whole")
    apart = max(abs(ours[k] - whole[k]) / abs(whole[k]) for k in whole)
    fine = ours.keys() == whole.keys() and apart < 1e-4
    print(f"{asked.domain}, {asked.sharding}: {sessions} preemptions, losses {apart:.1e} apart")
    return not fine


def trained(action) -> int:
    """Return the exit code that `feller train` has."""
    from feller.core.training.stopping import Stopped

    try:
        action()
    except Stopped as stopped:
        return 128 + stopped.number
    return 0


if __name__ == "__main__":
    sys.exit(main())
