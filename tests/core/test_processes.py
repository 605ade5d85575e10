"""Work that processes share: in order, each piece once, the same as in one process."""

import json
import subprocess
import threading

import pytest
import torch
from launching import ENVIRONMENT, launched

from feller.core import processes
from feller.core.processes import is_first, shared, together


class Group:
    """Threads that stand for processes."""

    def __init__(self, world, monkeypatch):
        self.world, self.own = world, threading.local()
        self.barrier, self.sent = threading.Barrier(world), [None] * world
        monkeypatch.setattr("torch.distributed.get_world_size", lambda: world)
        monkeypatch.setattr("torch.distributed.get_rank", lambda: self.own.rank)
        monkeypatch.setattr("torch.distributed.all_gather_object", self.gather)

    def gather(self, found, mine):
        self.sent[self.own.rank] = mine
        self.barrier.wait(10)
        found[:] = self.sent
        self.barrier.wait(10)

    def run(self, function):
        results = [None] * self.world

        def one(rank):
            self.own.rank = rank
            processes._SHARING.set(True)
            try:
                results[rank] = function()
            except ValueError as error:
                results[rank] = error

        threads = [threading.Thread(target=one, args=(rank,)) for rank in range(self.world)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return results


@pytest.mark.parametrize("world", [2, 3, 5])
@pytest.mark.parametrize("pieces", [0, 1, 4, 6])
def test_each_piece_is_done_once_and_all_have_all(world, pieces, monkeypatch):
    done = []

    def work(i):
        done.append(i)
        return torch.tensor([i, i * i])

    found = Group(world, monkeypatch).run(lambda: list(shared(range(pieces), work)))
    assert sorted(done) == list(range(pieces))
    for each in found:
        assert [row.tolist() for row in each] == [[i, i * i] for i in range(pieces)]


def test_what_fails_in_one_fails_in_all(monkeypatch):
    def work(i):
        if i == 1:
            raise LookupError("no such thing")
        return i

    found = Group(2, monkeypatch).run(lambda: list(shared(range(4), work)))
    assert [str(error) for error in found] == ["no such thing"] * 2


def test_the_first_writes(monkeypatch):
    assert Group(3, monkeypatch).run(is_first) == [True, False, False]
    assert is_first()


def test_one_process_is_a_loop(capsys):
    with together():
        found = shared([1, 2], lambda i: i)
        assert next(found) == 1  # before the next is begun
        assert list(found) == [2]


DRAW = """
import sys, json, torch
from feller.core.processes import together, is_first
from feller.images import Sampling as Images
from feller.images.recipes import drawn_flow
from feller.proteins.design.conditioning import nothing
from feller.proteins.models import ProteinModelConfig
from feller.proteins.commands.drawing import DrawFlags, drawn
from feller.proteins.design.tasks import DesignFlags, plan
from feller.text.recipes import shakespeare_mask
from feller.text.sampling import Sampling as Texts, context

def model_of(config):
    torch.manual_seed(0)
    return config.build().eval()

with together(), torch.no_grad():
    images = model_of(drawn_flow().model)
    pictures, _ = images.draw(5, None, Images(steps=2, batch_size=2), seed=3)
    text = model_of(shakespeare_mask().model)
    letters = text.draw(5, context(text.codec, length=8), Texts(steps=2, batch_size=2), seed=3)
    proteins = model_of(ProteinModelConfig())
    batches = plan(DesignFlags(length="8-9"), 5, seed=3, batch_size=2)
    made = drawn(proteins, batches, DrawFlags(steps=2).sampling())
    chains = [d.state["translation"].double().sum().item() for _, d in made]
    if is_first():
        found = [pictures.tolist(), letters.x.tolist(), letters.log_prob.tolist(), chains]
        print(json.dumps(found))
    else:
        print("of the second")
"""


@pytest.mark.slow
def test_two_processes_draw_what_one_does(tmp_path):
    (tmp_path / "draw.py").write_text(DRAW)
    found = []
    for number in (1, 2):
        done = subprocess.run(
            launched(number, tmp_path / "draw.py"),
            env=ENVIRONMENT, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        found.append(json.loads(done.stdout))
    assert found[0] == found[1]


@pytest.mark.slow
def test_a_command_of_two_processes_prints_and_writes_once(tmp_path):
    found = []
    for number in (1, 2):
        out = tmp_path / f"{number}.npz"
        command = launched(number, "-m", "feller.core", "sample", "images/fashion-flow", "-n", 70,
                           "--steps", 1, "--out", out)  # fmt: skip
        done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("70 images") == 1
        found.append(out.read_bytes())
    assert found[0] == found[1]
