import json
from itertools import pairwise

import points
import pytest
import torch
from accelerate import Accelerator
from safetensors.torch import load_file, save_file
from torch.distributed.checkpoint import HuggingFaceStorageReader

from feller.core.training.loop import build_run, training_steps
from feller.core.training.saving import save_checkpoint
from feller.core.training.states import OFFSETS, not_finite, restore, state_of


@pytest.fixture(scope="module")
def run():
    run = build_run(points.recipe(steps=2), Accelerator(cpu=True))
    list(training_steps(run))
    return run


@pytest.fixture
def saved(run, tmp_path):
    run.saved = -1
    return save_checkpoint(run, tmp_path)


def fresh():
    return build_run(points.recipe(steps=2), Accelerator(cpu=True))


def split(folder, *cuts):
    """Write a state as so many processes do: by rows, and what has none by the first."""
    tensors = load_file(folder / "state.safetensors")
    (folder / "state.safetensors").unlink()
    for i, (low, high) in enumerate(pairwise(cuts)):
        part = {k: v[low:high].clone() for k, v in tensors.items() if v.ndim}
        part |= {k: v for k, v in tensors.items() if not v.ndim and not i}
        at = {k: min(low, len(v)) if v.ndim else 0 for k, v in tensors.items()}
        first = {k: {"saved_offsets": [at[k], 0, 0, 0][: v.ndim]} for k, v in part.items()}
        save_file(part, folder / f"state-{i}.safetensors", {OFFSETS: json.dumps(first)})


@pytest.mark.parametrize("cuts", [(0, 1, 99), (0, 2, 3, 7, 16, 99)])
def test_a_state_in_pieces_is_the_state(run, saved, cuts):
    split(saved, *cuts)
    other = fresh()
    restore(other, saved, json.loads((saved / "state.json").read_text()))
    (ours, plain), (theirs, same) = state_of(run), state_of(other)
    assert plain["plain"]["state"] == same["plain"]["state"]
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert other.step == 2


def test_a_piece_that_is_missing_is_seen(saved):
    split(saved, 0, 2, 99)
    (saved / "state-1.safetensors").unlink()
    with pytest.raises(ValueError, match=r"is \[2(, \d+)?\], not \[3"):
        restore(fresh(), saved, json.loads((saved / "state.json").read_text()))


def test_torch_itself_reads_the_pieces(saved):
    whole = load_file(saved / "state.safetensors")
    split(saved, 0, 3, 99)
    found = HuggingFaceStorageReader(str(saved)).read_metadata().state_dict_metadata
    assert {k: tuple(v.size) for k, v in found.items() if v.size} == {
        k: tuple(v.shape) for k, v in whole.items() if v.ndim
    }


def test_what_is_not_finite_is_named(run):
    tensors, _ = state_of(run)
    assert not_finite(run, tensors) is None
    name = next(iter(tensors))
    assert not_finite(run, tensors | {name: torch.tensor([torch.nan])}) == name
