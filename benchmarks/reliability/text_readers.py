"""Readers of text: files, tables, shards, tokenizers."""

import bz2
import csv
import gzip
import io
import json
import lzma
from pathlib import Path

from reader import Reader, of_file, shards_of, tar, used_up

_WORDS = "To be, or not to be: that is the question.\n\nWhether 'tis nobler\n"


def text(ending: str, valid: list[bytes], home: Path) -> Reader:
    """A file of text, cut into tokens."""
    from feller.text.corpora import Corpus, passages

    def read(file: Path) -> None:
        used_up(passages(Corpus(source="file", path=str(file), separator="\n\n")))

    return of_file(home / f"a.{ending}", valid, read)


def rows() -> dict[str, list[bytes]]:
    objects = [{"text": "to be", "n": 1}, {"text": "or not", "n": [2, None]}, {"text": ""}]
    stream = io.StringIO()
    csv.writer(stream).writerows([["id", "text"], [1, 'to "be",\nor'], [2, "not"]])
    cells = stream.getvalue().encode()
    words = (_WORDS * 3).encode()
    return {
        "txt": [words, ("\ufeff" + _WORDS).encode()],
        "txt.gz": [gzip.compress(words)],
        "txt.xz": [lzma.compress(words)],
        "txt.bz2": [bz2.compress(words)],
        "jsonl": ["".join(json.dumps(o) + "\n" for o in objects).encode()],
        "json": [json.dumps(objects, indent=1).encode(), json.dumps(objects).encode()],
        "csv": [cells],
        "tsv": [cells.replace(b",", b"\t")],
    }


def text_shard(home: Path) -> Reader:
    """Documents in a tar file."""
    from feller.text.shards import shard_texts

    one = tar({"0.txt": b"to be", "1.txt": b"or not"})
    two = tar({"0.json": b'{"text": "to be"}', "1.json": b'{"text": "or not"}'})
    return shards_of(home, [one, two], lambda file: used_up(shard_texts(str(file), "text")))


def tokenizer(home: Path) -> Reader:
    """A `tokenizer.json`, which encodes and decodes."""
    from feller.text.tokenizers import Pieces

    made = json.loads(Pieces.train([_WORDS * 20], 266).definition)
    small = json.dumps(made, separators=(",", ":")).encode()
    made["pre_tokenizer"] = {"type": "Whitespace"}
    made["model"] = {
        "type": "WordLevel", "vocab": {"to": 0, "be": 1, "?": 2, "[U]": 3}, "unk_token": "[U]",
    }  # fmt: skip
    words = json.dumps(made).encode()

    def read(data: bytes) -> None:
        file = home / "tokenizer.json"
        file.write_bytes(data)
        tokenizer = Pieces(str(file))
        tokenizer.decode(tokenizer.encode(_WORDS))
        tokenizer.size, tokenizer.special, tokenizer.unknown, tokenizer.tokens("to be")

    return Reader([small, words, words], read)
