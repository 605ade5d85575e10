"""Protein data: parts of chains, each row of a batch as long as the others.

A chain of L residues is cropped to at most `crop` of them, and then to a multiple of `width`, at
random ends for each item: so rows of one length need no padding, and no part of a chain is always
left out. The length of an item's row is its group; a batch is of one group.

In training, item i comes from cluster i mod C of C, and the members of a cluster alternate from one
round of C items to the next: a large protein family counts no more than a small one. Everything is
a function of the seed and i.
"""

import hashlib
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Int32, Int64
from torch import Tensor
from tqdm.auto import tqdm

from feller.core.config import tagged
from feller.core.random import seed_of
from feller.core.training import DataConfig
from feller.proteins.data.filters import Filters
from feller.proteins.data.relatives import joined, relatives
from feller.proteins.data.shards import DataError, Shards, build_shards, digest_of, open_shards
from feller.proteins.data.splits import Names, assigned, read_clusters, read_ids, shared
from feller.proteins.structure.chain import Chain
from feller.proteins.structure.reading import entries

__all__ = ["Parts", "ProteinData"]

Split = Literal["train", "test"]


@dataclass(frozen=True, eq=False)
class Parts:
    """Parts of chains, as a data set.

    Attributes:
        shards: The chains.
        chains: Which of them each item is a part of.
        starts: The first residue of the part.
        groups: Its length.
    """

    shards: Shards
    chains: Int32[np.ndarray, " m"]
    starts: Int32[np.ndarray, " m"]
    groups: Int64[Tensor, " m"]

    def __len__(self) -> int:
        """Return the number of items."""
        return len(self.chains)

    def __getitem__(self, indices: list[int]) -> dict[str, Tensor]:
        """Return a batch of items of one group.

        Returns:
            `atoms`, float32 `(b, n, 4, 3)` in Angstrom, NaN where one is missing; `residues`, int64
            `(b, n)`; `index`, int64 `(b, n)`, the positions along the chain.

        Raises:
            ValueError: When the items differ in length.
        """
        lengths = set(self.groups[indices].tolist())
        if len(lengths) != 1:
            raise ValueError(
                f"a batch is of one group; these items have {sorted(lengths)} residues"
            )
        atoms, residues, index = self.shards.rows(
            self.chains[indices].tolist(), self.starts[indices].tolist(), lengths.pop()
        )
        parts = zip(atoms, residues, index, strict=True)
        positions = np.stack([Chain("", *part).positions for part in parts])
        return {
            "atoms": torch.from_numpy(atoms),
            "residues": torch.from_numpy(residues.astype(np.int64)),
            "index": torch.from_numpy(positions.astype(np.int64)),
        }

    def name(self, i: int) -> str:
        """Return the name of the chain that an item is a part of."""
        return self.shards.names[self.chains[i]]


