"""Readers of images: files, arrays, tables of numbers, shards."""

import io
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from reader import Reader, apart, of_file, shards_of, tar


def _pictures(endings: Iterable[str]) -> Iterator[bytes]:
    from PIL import Image

    rng = np.random.default_rng(0)
    colours = Image.fromarray(rng.integers(0, 255, (9, 12, 3), dtype=np.uint8))
    every = (colours, colours.convert("L"), colours.convert("P"), colours.convert("RGBA"))
    for ending in endings:
        for image in every:
            stream = io.BytesIO()
            try:
                image.save(stream, ending)
            except OSError:  # a JPEG has no transparency
                continue
            yield stream.getvalue()


def image(kind: str, home: Path) -> Reader:
    from feller.images.pixels import Reading, read_headers

    reading = Reading((8, 8))

    def read(file: Path) -> None:
        read_headers([file])
        reading.read(file)

    return of_file(home / f"a.{kind.lower()}", list(_pictures([kind])), read)


def _images_of(root: Path, source: Any, **more: Any) -> None:
    from feller.images.data import ImageData

    sized = {"size": 8} if source in ("folder", "shards") else {}
    found = ImageData(source=source, root=str(root), **sized, **more).build("train")
    found.facts()
    found[list(range(len(found)))]


def _packed(arrays: dict[str, Any], **more: Any) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, **arrays, **more)
    return stream.getvalue()


def npz(home: Path) -> Reader:
    arrays = {"images": np.zeros((3, 8, 8), np.uint8), "labels": np.arange(3)}
    picture = next(_pictures(["JPEG"]))
    jpegs = {
        "jpeg_header": np.frombuffer(picture[:300], np.uint8),
        "train_payload": np.frombuffer(picture[300:-2] * 2, np.uint8),
        "train_offsets": np.array([0, 1, 2]) * (len(picture) - 302),
        "train_labels": np.array([0, 1]),
    }
    packed = io.BytesIO()
    np.savez_compressed(packed, **arrays)
    valid = [_packed(arrays), _packed(jpegs), packed.getvalue()]
    return of_file(home / "a.npz", valid, lambda file: _images_of(file, "npz"))


def npy(home: Path) -> Reader:
    """An array inside an `.npz` file that is whole, so that its checksum is right."""
    stream = io.BytesIO()
    np.save(stream, np.zeros((3, 8, 8), np.uint8))

    def read(data: bytes) -> None:
        with zipfile.ZipFile(home / "a.npz", "w") as archive:
            archive.writestr("images.npy", data)
        _images_of(home / "a.npz", "npz")

    return Reader([stream.getvalue()], read)


def _folder_with(home: Path, name: str, valid: bytes) -> Reader:
    (home / "images").mkdir()
    for number, picture in enumerate(_pictures(["PNG"])):
        (home / "images" / f"{number}.png").write_bytes(picture)

    def read(file: Path) -> None:
        _images_of(file.parent, "folder", conditions=("all",))

    return of_file(home / "images" / name, [valid], read)


def table_of_numbers(home: Path) -> Reader:
    lines = "".join(f'{i}.png,{i}.5,"{i}"\n' for i in range(4))
    return _folder_with(home, "metadata.csv", f"file_name,age,size\n{lines}".encode())


def rows_of_numbers(home: Path) -> Reader:
    stream = io.BytesIO()
    np.save(stream, np.arange(8.0).reshape(4, 2))
    return _folder_with(home, "conditions.npy", stream.getvalue())


def shard(home: Path) -> Reader:
    """A tar file of images with labels."""
    pictures = list(_pictures(["PNG"]))
    files = {f"{i}.png": picture for i, picture in enumerate(pictures)}
    one = tar(files | {f"{i}.cls": b"3" for i in range(4)})
    two = tar(files | {f"{i}.json": b'{"label": 2}' for i in range(4)})
    return shards_of(home, [one, two], lambda file: _images_of(file, "shards"))


def label(home: Path) -> Reader:
    """The labels of a sample, in a tar file that is whole."""
    picture = next(_pictures(["PNG"]))

    def read(data: bytes) -> None:
        ending = "json" if data[:1] in b"{[" else "cls"
        (home / "a.tar").write_bytes(tar({"0.png": picture, f"0.{ending}": data}))
        _images_of(home / "a.tar", "shards")

    return apart(home, Reader([b'{"label": 3, "x": [1, 2]}', b'{"cls": "4"}', b"7"], read))
