"""The folder of a run: which run it belongs to, its files, and what may change between sessions.

```
runs/a/recipe.json        the resolved recipe
runs/a/run.json           the fingerprint of the data, the version of their order, and each session:
                          where it began, what changed, the seed, versions, the state of git, the
                          hardware
runs/a/log.jsonl          a line every few steps
runs/a/tensorboard/       the same for TensorBoard
runs/a/samples/           pictures from fixed noise
runs/a/checkpoints/       the last few states
runs/a/model/             the averaged weights as a model folder
runs/a/averages/          weights that are averaged otherwise, a model folder each
runs/a/snapshots/         what averages of any width are made of
```
"""

import json
import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from feller.core.config import decode, encode, fits, leaves
from feller.core.files import is_left, read_json, write_text
from feller.core.training.checkpointing import latest_checkpoint
from feller.core.training.config import Recipe
from feller.core.training.fingerprints import Fingerprint, difference
from feller.core.training.log import forget_lost_steps
from feller.core.training.loop import Run
from feller.core.training.surroundings import surroundings

__all__ = [
    "MAY_CHANGE", "MAY_CHANGE_WITH_A_WORD", "begin_session", "check_folder", "compare_run",
    "new_weights", "order_of_run",
]  # fmt: skip

MAY_CHANGE: Mapping[str, str] = MappingProxyType(
    {
        "training.steps": "more, or fewer that are not taken yet; a cosine ends at the new last",
        "training.max_minutes": "when a session ends",
        "training.log_every": "what is written",
        "training.trackers": "what is written",
        "training.sample_every": "what is written",
        "training.evaluate_every": "what is written",
        "training.evaluate_n": "what is written",
        "training.validate_every": "what is written",
        "training.validate_n": "what is written",
        "training.checkpoint_every": "what is kept",
        "training.keep": "what is kept",
        "training.bad_steps": "when a run gives up",
        "training.workers": "who reads the data",
        "training.accumulate": "how much memory a step takes, among how many rows pairs are made",
        "training.sharding": "which process holds what",
        "training.activation_checkpointing": "how much memory a step takes",
        "training.compile": "how fast a step is, its last digits, what dropout drops",
        "data.root": "where the data are; that they are the same is checked",
        "data.path": "where the data are",
        "data.cache": "where the data are",
        "data.download": "where the data come from",
        "data.kind": "what data given in Python are; other data need a word",
    }
)
"""What a run that goes on may change, and what of it: none of it changes a step already taken.

Whatever is in neither table may not change: model, data, loss, batch, seed, `training.start`."""
MAY_CHANGE_WITH_A_WORD: Mapping[str, str] = MappingProxyType(
    {
        "optimizer.lr": "the rate from here on",
        "optimizer.decay": "the rate from here on",
        "optimizer.final": "the rate from here on",
        "optimizer.clip": "the size of steps from here on",
    }
)
"""What it may change too, for steps to come: the run says so, and `run.json` from which step."""
_OURS = ("tensorboard", ".lock")


def check_folder(out: Path) -> None:
    """Reject a folder that is not there for runs.

    Raises:
        ValueError: When it holds something else.
    """
    if out.exists() and not out.is_dir():
        raise ValueError(f"{out} is a file: choose another --out")
    if (out / "recipe.json").exists() or not out.exists():
        return
    if any(found.name not in _OURS and not is_left(found) for found in out.iterdir()):
        raise ValueError(f"{out} exists and is not a run: choose another --out")


def compare_run(out: Path, run: Run, data: Fingerprint, *, new_data: bool = False) -> None:
    """Check that what a folder holds, if anything, is a run of this recipe on these data.

    A run that has saved no step, such as one that failed on its first batch, may start again with
    other flags.

    Args:
        out: The folder.
        run: The run that would resume.
        data: The fingerprint of its data.
        new_data: Whether the data may have changed.

    Raises:
        ValueError: When it is another's.
    """
    if not (out / "recipe.json").exists() or not _has_steps(out):
        return
    file = out / "recipe.json"
    old, new = leaves(encode(_recorded(file))), leaves(encode(run.recipe))
    for key in sorted(new.keys() | old.keys()):
        free = key.rstrip(".0123456789") in MAY_CHANGE or key in MAY_CHANGE_WITH_A_WORD
        if new.get(key) != old.get(key) and not free:
            raise ValueError(
                f"{out} was begun with {key} = {old.get(key)}, not {new.get(key)}: "
                "give the same flags, or another --out"
            )
    if latest_checkpoint(out / "checkpoints") is None and (out / "model").exists():
        raise ValueError(f"{out} has a model but no checkpoint to resume: choose another --out")
    before, other = _facts(out).get("data"), ""
    if fits(before, dict):
        other = difference(data, before)
    else:
        run.accelerator.print(f"{out} has no fingerprint of its data: these are taken for its own")
    kinds = new.get("data.kind"), old.get("data.kind")
    if not other and kinds[0] != kinds[1]:
        other = f"{kinds[0]}, not {kinds[1]}"
    if other and not new_data:
        raise ValueError(
            f"the data of {out} have changed ({other}): --new-data resumes with them, "
            "another --out begins a new run"
        )


