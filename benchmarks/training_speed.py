"""Where a training step goes, how far two threads help, and what `feller plan` says of it.

    python benchmarks/training_speed.py --data DIR [--only text/shakespeare-ar] [--rounds 9]

For each recipe, in processes of their own:

- on one thread and on two: seconds a step, the fraction of its time in products of matrices,
  convolutions and attention, reads of a number (`item`: a step waits for that of an accelerator's
  tensor), the fraction that waits for data;
- one process of two threads against two processes of one, alone and as a group that shares each
  batch (DDP), taking turns: the median ratios of samples a second (1: as good);
- peak growth of anonymous memory and processor time a step on one thread, against the plan;
- of `images/cifar10-flow` alone, whose state is of 36M weights: how long saving keeps training from
  its next step, and how long a new process takes beyond imports until it can go on, its files not
  in memory.

Each part is chosen by its name: `--parts shares compare planned resume`.

The data folder holds `images/fashion_mnist.npz`, `text/tinyshakespeare.txt.gz`, `proteins/*.zip`.
"""

import argparse
import gc
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

RECIPES = {
    "images/fashion-flow": "--data.root {0}/images",
    "images/fashion-joint": "--data.root {0}/images",
    "text/shakespeare-ar": "--data.path {0}/text/tinyshakespeare.txt.gz",
    "text/shakespeare-mask": "--data.path {0}/text/tinyshakespeare.txt.gz",
    "proteins/short-flow": "--data.path {0}/proteins/pdb_backbone_40_256.bcif.zip",
}
RESUMED = "images/cifar10-flow"
CIFAR10 = "--data.source npz --data.root {0}/images/cifar10_lossless_4000.npz"
SAVES = 5
GIVE_BACK = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}
"""Freed memory goes back at once, so that what a process has is what tensors take."""
PRODUCTS = ("mm", "addmm", "bmm", "baddbmm", "convolution", "attention")


def steps_of(name: str, flags: list[str]) -> tuple[Any, Iterator[Any]]:
    from accelerate import Accelerator

    from feller.core.commands.train import parse_recipe
    from feller.core.training.loop import build_run, training_steps

    run = build_run(parse_recipe(name, flags), Accelerator(cpu=True))
    return run, training_steps(run)


def shares(name: str, flags: list[str]) -> None:
    """Print the fractions of a step."""
    from torch.profiler import ProfilerActivity, profile

    from feller.core.training import loop

    _, steps = steps_of(name, flags)
    waited = [0.0]
    plain = getattr(loop, "_next", None) or loop.next_batch

    def timed(*given: Any) -> Any:
        begun = time.perf_counter()
        try:
            return plain(*given)
        finally:
            waited[0] += time.perf_counter() - begun

    setattr(loop, plain.__name__, timed)
    for _ in range(3):
        next(steps)
    waited[0], begun = 0.0, time.perf_counter()
    for _ in range(5):
        next(steps)
    spent = time.perf_counter() - begun
    with profile(activities=[ProfilerActivity.CPU]) as seen:
        for _ in range(3):
            next(steps)
    rows = seen.key_averages()
    total = sum(row.self_cpu_time_total for row in rows)
    good = sum(r.self_cpu_time_total for r in rows if any(p in r.key for p in PRODUCTS))
    items = sum(row.count for row in rows if row.key == "aten::_local_scalar_dense") / 3
    print(
        f"  {os.environ['OMP_NUM_THREADS']} thread(s): {spent / 5:.3f} s a step, products "
        f"{good / total:.0%}, {items:.0f} reads of a number, data {waited[0] / spent:.1%}"
    )


def serve(name: str, flags: list[str]) -> None:
    """Take as many steps as each line of the input asks for."""
    _, steps = steps_of(name, flags)
    for line in sys.stdin:
        for _ in range(int(line)):
            next(steps)
        print("done", flush=True)


