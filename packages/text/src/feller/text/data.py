r"""Text as windows of tokens.

A corpus is tokenized once: the ids of its documents are concatenated, with an end of document after
each if the codec has one. The ids of each split are a memory-mapped file in the cache, so a corpus
may be larger than memory. A window is `length` ids from any position: windows may start inside
documents, and get no begin or end token.

Held-out text is never trained on: whole documents, chosen by a hash of their names, or the last
part of the text.
"""

import hashlib
import json
import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from feller.core.config import encode, tagged
from feller.core.training import DataConfig
from feller.core.waiting import alone
from feller.text.codec import cut_name
from feller.text.corpora import (
    Corpus,
    CorpusSource,
    DataError,
    Document,
    Passage,
    joined,
    passages,
)
from feller.text.cutting import Cut, write_ids
from feller.text.folders import files_read, refuse_overlap, state_of
from feller.text.shards import shard_names, shard_states
from feller.text.tables import Table
from feller.text.tokenizers import Bytes, Tokenizer
from feller.text.tokenizers.streams import encode_pieces

__all__ = ["TextData", "Windows"]

Split = Literal["train", "test"]

_FOR = (("config", "datasets", ""), ("split", "datasets", "train"), ("pattern", "folder", "*"))
"""Fields that one source alone reads, and what they are where nobody asks."""


@dataclass(frozen=True)
class Windows:
    """Windows of a sequence of ids that lies in a file.

    Attributes:
        ids: The whole sequence.
        length: Ids of a window.
        stride: Ids between the starts of windows.
        cut: How text became ids (`feller.text.codec.cut_name`).
    """

    ids: np.ndarray
    length: int
    stride: int
    cut: str

    def __len__(self) -> int:
        """Return the number of windows."""
        return (len(self.ids) - self.length) // self.stride + 1

    def fingerprint(self) -> dict[str, Any]:
        """Return what distinguishes it from windows of any other text: a digest of all ids."""
        found = hashlib.sha256(np.ascontiguousarray(self.ids).data).hexdigest()
        return {"items": len(self), "groups": None, "content": found}

    def __getitem__(self, indices: list[int]) -> tuple[Int[Tensor, "b n"], str]:
        """Return a batch of windows and the name of how they were cut."""
        starts = (i * self.stride for i in indices)
        rows = np.stack([self.ids[start : start + self.length] for start in starts])
        return torch.from_numpy(rows.astype(np.int64)), self.cut


