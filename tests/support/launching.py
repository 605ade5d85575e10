"""Training in a group of processes on one machine, as `accelerate launch` starts them."""

import json
import os
import subprocess
import sys

ENVIRONMENT = os.environ | {"ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"}
LAUNCH = [sys.executable, "-m", "accelerate.commands.launch", "--num_machines", "1"]
LAUNCH += ["--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0"]


def launched(processes, *argv):
    """The command that runs ARGV, a script or `-m` and a module, in so many processes."""
    group = ["--num_processes", str(processes), *(["--multi_gpu"] if processes > 1 else [])]
    return list(map(str, [*LAUNCH, *group, *argv]))


def curve(out):
    """The losses of a run."""
    return [json.loads(line)["loss"] for line in (out / "log.jsonl").read_text().splitlines()]


def curves_of_one_and_two(recipe, out, flags):
    """The losses of `feller train RECIPE FLAGS` in one process, two, and two that share weights."""
    ways = {"1": (1, []), "2": (2, []), "shared": (2, ["--training.sharding", "fsdp"])}
    for name, (processes, more) in ways.items():
        folder = out / name
        train = ("-m", "feller.core", "train", recipe, "--out", folder, *flags, *more)
        command = launched(processes, *train)
        done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        card = json.loads((folder / "model" / "card.json").read_text())
        assert card["training"]["processes"] == processes
    return [curve(out / name) for name in ways]
