"""What it costs to read backbones: out of BinaryCIF, and out of feller's shards.

    python benchmarks/protein_reading.py FILES.bcif.zip [--chains 2000]

Beside feller stand biotite reading all that a file says of its atoms, and the fewest lines that
give the same positions: four columns, in files that hold whole backbones alone. All unzip.
The bars are chains a second on one core: 1,000 out of compressed files, 50,000 out of shards.
"""

import argparse
import io
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from biotite.structure.io.pdbx import BinaryCIFFile, get_structure
from paired import compare

from feller.proteins.data.filters import Filters
from feller.proteins.data.shards import Shards, build_shards
from feller.proteins.structure.chain import Chain
from feller.proteins.structure.reading import Entry, entries, read_entries

ALL = Filters(
    min_length=1, max_length=10**6, max_missing=1.0, max_step=1e9, max_gyration=1e9, max_coil=1.0
)


def readers(path: Path, some: list[Entry]) -> dict[str, Callable[[], list[np.ndarray]]]:
    """Return ways to read the positions of atoms of each file."""

    def feller() -> list[np.ndarray]:
        return [item.atoms for item in read_entries(some) if isinstance(item, Chain)]

    def files(archive: zipfile.ZipFile) -> list[BinaryCIFFile]:
        return [BinaryCIFFile.read(io.BytesIO(archive.read(entry.member))) for entry in some]

    def whole() -> list[np.ndarray]:
        with zipfile.ZipFile(path) as archive:
            return [get_structure(file, model=1).coord for file in files(archive)]

    def by_hand() -> list[np.ndarray]:
        positions = []
        with zipfile.ZipFile(path) as archive:
            for file in files(archive):
                table = file.block["atom_site"]
                assert table["label_atom_id"].as_array(str)[1] == "CA"
                axes = [table[f"Cartn_{axis}"].as_array(np.float32) for axis in "xyz"]
                positions.append(np.stack(axes, axis=-1).reshape(-1, 4, 3))
        return positions

    return {"feller": feller, "biotite, all columns": whole, "four columns": by_hand}


def report(count: int, results: dict[str, tuple[float, float]]) -> None:
    """Print chains a second, and the ratio of times to the first."""
    for name, (seconds, ratio) in results.items():
        print(f"  {name:28} {count / seconds:10.0f}  {ratio:6.2f} x")


def main() -> None:
    """Time the readers in turn, then the shards."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path", type=Path)
    parser.add_argument("--chains", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    some = entries(arguments.path)[: arguments.chains]
    contestants = readers(arguments.path, some)
    ours, by_hand = (contestants[name]() for name in ("feller", "four columns"))
    assert all(np.array_equal(a, b) for a, b in zip(ours, by_hand, strict=True))
    print("compressed BinaryCIF, chains a second (bar: 1,000)")
    report(len(some), compare(contestants, rounds=arguments.rounds))
    with tempfile.TemporaryDirectory() as folder:
        shards = build_shards(some, Path(folder), ALL)
        order = np.random.default_rng(0).permutation(len(shards)).tolist()
        measure_shards(shards, order, arguments.rounds)


def measure_shards(shards: Shards, order: list[int], rounds: int) -> None:
    """Time whole chains, and rows of a batch, out of the map."""
    rows = [order[i : i + 16] for i in range(0, len(order) - 15, 16)]
    length = int(shards.lengths.min())
    contestants = {
        "whole chains": lambda: [shards[i] for i in order],
        f"rows of {length} residues": lambda: [shards.rows(b, [0] * 16, length) for b in rows],
    }
    print("shards, chains a second (bar: 50,000)")
    report(len(order), compare(contestants, rounds=rounds, calls=5))


if __name__ == "__main__":
    main()