@tagged("text/data", renamed={"share": "test_fraction"})
@dataclass(frozen=True, kw_only=True)
class TextData(DataConfig):
    """Where text comes from, and how it is tokenized.

    Attributes:
        source: `file`, `folder`, `stdlib` (Python's source), `stdlib-docs` (its docs), `datasets`,
            or `shards` (tar files of the WebDataset layout, of `.txt` or `.json` with a column).
        path: The file, the folder, or the name or folder of the data set; of `shards` a folder, a
            pattern of files (`DIR/*.tar`), an address with numbers in braces
            (`https://HOST/a-{000..099}.tar`) or an index of `wids`.
        test_path: File or folder to hold out; a part of `path` if empty.
        pattern: Glob pattern of the files to read in a folder.
        separator: String between the documents of a text file; one document if empty.
        column: Column of the text in a `.jsonl`, `.json`, `.csv`, `.tsv` or `.parquet` file, or a
            data set; if empty, files are plain text whatever their suffix.
        config: Configuration of a data set, if it has several.
        split: Split of a data set to train on.
        test_split: Split to hold out; a part of `split` if empty.
        tokenizer: The model's tokenizer.
        has_end: Whether an end-of-document token follows each document, as in the model's codec.
        length: Window length, in tokens.
        stride: Tokens between the starts of training windows.
        held_out: `tail` holds out the end of the text, which is read whole; `documents` whole
            documents, chosen by name.
        test_fraction: Fraction to hold out, 0 for nothing.
        cache: Folder for tokenized text; the user's cache folder if empty.
    """

    source: CorpusSource = "file"
    path: str = ""
    test_path: str = ""
    pattern: str = "*"
    separator: str = ""
    column: str = "text"
    config: str = ""
    split: str = "train"
    test_split: str = ""
    tokenizer: Tokenizer = field(default_factory=Bytes)
    has_end: bool = False
    length: int = 256
    stride: int = 1
    held_out: Literal["tail", "documents"] = "tail"
    test_fraction: float = 0.1
    cache: str = ""

    def __post_init__(self) -> None:
        """Check that sizes are positive."""
        if self.length < 1 or self.stride < 1:
            raise ValueError(f"length and stride are at least 1: {self.length}, {self.stride}")
        if not 0 <= self.test_fraction < 1:
            raise ValueError(f"test_fraction is in [0, 1), not {self.test_fraction}")

    def build(self, split: Split = "train") -> Windows:
        """Tokenize the corpus, or open the cached ids of an earlier run.

        Windows of the test split do not overlap.

        Raises:
            DataError: When the corpus is missing or empty, or shorter than a window.
            TokenizerError: When it holds something the tokenizer does not know.
        """
        file = self._folder() / f"{split}.ids"
        if not file.is_file():
            self._cut(file, split)
        kind = np.uint16 if self._ids <= 2**16 else np.uint32
        if file.stat().st_size < self.length * kind().itemsize:
            found = file.stat().st_size // kind().itemsize
            raise DataError(
                f"the {split} split of {self._name} has {found} tokens: a window has {self.length}"
            )
        if (note := file.with_suffix(".txt")).is_file():
            print(f"{self._name}: {note.read_text(encoding='utf-8')}", file=sys.stderr)
        ids = np.memmap(file, dtype=kind, mode="r")
        stride = self.stride if split == "train" else self.length
        return Windows(ids, self.length, stride, cut_name(self.tokenizer, has_end=self.has_end))

    def texts(self, split: Split = "train") -> Iterator[Document]:
        """Return the documents of a split, as text.

        Raises:
            DataError: When the corpus is missing or empty.
        """
        return joined(self.passages(split))

    def passages(self, split: Split = "train") -> Iterator[Passage]:
        """Return the documents of a split, as text, a passage at a time.

        Raises:
            DataError: When the corpus is missing or empty.
        """
        self._check()
        every = self._corpus(split)
        if self.test_path or self.test_split:
            yield from passages(every)
        elif self.held_out == "documents":
            for part in passages(every):
                if (_fraction_of(part.name) < self.test_fraction) == (split == "test"):
                    yield part
        else:
            total = sum(len(part.text) for part in passages(every))
            left = total - int(total * self.test_fraction)
            yield from (_before if split == "train" else _after)(passages(every), left)

    def encode(self, document: Document) -> list[int]:
        """Return the ids of a document, with its end where there is one.

        Raises:
            TokenizerError: When it holds something the tokenizer does not know.
        """
        parts = encode_pieces(self.tokenizer, iter([document.text]), document.name)
        return [i for ids in parts for i in ids] + [self.tokenizer.size] * self.has_end

    def _corpus(self, split: Split) -> Corpus:
        """Return where the text of a split lies, or of both where it is the same."""
        other = split == "test"
        if other and self.test_split and self.source != "datasets":
            raise DataError(
                "--data.test-split is for --data.source datasets: give --data.test-path"
            )
        chosen = (other and self.test_split) or self.split
        return Corpus(
            source=self.source,
            path=(other and self.test_path) or self.path,
            pattern=self.pattern,
            separator=self.separator,
            table=Table(column=self.column, config=self.config, split=chosen),
        )

    def _check(self) -> None:
        """Reject what would not be read, and texts that are both trained on and held out."""
        if self.source.startswith("stdlib") and (self.path or self.test_path):
            raise DataError(
                f"the source {self.source} is the library of this Python, not "
                f"{self.path or self.test_path}: give --data.source file, or folder, too"
            )
        for name, source, unused in _FOR:
            if self.source != source and (value := getattr(self, name)) != unused:
                raise DataError(
                    f"--data.{name} {value} is for --data.source {source}: leave it out"
                )
        if self.path and self.test_path:
            refuse_overlap(self.path, self.test_path, self._read)
        if self.test_split and self.test_split == self.split and not self.test_path:
            raise DataError(f"--data.test-split {self.split} is what is trained on: give another")

    def _read(self, path: str) -> set[str]:
        """Return the files that are read, links resolved."""
        return shard_names(path) if self.source == "shards" else files_read(path, self.pattern)

    @property
    def _ids(self) -> int:
        return self.tokenizer.size + self.has_end

    @property
    def _name(self) -> str:
        return Path(self.path).name or self.source

    def _folder(self) -> Path:
        """Return the folder of this corpus, cut this way: its name differs from any other's."""
        usual = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "feller" / "text"
        root = Path(self.cache) if self.cache else usual
        free = {"length", "stride", "cache"}
        facts = {k: v for k, v in encode(self).items() if k not in free}
        state = shard_states if self.source == "shards" else state_of
        facts["state"] = [state(p) for p in (self.path, self.test_path) if p]
        if self.source.startswith("stdlib"):
            facts["state"] = [sys.version]
        digest = hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:24]
        return root / digest

    def _cut(self, file: Path, split: Split) -> None:
        """Write the ids of a split."""
        kind = np.uint16 if self._ids <= 2**16 else np.uint32
        cut = Cut(self.tokenizer, self.has_end, kind)
        with alone(file.parent, f"{self._name} is cut"):
            if not file.is_file() and not write_ids(file, self.passages(split), cut):
                raise DataError(f"the {split} split of {self._name} is empty: no text to cut")


def _before(parts: Iterable[Passage], count: int) -> Iterator[Passage]:
    """Yield the first characters of a text; a document that goes on ends there."""
    begun = False
    for part in parts:
        if count <= 0:
            return
        text = part.text[:count]
        count -= len(part.text)
        ends = part.ends or count <= 0
        if text or (ends and begun):
            yield Passage(part.name, text, ends)
        begun = not ends


def _after(parts: Iterable[Passage], count: int) -> Iterator[Passage]:
    """Yield what follows the first characters of a text."""
    begun = False
    for part in parts:
        text = part.text[max(0, count) :]
        count -= len(part.text)
        if text or (part.ends and begun):
            yield Passage(part.name, text, part.ends)
            begun = not part.ends


def _fraction_of(name: str) -> float:
    """Return a number in [0, 1) that depends on the name alone."""
    return (
        int.from_bytes(hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest()[:8], "big")
        / 2**64
    )
