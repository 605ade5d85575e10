"""Streams: each item once an epoch, on any number of processes, from any step on."""

from itertools import chain, islice

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, IterableDataset

from feller.core.errors import DataError
from feller.core.training.batches import ProcessRows
from feller.core.training.own import train
from feller.core.training.streams import Stream, is_stream


class Numbers(IterableDataset):
    """The numbers below n; it counts how many were read."""

    def __init__(self, n):
        self.n, self.read = n, [0]

    def __iter__(self):
        for i in range(self.n):
            self.read[0] += 1
            yield i


class Standing(Numbers):
    """It says where it stands, as `datasets.IterableDataset` does."""

    def __init__(self, n):
        super().__init__(n)
        self.next, self.start = 0, 0

    def state_dict(self):
        return {"next": self.next}

    def load_state_dict(self, state):
        self.start = state["next"]

    def __iter__(self):
        for i in range(self.start, self.n):
            self.read[0] += 1
            self.next = i + 1
            yield i


class Epochs(Numbers):
    def set_epoch(self, epoch):
        self.epoch = epoch

    def __iter__(self):
        for i in super().__iter__():
            yield i + 1000 * self.epoch


def steps(stream, count, *, start=0, batch=4, **rows):
    batches = stream.batches(ProcessRows(batch, **rows), seed=0, start=start)
    return [batch.tolist() for batch in islice(batches, count)]


@pytest.mark.parametrize("block", [1, 3, 5, 20, 50])
@pytest.mark.parametrize("source", [Numbers, Standing])
def test_each_item_comes_once_an_epoch(block, source):
    seen = list(chain.from_iterable(steps(Stream(source(20), block=block), 15)))
    for epoch in (seen[:20], seen[20:40], seen[40:]):
        assert sorted(epoch) == list(range(20))
    assert block == 1 or seen[:20] != seen[20:40]


def test_rows_are_those_of_one_process():
    whole = steps(Stream(Numbers(10), block=4), 9)
    parts = [steps(Stream(Numbers(10), block=4), 9, rank=r, world=2) for r in (0, 1)]
    assert [a + b for a, b in zip(*parts, strict=True)] == whole
    halves = steps(Stream(Numbers(10), block=4), 18, accumulate=2)
    assert [a + b for a, b in zip(halves[::2], halves[1::2], strict=True)] == whole


@pytest.mark.parametrize("source", [Numbers, Standing])
@pytest.mark.parametrize("world", [1, 2])
def test_a_bookmark_leads_on_from_any_step(source, world):
    whole = steps(Stream(source(10), block=4), 12)
    for stop in range(12):
        before = Stream(source(10), block=4)
        steps(before, stop, world=world)  # of the first process, which writes checkpoints
        after = Stream(source(10), block=4)
        after.turn_to(before.bookmark())
        assert steps(after, 12 - stop, start=stop) == whole[stop:]


def test_without_a_bookmark_a_later_step_is_found_too():
    assert (
        steps(Stream(Numbers(10), block=4), 4, start=8)
        == steps(Stream(Numbers(10), block=4), 12)[8:]
    )


def test_a_source_that_stands_somewhere_is_not_read_again():
    before = Stream(Standing(1000), block=10)
    steps(before, 100)
    after = Stream(Standing(1000), block=10)
    after.turn_to(before.bookmark())
    steps(after, 1, start=100)
    assert after.source.read[0] <= 20


def test_epochs_are_announced():
    seen = list(chain.from_iterable(steps(Stream(Epochs(4)), 3)))
    assert sorted(seen) == [*range(4), *range(1000, 1004), *range(2000, 2004)]


def test_a_source_that_changes_its_mind_is_refused():
    before = Stream(Numbers(100), block=10)
    steps(before, 10)
    after = Stream(Numbers(100), block=10)
    after.turn_to(before.bookmark())
    after.source.__class__ = Epochs
    after.source.set_epoch(0)
    steps(after, 1, start=10)
    after = Stream(Epochs(100), block=10)
    after.turn_to(before.bookmark() | {"epoch": 1})
    with pytest.raises(DataError, match="does not come back to where it was"):
        steps(after, 1, start=10)


def test_refusals():
    with pytest.raises(ValueError, match="a stream is iterated over each epoch: a generator is"):
        Stream(i for i in range(3))
    with pytest.raises(ValueError, match="a DataLoader of batches: give its dataset"):
        Stream(DataLoader(torch.zeros(8, 2), batch_size=4))
    assert len(Stream(DataLoader(torch.zeros(8, 2), batch_size=None)).first(8)) == 8
    with pytest.raises(DataError, match="is empty"):
        steps(Stream(Numbers(0)), 1)
    with pytest.raises(DataError, match="is empty"):
        Stream(Numbers(0)).first(2)
    with pytest.raises(ValueError, match="blocks of 4 items, not 5"):
        Stream(Numbers(9), block=5).turn_to(Stream(Numbers(9), block=4).bookmark())
    assert not is_stream(torch.zeros(2))
    assert not is_stream([1])


class Points(IterableDataset):
    """Columns by name, as `datasets` has them."""

    columns = ("x", "label")

    def __iter__(self):
        for i in range(90):
            columns = {"x": [i % 7 / 7, i % 5 / 5], "label": i % 2, "name": f"{i}"}
            yield {name: columns[name] for name in self.columns}


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 2)

    def forward(self, x, t, condition):
        return self.layer(torch.cat([x, t[:, None], condition[:, None].float()], 1))


@pytest.mark.gate
def test_a_stream_trains_and_goes_on_bit_for_bit(tmp_path):
    more = {"batch_size": 8, "checkpoint_every": 5, "sample_every": 0, "cpu": True}
    network = Network()
    for steps in (7, 12, 25):  # 11.25 steps are an epoch
        parts = train(Points(), network, tmp_path / "a", steps=steps, decay="constant", **more)
    whole = train(Stream(Points()), network, tmp_path / "b", steps=25, decay="constant", **more)
    assert all(map(torch.equal, whole.state_dict().values(), parts.state_dict().values()))
    assert not torch.equal(whole.network.layer.weight, network.layer.weight)
    with pytest.raises(ValueError, match=r"--training\.workers 0"):
        train(Points(), network, tmp_path / "c", steps=2, workers=1, **more)


def test_columns_that_are_no_pair_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(Points, "columns", ("x", "label", "name"))
    with pytest.raises(DataError, match="an item has the columns x, label, name: select"):
        train(Points(), Network(), tmp_path / "a", steps=2, cpu=True)


def test_the_streams_of_datasets_go_on_too():
    datasets = pytest.importorskip("datasets")
    rows = {"x": [[float(i), 0.0] for i in range(50)]}
    source = datasets.Dataset.from_dict(rows).to_iterable_dataset(num_shards=5)
    whole = steps(Stream(source, block=8), 30)
    assert sorted(x for batch in whole[:12] for x, _ in batch)[:5] == [0, 1, 2, 3, 4]
    for stop in (3, 13, 25):
        before = Stream(source, block=8)
        steps(before, stop)
        after = Stream(source, block=8)
        after.turn_to(before.bookmark())
        assert steps(after, 30 - stop, start=stop) == whole[stop:]
        assert before.bookmark()["state"] is not None or stop == 0
