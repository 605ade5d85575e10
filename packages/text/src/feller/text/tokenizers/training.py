"""`python -m feller.text.tokenizers --data.path FILE --size 1024 --out tokenizer.json`.

It trains on what models train on: the training split of the corpus. A recipe takes the file as
`--model.codec.tokenizer.definition FILE --data.tokenizer.definition FILE`.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

import tyro

from feller.core.flags import parse_flags
from feller.text.data import TextData
from feller.text.tokenizers.pieces import Pieces

__all__ = ["main"]


@dataclass(frozen=True, kw_only=True)
class TokenizerFlags:
    """Train a byte-pair tokenizer."""

    data: tyro.conf.AvoidSubcommands[TextData] = field(default_factory=TextData)
    """The corpus; its tokenizer, length and cache are ignored."""
    size: int = 1024
    """Number of ids, without the end-of-document id if there is one."""
    out: Path = Path("tokenizer.json")
    """The file to write."""


def main(argv: Sequence[str] | None = None) -> int:
    """Train and write; return the exit code: 0, or 2 after a one-line error."""
    given = sys.argv[1:] if argv is None else argv
    try:
        flags = parse_flags(TokenizerFlags, given, prog="python -m feller.text.tokenizers")
        if flags.out.exists():
            raise ValueError(f"{flags.out} exists already: choose another --out")
        flags.out.parent.mkdir(parents=True, exist_ok=True)
        texts = (passage.text for passage in flags.data.passages("train") if passage.text)
        if not (first := next(texts, "")):
            name = flags.data.path or flags.data.source
            raise ValueError(f"the training split of {name} is empty: give a file with text in it")
        pieces = Pieces.train(chain([first], texts), flags.size)
        flags.out.write_text(pieces.definition, encoding="utf-8")
    except (ValueError, OSError) as error:
        print(f"feller.text.tokenizers: {error}", file=sys.stderr)
        return 2
    some = first[:100_000]
    ratio = len(some.encode()) / max(1, len(pieces.encode(some)))
    print(f"{flags.out}: {pieces.size} ids, {ratio:.2f} bytes a token in its first document")
    return 0
