"""Tokenizers: text to ids and back. They are values, and travel inside a model's `config.json`.

`Bytes` and `Characters` need nothing; `Pieces` is a tokenizer of the `tokenizers` library, such as
byte-pair merges trained by

    python -m feller.text.tokenizers --data.path corpus.txt --size 1024 --out tokenizer.json
"""

from feller.text.tokenizers.base import Tokenizer, TokenizerError
from feller.text.tokenizers.characters import LETTERS, Bytes, Characters, alphabet_of
from feller.text.tokenizers.pieces import Pieces, bundled_pieces

__all__ = [
    "LETTERS",
    "Bytes",
    "Characters",
    "Pieces",
    "Tokenizer",
    "TokenizerError",
    "alphabet_of",
    "bundled_pieces",
]