def status(key: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{key}:"))


def planned(name: str, flags: list[str]) -> None:
    """Print the plan's memory and time beside those measured."""
    from accelerate import Accelerator

    from feller.core.commands.train import parse_recipe
    from feller.core.training import DataConfig
    from feller.core.training.loop import build_run, training_steps
    from feller.core.training.planning import measured_cpu, plan_of

    recipe, accelerator = parse_recipe(name, flags), Accelerator(cpu=True)
    data = recipe.data.build("train")

    @dataclass(frozen=True)
    class Opened(DataConfig):
        def build(self, split: Any = "train") -> Any:
            return data

    opened = replace(recipe, data=Opened())
    few = replace(opened, training=replace(recipe.training, batch_size=2, accumulate=1))
    first = training_steps(build_run(few, accelerator))
    next(first), next(first)  # what kernels and libraries take once
    del first
    accelerator.free_memory()
    gc.collect()
    before = status("RssAnon")
    steps = training_steps(build_run(opened, accelerator))
    next(steps), next(steps)
    Path("/proc/self/clear_refs").write_text("5")
    next(steps), next(steps)
    grown = status("VmHWM") - status("RssFile") - before
    spent = []
    for _ in range(5):
        begun = time.process_time()
        next(steps)
        spent.append(time.process_time() - begun)
    plan, seconds = plan_of(recipe, measured_cpu(), utilisation=1.0), statistics.median(spent)
    memory = sum(plan.memory().values())
    print(
        f"  plan: {memory / 1e6:.0f} MB of {grown / 1e6:.0f} measured ({memory / grown:.2f}), "
        f"{plan.seconds():.3f} s of {seconds:.3f} ({plan.seconds() / seconds:.2f})"
    )


def small(name: str, flags: list[str]) -> Any:
    """Return a run of two samples a step: its state is that of a larger one."""
    from accelerate import Accelerator

    from feller.core.commands.train import parse_recipe
    from feller.core.training.loop import build_run

    recipe = parse_recipe(name, flags)
    few = replace(recipe.training, batch_size=2, accumulate=1)
    return build_run(replace(recipe, training=few), Accelerator(cpu=True))


def save(name: str, flags: list[str]) -> None:
    """Save states while training goes on; print what a step waits for."""
    from feller.core.training.loop import training_steps
    from feller.core.training.saving import Saver

    out, run = Path(flags.pop()), small(name, flags)
    blocked, used, written = [], [], []
    with Saver(run, out) as saver:
        for number, _ in enumerate(training_steps(run)):
            saver.heed()
            if number % 4 == 3:
                begun, spent = time.perf_counter(), time.process_time()
                saver.save()
                blocked.append(time.perf_counter() - begun)
                used.append(time.process_time() - spent)
            saver.reserve()
            if len(blocked) == SAVES:
                break
        begun = time.perf_counter()
        saver.finish()
        written.append(time.perf_counter() - begun)
    weights = sum(p.numel() for p in run.bare_model.parameters())
    clock, processor = statistics.median(blocked), statistics.median(used)
    print(
        f"  saving {weights / 1e6:.1f}M weights: a step waits {clock:.2f} s ({processor:.2f} of "
        f"the processor; longest {max(blocked):.2f}), then {written[0]:.1f} s for the disk"
    )


def resume(name: str, flags: list[str]) -> None:
    """Go on from a state that is not in memory; print how long it takes beyond imports."""
    import torch._dynamo  # torch's optimizers do

    from feller.core.training import trainer

    assert torch and trainer

    out = Path(flags.pop())
    for file in [*out.rglob("*.safetensors")]:
        with file.open("rb") as stream:
            os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    begun, spent = time.perf_counter(), time.process_time()
    run = small(name, flags)
    built = time.perf_counter()
    assert trainer.load_latest(run, out)
    ended = time.perf_counter()
    print(
        f"  resuming: {ended - begun:.1f} s beyond imports ({time.process_time() - spent:.1f} of "
        f"the processor): {built - begun:.1f} for data and model, {ended - built:.1f} for the state"
    )


def compare(name: str, flags: list[str], rounds: int) -> None:
    """Print what two processes of one thread do against one of two, by turns."""
    with socket.socket() as tried:
        tried.bind(("127.0.0.1", 0))
        port = str(tried.getsockname()[1])
    group = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": "2"}
    ranks = [group | {"RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(2)]
    one = [started("serve", name, flags, 2)]
    two = [started("serve", name, flags, 1) for _ in ranks]
    shared = [started("serve", name, flags, 1, rank) for rank in ranks]
    for each in (one, two, shared):
        turn(each, 2)
    spent = [tuple(turn(each, 4) for each in (one, two, shared)) for _ in range(rounds)]
    apart = statistics.median(2 * first / second for first, second, _ in spent)
    ddp = statistics.median(first / third for first, _, third in spent)
    print(f"  two processes / one of two threads: apart {apart:.2f} x samples, as DDP {ddp:.2f} x")
    for each in (*one, *two, *shared):
        each.stdin.close()
        each.wait()


def turn(group: list[Any], count: int) -> float:
    """Return the seconds in which all processes of a group take so many steps."""
    begun = time.perf_counter()
    for each in group:
        each.stdin.write(f"{count}\n")
        each.stdin.flush()
    for each in group:
        while each.stdout.readline() != "done\n":
            pass
    return time.perf_counter() - begun


def started(
    what: str, name: str, flags: list[str], threads: int, group: dict[str, str] | None = None
) -> Any:
    environment = {**os.environ, **(group or {}), "OMP_NUM_THREADS": str(threads)}
    if what == "planned":
        environment |= GIVE_BACK
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE} if what == "serve" else {}
    command = [sys.executable, __file__, "--worker", json.dumps([what, name, flags])]
    return subprocess.Popen(command, env=environment, text=True, **pipes)


def main() -> None:
    """Measure every recipe."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("data"))
    parser.add_argument("--only", default="")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--parts", nargs="*", default=["shares", "compare", "planned", "resume"])
    parser.add_argument("--worker", default="", help=argparse.SUPPRESS)
    options, more = parser.parse_known_args()  # flags of a training, such as a smaller batch
    if options.worker:
        what, name, flags = json.loads(options.worker)
        parts = {"shares": shares, "serve": serve, "planned": planned}
        (parts | {"save": save, "resume": resume})[what](name, flags)
        return
    print(f"load {os.getloadavg()[0]:.1f}")
    for name, where in RECIPES.items():
        if options.only not in name:
            continue
        print(name, flush=True)
        flags = [*where.format(options.data).split(), *more]
        if "shares" in options.parts:
            for threads in (1, 2):
                started("shares", name, flags, threads).wait()
        if "compare" in options.parts:
            compare(name, flags, options.rounds)
        if "planned" in options.parts:
            # Proteins at one length: a plan is of the longest.
            same = ["--data.crop", "64", "--data.width", "64", "--data.long", "crop"]
            extra = same if name.startswith("proteins") else []
            started("planned", name, [*flags, *extra], 1).wait()
    if "resume" in options.parts and options.only in RESUMED:
        with tempfile.TemporaryDirectory() as home:
            print(RESUMED, flush=True)
            for part in ("save", "resume"):
                flags = [*CIFAR10.format(options.data).split(), home]
                started(part, RESUMED, flags, 1).wait()


if __name__ == "__main__":
    main()