@tagged("proteins/data", renamed={"share": "test_fraction"})
@dataclass(frozen=True, kw_only=True)
class ProteinData(DataConfig):
    """Which chains to use, and how they are cropped.

    Attributes:
        path: A structure file, a folder of them, or a `.zip`.
        train_ids: A file with the names of the chains to train on, one per line (1abc_A, pdb1abc or
            1ABC); if empty, all chains that are not held out or related to those.
        test_ids: A file with the names of the chains to hold out; if empty, all that are not
            trained on or related to those. Without either file, clusters are held out by a hash of
            their names.
        clusters: A `.csv` with the columns `id` and `homology_group`. Chains of one of its groups
            form one cluster, and so do chains that are relatives by their sequences.
        unmatched: `refuse` (raise an error) or `pass` over names in these files without a chain.
        filters: Which chains are used.
        crop: Largest length of a training example, in residues.
        long: For longer chains: `crop` cuts out a part, `drop` leaves them out.
        width: Lengths are cropped to a multiple of this many residues.
        rounds: Visits to each cluster per epoch, each with another member and crop.
        test_fraction: Fraction of clusters to hold out, if no file says which.
        seed: Random seed of crops and members.
        workers: Number of processes that read structures that are not cached yet.
        cache: Folder for parsed structures; the user's cache folder when empty.
    """

    path: str = ""
    train_ids: str = ""
    test_ids: str = ""
    clusters: str = ""
    unmatched: Literal["refuse", "pass"] = "refuse"
    filters: Filters = field(default_factory=Filters)
    crop: int = 256
    long: Literal["crop", "drop"] = "crop"
    width: int = 4
    rounds: int = 32
    test_fraction: float = 0.05
    seed: int = 0
    workers: int = 1
    cache: str = ""

    def __post_init__(self) -> None:
        """Check that sizes are positive."""
        if not 1 <= self.width <= self.crop:
            raise ValueError(f"width is at least 1 and at most crop: {self.width}, {self.crop}")
        if self.rounds < 1:
            raise ValueError(f"rounds is at least 1, not {self.rounds}")
        if not 0 <= self.test_fraction < 1:
            raise ValueError(f"test_fraction is in [0, 1), not {self.test_fraction}")

    def example(self, n: int) -> dict[str, Tensor]:
        """Return `n` chains of `crop` residues, all alike."""
        return {
            "atoms": torch.zeros(n, self.crop, 4, 3),
            "residues": torch.zeros(n, self.crop, dtype=torch.int64),
            "index": torch.arange(self.crop).expand(n, -1),
        }

    @property
    def source(self) -> str:
        """Name of the file or folder, for a model's card."""
        return Path(self.path).name

    def build(self, split: Split = "train") -> Parts:
        """Open the parts of a split; read the structures first where there is no cache.

        Each chain of the test split is there once.

        Raises:
            DataError: When a file is missing, or nothing is left.
        """
        shards = self.shards()
        lengths = np.minimum(shards.lengths, self.crop) // self.width * self.width
        fits = lengths > 0
        if self.long == "drop":
            fits &= shards.lengths <= self.crop
        families = self._families(shards, split, fits)
        if not families:
            raise DataError(f"no chain of {self.source} is in the {split} split")
        chains = self._turns(families) if split == "train" else np.concatenate(families)
        room = shards.lengths[chains] - lengths[chains]
        starts = np.floor(self._chances("ends", len(chains)) * (room + 1))
        groups = torch.from_numpy(lengths[chains])
        return Parts(shards, chains.astype(np.int32), starts.astype(np.int32), groups)

    def shards(self) -> Shards:
        """Open the cache of all chains that are fit, or build it.

        Raises:
            DataError: When nothing can be read.
        """
        if not self.path:
            raise DataError("no structures: give --data.path, a file, a folder or a .zip")
        usual = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        root = Path(self.cache) if self.cache else usual / "feller" / "proteins"
        some = entries(self.path)
        folder = root / digest_of(some, self.filters)
        built = open_shards(folder)
        return built or build_shards(some, folder, self.filters, workers=self.workers)

    def _families(self, shards: Shards, split: Split, fits: np.ndarray) -> list[np.ndarray]:
        """Return the chains of each cluster of a split; say in training what is worth knowing."""
        names, strict = Names(shards.names, shards.letters, shards.refused), self._strict
        listed = read_clusters(self.clusters, names, strict=strict)
        clusters = joined(listed, relatives(shards))
        train = read_ids(self.train_ids, names, strict=strict)
        test = read_ids(self.test_ids, names, strict=strict)
        if train is None and test is None:
            held = [_fraction_of(cluster) < self.test_fraction for cluster in clusters]
            where, left = np.where(held, "test", "train"), 0
        else:
            where, left = assigned(train, test, clusters)
        if split == "train":
            self._tell(listed, where, clusters, left)
        families: dict[str, list[int]] = {}
        for i in np.flatnonzero(fits & (where == split)).tolist():
            families.setdefault(clusters[i], []).append(i)
        return [np.array(family) for family in families.values()]

    @property
    def _strict(self) -> bool:
        return self.unmatched == "refuse"

    def _tell(
        self, listed: Mapping[int, str], where: np.ndarray, clusters: Sequence[str], left: int
    ) -> None:
        """Say how chains are clustered, what is left out, and what is on both sides."""
        by = "by sequence (30 residues in a row are enough)"
        if file := Path(self.clusters).name:
            by = f"by {file} and {by}"
        lines = [f"clusters: {len(set(clusters)):,} of {len(clusters):,} chains, {by}"]
        if united := len(set(listed.values())) - len({clusters[i] for i in listed}):
            lines.append(f"united: {united:,} clusters of {file} with others, by sequence")
        if left:
            lines.append(f"left out: {left:,} chains, relatives of those that a list names")
        if both := shared(where, clusters):
            lines.append(f"held out in vain: {both:,} chains have relatives that are trained on")
        for line in lines:
            tqdm.write(line, file=sys.stderr)

    def _turns(self, families: list[np.ndarray]) -> np.ndarray:
        """Return a chain for each round and cluster, the members of a cluster in turn."""
        sizes = np.array([len(family) for family in families])
        firsts = np.cumsum(sizes) - sizes
        begin = np.floor(self._chances("members", len(sizes)) * sizes).astype(np.int64)
        member = (begin + np.arange(self.rounds)[:, None]) % sizes
        return np.concatenate(families)[firsts + member].reshape(-1)

    def _chances(self, what: str, count: int) -> np.ndarray:
        """Return uniform numbers that depend on the seed alone."""
        rng = torch.Generator().manual_seed(seed_of(self.seed, what))
        return torch.rand(count, generator=rng, dtype=torch.float64).numpy()


def _fraction_of(name: str) -> float:
    """Return a number in [0, 1) that depends on the name alone."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") / 2**64
