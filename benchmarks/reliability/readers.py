"""The readers of what users and other programs write, each with a few small valid inputs.

A reader is made in a folder of its own, which has what else it needs, and takes bytes.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import core_readers as core
import images_readers as images
import proteins_readers as proteins
import text_readers as text
from reader import Reader

__all__ = ["READERS", "Reader"]

READERS: dict[str, Callable[[Path], Reader]] = {
    **{f"{domain}-config": partial(core.config, domain) for domain in ("points", "images", "text")},
    "proteins-config": partial(core.config, "proteins"),
    "weights": core.weights,
    "card": core.card,
    "foreign-config": partial(core.foreign, "config.json"),
    "foreign-index": partial(core.foreign, "model.safetensors.index.json"),
    "foreign-weights": partial(core.foreign, "model.safetensors"),
    **{
        f"run-{n.split('.')[0]}": partial(core.run, n)
        for n in ("recipe.json", "run.json", "log.jsonl")
    },
    "state": partial(core.state, "state.json"),
    "state-tensors": partial(core.state, "state.safetensors"),
    "state-sums": partial(core.state, "SHA256SUMS"),
    "pairs": core.pairs,
    **{
        kind.lower(): partial(images.image, kind)
        for kind in ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "TGA", "JPEG2000")
    },
    "npz": images.npz,
    "npy": images.npy,
    "numbers-csv": images.table_of_numbers,
    "numbers-npy": images.rows_of_numbers,
    "image-shard": images.shard,
    "image-label": images.label,
    "shard-list": core.list_of_shards,
    "shard-notes": core.notes_of_shards,
    **{ending: partial(text.text, ending, valid) for ending, valid in text.rows().items()},
    "text-shard": text.text_shard,
    "tokenizer": text.tokenizer,
    **{kind: partial(proteins.structure, kind) for kind in ("pdb", "pdb.gz", "cif", "bcif")},
    "zip": proteins.archive,
    "fasta": proteins.fasta,
    "contigs": proteins.contigs,
    "cache-index": partial(proteins.cache, "index.json"),
    "cache-portion": partial(proteins.cache, "00000.json"),
    "cache-shard": partial(proteins.cache, "00000.safetensors"),
    "chain-ids": partial(proteins.list_of_chains, "ids.txt"),
    "chain-clusters": partial(proteins.list_of_chains, "clusters.csv"),
}
