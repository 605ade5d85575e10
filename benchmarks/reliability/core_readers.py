"""Readers of the core: model folders, other libraries' files, runs, pairs, lists of shards."""

import hashlib
import json
from pathlib import Path
from typing import Any

from reader import Reader, apart, of_file, tar
from recipes import tiny


def _saved(domain: str, home: Path) -> Path:
    from feller.core.cards import Metric, ModelCard
    from feller.core.checkpoint import save_model

    metrics = (Metric(name="FID", value=3.2, low=3.0, high=3.4, protocol="50,000"),)
    card = ModelCard(name="tiny", metrics=metrics, training={"steps": 3}, references=("a",))
    recipe = tiny(domain, home, 2)
    completed, *_ = recipe.model.completed(recipe, recipe.data.build("train"))
    return save_model(completed.model.build(), home / "model", card=card)


def config(domain: str, home: Path) -> Reader:
    """`config.json` of a model folder."""
    from feller.core.checkpoint import load_model

    file = _saved(domain, home) / "config.json"
    return of_file(file, [file.read_bytes()], lambda file: load_model(file.parent))


def weights(home: Path) -> Reader:
    """`model.safetensors`, with the digest that a configuration has of it."""
    from feller.core.checkpoint import load_model
    from feller.core.starts import start_from

    folder = _saved("points", home)
    config = json.loads((folder / "config.json").read_text())
    model = load_model(folder)

    def read(file: Path) -> None:
        config["sha256"] = hashlib.sha256(file.read_bytes()).hexdigest()
        (folder / "config.json").write_text(json.dumps(config))
        try:
            start_from(model, folder)
        except ValueError:
            load_model(folder)
            raise

    file = folder / "model.safetensors"
    return of_file(file, [file.read_bytes()], read)


def card(home: Path) -> Reader:
    from feller.core.cards import ModelCard

    file = _saved("points", home) / "card.json"

    def read(file: Path) -> None:
        card = ModelCard.read(file.parent)
        card.page()

    return of_file(file, [file.read_bytes()], read)


def foreign(name: str, home: Path) -> Reader:
    """A file of another library's folder."""
    import torch
    from safetensors.torch import save_file

    from feller.core.importing.folder import Foreign

    tensors = {"a.weight": torch.zeros(3, 2), "b": torch.ones(4)}
    save_file(tensors, home / "part-1.safetensors")
    files = {
        "model.safetensors": (home / "part-1.safetensors").read_bytes(),
        "config.json": b'{"sample_size": 32, "layers": [1, 2], "name": "x"}',
        "model.safetensors.index.json": json.dumps(
            {"weight_map": dict.fromkeys(tensors, "part-1.safetensors")}
        ).encode(),
    }

    def read(file: Path) -> Any:
        folder = Foreign(home)
        return folder.config, folder.weights, folder.names, folder.stored, folder.licence

    return of_file(home / name, [files[name]], read)


def run(name: str, home: Path) -> Reader:
    """A file of a run: `feller runs`, and a training that would go on in its folder."""
    from contextlib import suppress

    from feller.core.config import decode
    from feller.core.files import read_json
    from feller.core.registry import data_of
    from feller.core.runs import noting_end, read_run
    from feller.core.training.folder import new_weights, order_of_run
    from feller.core.training.log import forget_lost_steps
    from feller.core.training.trainer import train

    out = home / "run"
    train(tiny("points", home, 3), out, cpu=True)
    file = out / name
    valid = file.read_bytes()

    def read(file: Path) -> None:
        found = read_run(out)
        found.best(), found.last("loss")
        forget_lost_steps(out / "log.jsonl", 2)
        with noting_end(out):
            pass
        new_weights(out)
        with suppress(ValueError, OSError):
            order_of_run(out)
        if name == "recipe.json":
            data_of(out)
            decode(read_json(file), where=str(file))

    return of_file(file, [valid], read)


def state(name: str, home: Path) -> Reader:
    """A file of a checkpoint, with the digest that the list has of it."""
    from accelerate import Accelerator

    from feller.core.files import digest
    from feller.core.training.checkpointing import latest_checkpoint, load_checkpoint
    from feller.core.training.loop import build_run
    from feller.core.training.trainer import train

    recipe = tiny("points", home, 4)
    train(recipe, home / "run", cpu=True)
    folder = latest_checkpoint(home / "run" / "checkpoints")
    assert folder is not None
    run = build_run(recipe, Accelerator(cpu=True))

    def read(file: Path) -> None:
        names = sorted(each.name for each in folder.iterdir() if each.name != "SHA256SUMS")
        lines = (f"{digest(folder / each)}  {each}\n" for each in names)
        if name != "SHA256SUMS":
            (folder / "SHA256SUMS").write_text("".join(lines))
        load_checkpoint(run, folder)

    return of_file(folder / name, [(folder / name).read_bytes()], read)


def pairs(home: Path) -> Reader:
    import torch

    from feller.core.pair_data import NAME, PairData, load_pairs, save_pairs

    save_pairs(PairData(torch.zeros(3, 2), torch.ones(3, 2)), home / "pairs")
    file = home / "pairs" / NAME
    return of_file(file, [file.read_bytes()], lambda file: load_pairs(file.parent)[[0]])


def list_of_shards(home: Path) -> Reader:
    """An index of shards, and what is remembered of how many samples they have."""
    from feller.core.shards import Shards, find_shards

    (home / "a.tar").write_bytes(tar({"0.txt": b"a", "1.txt": b"b"}))
    valid = {"shardlist": [{"url": "a.tar", "nsamples": 2}, {"url": "a.tar", "nsamples": 2}]}

    def read(file: Path) -> None:
        shards = Shards(find_shards(str(file), ""))
        shards.fingerprint()
        shards[list(range(min(4, len(shards))))]

    return apart(home, of_file(home / "a.json", [json.dumps(valid).encode()], read))


def notes_of_shards(home: Path) -> Reader:
    from feller.core.shards import Shards, find_shards

    (home / "a.tar").write_bytes(tar({"0.txt": b"a", "1.txt": b"b"}))
    reader = apart(home, Reader([b"[2]"], lambda data: None))
    Shards(find_shards(str(home / "a.tar"), ""))
    (notes,) = (home / "cache" / "feller" / "shards").glob("*.json")

    def read(file: Path) -> None:
        shards = Shards(find_shards(str(home / "a.tar"), ""))
        shards[list(range(min(2, len(shards))))]

    return of_file(notes, reader.valid, read)
