"""Text in shards: tar files of the WebDataset layout, on the disk or on the web.

A sample is a document: its file `.txt`, or a column of its file `.json`. Shards are read one after
another, and cut once like any corpus, so that what trains is on this machine.
"""

import json
from collections.abc import Iterator
from pathlib import Path

from feller.core.remote import is_remote
from feller.core.shards import Shards, find_shards
from feller.text.packed import DataError, check_characters

__all__ = ["shard_names", "shard_states", "shard_texts"]


def shard_texts(where: str, column: str) -> Iterator[tuple[str, str]]:
    """Yield the names and the texts of documents in shards.

    Args:
        where: As of `feller.core.shards.find_shards`.
        column: The column of the text in `.json` files.

    Raises:
        DataError: When there are no shards, one cannot be read, or a sample has no text.
    """
    shards = Shards(find_shards(where, ""), pool=1)
    number = 0
    for shard, count in zip(shards.shards, shards.chunks.tolist(), strict=True):
        for row in range(count):
            name = f"{Path(shard.name).name}#{row}"
            yield name, _text(shards[[number]][0], name, column)
            number += 1


def shard_names(where: str) -> set[str]:
    """Return the shards that a name means: addresses, and files with links resolved."""
    names = (shard.name for shard in find_shards(where, ""))
    return {name if is_remote(name) else str(Path(name).resolve()) for name in names}


def shard_states(where: str) -> list[object]:
    """Return what changes when shards do; of those on the web, their addresses alone."""
    found: list[object] = []
    for shard in find_shards(where, ""):
        if is_remote(shard.name):
            found.append(shard.name)
        else:
            state = Path(shard.name).stat()
            found.append([Path(shard.name).name, state.st_size, state.st_mtime_ns])
    return found


def _text(sample: dict[str, bytes], name: str, column: str) -> str:
    try:
        if "txt" in sample:
            return sample["txt"].decode("utf-8-sig")
        found = json.loads(sample["json"])[column] if "json" in sample else None
    except UnicodeDecodeError as error:
        raise DataError(f"{name} is not UTF-8: {error.reason}") from None
    except (ValueError, LookupError, TypeError, RecursionError):
        raise DataError(f"{name}: its .json has no column {column!r}: give --data.column") from None
    if not isinstance(found, str):
        raise DataError(f"{name} has no text, but {', '.join(sample) or 'nothing'}")
    check_characters(found, name)
    return found