def begin_session(out: Path, run: Run, data: Fingerprint) -> None:
    """Write down what the run is from here on, and take lost steps out of its log.

    Raises:
        ValueError: When the run has more steps than the recipe asks for.
    """
    recipe, file = run.recipe, out / "recipe.json"
    if run.step > recipe.training.steps:
        raise ValueError(
            f"{out} has taken {run.step} steps, more than --training.steps {recipe.training.steps}"
            ": ask for as many at least, or choose another --out"
        )
    before = encode(_recorded(file)) if run.step and file.exists() else encode(recipe)
    old, new = leaves(before), leaves(encode(recipe))
    for key in MAY_CHANGE_WITH_A_WORD:
        if run.step == recipe.training.steps and new.get(key) != old.get(key):
            raise ValueError(
                f"{out} took its {run.step} steps with {key} = {old.get(key)}, not {new.get(key)}: "
                "ask for more --training.steps, or choose another --out"
            )
    forget_lost_steps(out / "log.jsonl", run.step)
    done = run.step == recipe.training.steps == before["training"]["steps"]
    if done and file.exists() and run.step:
        return  # nothing happens any more
    facts = _facts(out) if run.step else {}
    facts |= {"data": data, "order": run.order}
    sessions = facts.get("sessions")
    session = _session(run, before)
    for key in MAY_CHANGE_WITH_A_WORD.keys() & session["changed"].keys():
        was, now = session["changed"][key]
        run.accelerator.print(f"from step {run.step} on {key} is {now}, and was {was}")
    if said := _other_pairs(run, session, sessions):
        run.accelerator.print(said)
    facts["sessions"] = [*(sessions if fits(sessions, list) else []), session]
    if run.new:
        facts["new"] = list(run.new)
    write_text(file, json.dumps(encode(recipe), indent=2) + "\n")
    write_text(out / "run.json", json.dumps(facts, indent=2) + "\n")


def new_weights(out: Path) -> tuple[str, ...]:
    """Return the names of the weights that were new when the run of a folder began."""
    found = _facts(out).get("new", [])
    return tuple(found) if fits(found, list) else ()


def order_of_run(out: Path) -> int:
    """Return the version of the order in which the run of a folder has its data.

    Raises:
        ValueError: When that was written and is lost.
    """
    file = out / "run.json"
    facts = _facts(out)
    order = facts.get("order", 1)  # runs from before there was another
    if not fits(order, int) or (file.exists() and not facts):
        raise ValueError(
            f"{file} is damaged, and with it the order of the data: choose another --out"
        )
    return order


def _session(run: Run, before: dict[str, Any]) -> dict[str, Any]:
    """Say where a session begins and what is new in it."""
    old, new = leaves(before), leaves(encode(run.recipe))
    changed = {k: [old.get(k), new[k]] for k in new if new[k] != old.get(k)}
    return {
        "step": run.step,
        "began": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "changed": changed,
        "processes": run.accelerator.num_processes,
        "seed": run.recipe.training.seed,
        "device": run.accelerator.device.type,
        **surroundings(run.accelerator.device),
    }


def _other_pairs(run: Run, session: Mapping[str, Any], sessions: Any) -> str:
    """Return a message if pairs are made among another number of rows than in the last session."""
    last = sessions[-1] if fits(sessions, list) and sessions else {}
    before = last.get("processes") if fits(last, dict) else None
    if before is None or not run.recipe.coupling.joins_rows:
        return ""
    training = run.recipe.training
    old, new = session["changed"].get("training.accumulate", (training.accumulate,) * 2)
    was = training.batch_size // (before * old)
    now = training.batch_size // (session["processes"] * new)
    return f"from step {run.step} on pairs are made among {now} rows, and were among {was}" * (
        now != was
    )


def _has_steps(out: Path) -> bool:
    log = out / "log.jsonl"
    logged = log.exists() and log.stat().st_size > 0
    return logged or latest_checkpoint(out / "checkpoints") is not None or (out / "model").exists()


def _recorded(file: Path) -> Recipe:
    """Return the recipe that a run was begun with; a field newer than it has its default."""
    try:
        if fits(found := decode(read_json(file), where=str(file)), Recipe):
            return found
        raise ValueError(f"it holds a {type(found).__name__}")
    except (ValueError, OSError) as error:
        said = str(error)
        raise ValueError(said if str(file) in said else f"{file} is not a recipe: {said}") from None


def _facts(out: Path) -> dict[str, Any]:
    """Return what `run.json` holds; nothing for a run from before it, or a damaged one."""
    try:
        facts = read_json(out / "run.json")
    except (ValueError, OSError):
        return {}
    return facts if fits(facts, dict) else {}
