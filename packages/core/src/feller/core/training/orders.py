"""The order of an epoch: which datum stands at which position, without a list of them.

A list of 300 million indices takes 2.4 GB and a minute in every process. Instead, position i holds
datum pi(i), where the permutation pi of {0, ..., n - 1} is computed where it is asked for: a keyed
Feistel network on the rectangle a x b >= n, a = ceil(sqrt(n)), b = ceil(n / a), whose rounds are

    (l, r) -> (r, (l + F(k, r)) mod a)        and with a and b exchanged the next time,

each a bijection for any F. What lands beyond n is sent on until it does not (cycle walking), which
is rare, since a b - n < a. Source: Black and Rogaway, "Ciphers with arbitrary finite domains",
CT-RSA 2002.
"""

import hashlib
from abc import ABC, abstractmethod

import numpy as np
import torch
from torch import Tensor

from feller.core.random import seed_of

__all__ = ["ORDER", "ChunkedOrder", "GroupedOrder", "Order", "Permuted", "PlainOrder", "Shuffle"]

ORDER = 2
"""The version of orders; a run goes on with the one that it began with.

1 is a list of each epoch (`Permuted`). 2 has lists of few data alone (`Shuffle`), of which data
without groups have the same order as before."""
LISTED = 2**20
"""Data up to which a permutation is a list, which is drawn uniformly from all of them."""
FEW = 2**12
"""Members of a group up to which their order is a list."""
ROUNDS = 12
_WORD = np.uint64


class Shuffle:
    """A permutation of {0, ..., n - 1}: `shuffle(positions)` are the indices at some positions.

    Args:
        n: How many there are.
        seed: Chooses the permutation, a whole number from 0 to 2**63 - 1.
        listed: Up to how many it is a list.

    Example:
        >>> sorted(Shuffle(5, seed=0)(np.arange(5)).tolist())
        [0, 1, 2, 3, 4]
        >>> int(Shuffle(10**12, seed=0)(np.array([7]))[0]) < 10**12
        True
    """

    def __init__(self, n: int, *, seed: int, listed: int = LISTED) -> None:
        self.n = n
        self._list: np.ndarray | None = None
        if n <= max(listed, 1):
            rng = torch.Generator().manual_seed(seed)
            self._list = torch.randperm(n, generator=rng).numpy()
            return
        rows = int(np.ceil(np.sqrt(n)))
        self._sides = rows, -(-n // rows)
        key = hashlib.shake_128(f"shuffle/{seed}".encode()).digest(8 * ROUNDS)
        self._keys = np.frombuffer(key, dtype="<u8").astype(_WORD)

    def __call__(self, positions: np.ndarray) -> np.ndarray:
        """Return the indices `(m,)` at positions `(m,)`, int64."""
        if self._list is not None:
            return self._list[positions]
        found = self._network(positions)
        while len(beyond := np.flatnonzero(found >= self.n)):
            found[beyond] = self._network(found[beyond])
        return found

    def _network(self, x: np.ndarray) -> np.ndarray:
        a, b = self._sides
        left, right = np.divmod(x.astype(_WORD), _WORD(b))
        for key in self._keys:
            # left is below a, right below b; each round exchanges the two.
            left, right = right, (left + _mixed(right ^ key) % _WORD(a)) % _WORD(a)
            a, b = b, a
        return (left * _WORD(b) + right).astype(np.int64)


def _mixed(x: np.ndarray) -> np.ndarray:
    """Return words of which every bit depends on all bits of x: the end of splitmix64.

    Source: Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014.
    """
    x = (x ^ (x >> _WORD(30))) * _WORD(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> _WORD(27))) * _WORD(0x94D049BB133111EB)
    return x ^ (x >> _WORD(31))


class Order(ABC):
    """The order of every epoch.

    Attributes:
        length: Data of an epoch.
    """

    length: int

    @abstractmethod
    def at(self, epoch: int, positions: np.ndarray) -> np.ndarray:
        """Return the indices `(m,)` at positions `(m,)`, in [0, length), of an epoch."""


class PlainOrder(Order):
    """All data, in any order.

    Example:
        >>> PlainOrder(3, seed=0).at(0, np.arange(3)).shape
        (3,)
    """

    def __init__(self, size: int, *, seed: int) -> None:
        self.length, self._seed, self._epoch = size, seed, -1

    def at(self, epoch: int, positions: np.ndarray) -> np.ndarray:
        """Return the indices at some positions of an epoch."""
        if epoch != self._epoch:
            self._epoch = epoch
            self._shuffle = Shuffle(self.length, seed=seed_of(self._seed, "epoch", epoch))
        return self._shuffle(positions)


class GroupedOrder(Order):
    """Batches of one group each, in any order; what fills no batch is left out, at random.

    Args:
        groups: The group of each datum `(n,)`.
        batch: Rows of a batch.
        seed: Chooses the orders.

    Example:
        >>> order = GroupedOrder(torch.tensor([0, 1, 0, 1, 1]), 2, seed=0)
        >>> order.length
        4
    """

    def __init__(self, groups: Tensor, batch: int, *, seed: int) -> None:
        self._seed, self._batch, self._epoch = seed, batch, -1
        keys = groups.numpy()
        self._members = np.argsort(keys, kind="stable")
        _, self._counts = np.unique(keys, return_counts=True)
        self._starts = np.cumsum(self._counts) - self._counts
        self._batches = np.cumsum(self._counts // batch)  # up to and with each group
        self.length = int(self._batches[-1]) * batch if len(keys) else 0

    def at(self, epoch: int, positions: np.ndarray) -> np.ndarray:
        """Return the indices at some positions of an epoch."""
        if epoch != self._epoch:
            self._epoch, self._within = epoch, dict[int, Shuffle]()
            seed = seed_of(self._seed, "epoch", epoch)
            self._order = Shuffle(int(self._batches[-1]), seed=seed)
        number, row = np.divmod(positions, self._batch)
        number = self._order(number)
        group = np.searchsorted(self._batches, number, side="right")
        first = self._batches[group] - self._counts[group] // self._batch
        member = (number - first) * self._batch + row
        found = np.empty_like(member)
        for each in np.unique(group):
            chosen = group == each
            inside = self._inside(int(each))(member[chosen])
            found[chosen] = self._members[self._starts[each] + inside]
        return found

    def _inside(self, group: int) -> Shuffle:
        if group not in self._within:
            seed = seed_of(self._seed, "epoch", self._epoch, "group", group)
            # Many groups at once: lists of all of them would be as long as the data.
            self._within[group] = Shuffle(int(self._counts[group]), seed=seed, listed=FEW)
        return self._within[group]


class ChunkedOrder(Order):
    """Data in chunks, such as shards: few chunks are read at once, and their data in any order.

    Chunks are put in any order, and `pool` of them that follow each other are shuffled as one.

    Args:
        sizes: Data of each chunk `(c,)`; datum i is in the chunk that its number says.
        pool: Chunks that are read at once.
        seed: Chooses the orders.

    Example:
        >>> order = ChunkedOrder(np.array([2, 1, 3]), 1, seed=0)
        >>> sorted(order.at(0, np.arange(6)).tolist())
        [0, 1, 2, 3, 4, 5]
    """

    def __init__(self, sizes: np.ndarray, pool: int, *, seed: int) -> None:
        self._sizes, self._pool, self._seed, self._epoch = sizes.astype(np.int64), pool, seed, -1
        self._starts = np.cumsum(self._sizes) - self._sizes
        self.length = int(self._sizes.sum())

    def at(self, epoch: int, positions: np.ndarray) -> np.ndarray:
        """Return the indices at some positions of an epoch."""
        if epoch != self._epoch:
            self._begin(epoch)
        pools = np.searchsorted(self._pool_starts, positions, side="right") - 1
        found = np.empty(len(positions), dtype=np.int64)
        for each in np.unique(pools):
            chosen = pools == each
            chunks = self._chunks[each * self._pool : (each + 1) * self._pool]
            ends = np.cumsum(self._sizes[chunks])
            seed = seed_of(self._seed, "epoch", self._epoch, "pool", each)
            if each not in self._within:
                self._within = {each: Shuffle(int(ends[-1]), seed=seed)}
            inside = self._within[each](positions[chosen] - self._pool_starts[each])
            which = np.searchsorted(ends, inside, side="right")
            row = inside - (ends - self._sizes[chunks])[which]
            found[chosen] = self._starts[chunks[which]] + row
        return found

    def _begin(self, epoch: int) -> None:
        self._epoch, self._within = epoch, dict[int, Shuffle]()
        seed = seed_of(self._seed, "epoch", epoch)
        self._chunks = Shuffle(len(self._sizes), seed=seed)(np.arange(len(self._sizes)))
        ends = np.cumsum(self._sizes[self._chunks])
        self._pool_starts = np.concatenate([[0], ends[self._pool - 1 : -1 : self._pool]])


class Permuted(Order):
    """Order 1: a list of each epoch, of data with groups or without."""

    def __init__(self, size: int, groups: Tensor | None, batch: int, *, seed: int) -> None:
        self._seed, self._groups, self._batch, self._epoch = seed, groups, batch, -1
        self.length = size if groups is None else len(self._batches_of(groups.sort().indices))

    def at(self, epoch: int, positions: np.ndarray) -> np.ndarray:
        """Return the indices at some positions of an epoch."""
        if epoch != self._epoch:
            self._epoch, self._order = epoch, self._permutation(epoch).numpy()
        return self._order[positions]

    def _permutation(self, epoch: int) -> Tensor:
        rng = torch.Generator().manual_seed(seed_of(self._seed, "epoch", epoch))
        if self._groups is None:
            return torch.randperm(self.length, generator=rng)
        order = torch.randperm(len(self._groups), generator=rng)
        by_group = order[self._groups[order].sort(stable=True).indices]
        batches = self._batches_of(by_group).view(-1, self._batch)
        return batches[torch.randperm(len(batches), generator=rng)].flatten()

    def _batches_of(self, by_group: Tensor) -> Tensor:
        """Return what of indices in the order of their groups fills whole batches."""
        assert self._groups is not None
        _, counts = self._groups[by_group].unique_consecutive(return_counts=True)
        parts = by_group.split(counts.tolist())
        size = self._batch
        return torch.cat([part[: len(part) // size * size] for part in parts])
