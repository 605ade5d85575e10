"""Numbers that images are drawn by: from files to samples."""

import numpy as np
import pytest
import torch
from PIL import Image
from terminal import complaint, feller

from feller.core.registry import load
from feller.images.data import DataError, ImageData

TINY = ("--training.steps", 1, "--training.batch-size", 2, "--training.sample-every", 1, "--cpu")


@pytest.fixture
def folder(tmp_path):
    """Ten images in two folders, with a table of their size and angle."""
    lines = ["file_name,size,text,angle"]
    for i in range(10):
        file = tmp_path / "data" / ("a", "b")[i % 2] / f"{i}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((8, 8), 20 * i, np.uint8)).save(file)
        lines.append(f"{file.parent.name}/{file.name},{100 + i},word,{i / 10}")
    (tmp_path / "data" / "metadata.csv").write_text("\n".join(lines))
    return tmp_path / "data"


def data(root, *conditions, **fields):
    return ImageData(**{"source": "folder", "root": str(root), "size": 8} | fields,
                     conditions=conditions).build()  # fmt: skip


def test_columns_of_a_table(folder):
    found = data(folder, "angle", "size")
    images, numbers = found[list(range(10))]
    level = images[:, 0, 0, 0] / 20
    assert numbers[:, 0].tolist() == pytest.approx((level / 10).tolist())
    assert numbers[:, 1].tolist() == (100 + level).tolist()
    assert str(found) == "10 images with the numbers angle, size; skipped: 1 other files (.csv)"
    assert data(folder).classes == ("a", "b")


@pytest.mark.parametrize(
    ("conditions", "change", "reason"),
    [
        (("width",), None, r"has no column 'width'; there are size, text, angle"),
        (("text",), None, r"column 'text' has 'word', not a number"),
        (("all",), None, r"column 'text' has 'word', not a number"),
        (("size",), ("b/1.png", "b/x.png"), r"has no line of b/1\.png"),
        (("size",), ("file_name", "name"), r"has no column file_name; there are name, size"),
        (("size",), ("b/1.png", 'b/1.png,"'), r"is not a readable \.csv file|has no line of"),
        (("width",), ("size,", '"si\nze",'), r"no column 'width'; there are si ze, text, angle$"),
        (("size",), (",103,", ",1e300,"), r"conditions are finite numbers, not \[inf\]"),
        (("size",), (",103,", ",nan,"), r"conditions are finite numbers, not \[nan\]"),
    ],
)
def test_tables_that_are_none(folder, conditions, change, reason):
    table = folder / "metadata.csv"
    table.write_text(table.read_text().replace(*change) if change else table.read_text())
    with pytest.raises(DataError, match=reason):
        data(folder, *conditions)


def test_rows_of_an_array(folder, tmp_path):
    (folder / "metadata.csv").unlink()
    with pytest.raises(DataError, match=r"has neither metadata\.csv nor conditions\.npy"):
        data(folder, "all")
    np.save(folder / "conditions.npy", np.arange(20.0).reshape(10, 2))
    assert data(folder, "1").numbers.flatten().tolist() == list(range(1, 20, 2))
    np.save(folder / "conditions.npy", np.arange(18.0).reshape(9, 2))
    with pytest.raises(DataError, match=r"for 10 images, found float64 \(9, 2\)"):
        data(folder, "all")
    images = np.zeros((3, 8, 8), np.uint8)
    np.savez(tmp_path / "a.npz", images=images, conditions=np.eye(3))
    found = data(tmp_path / "a.npz", "all", source="npz")
    assert found.labels.equal(torch.eye(3)) and found.columns == ("0", "1", "2")
    with pytest.raises(DataError, match="drawn has no numbers for conditions"):
        data("", "all", source="drawn")


@pytest.mark.gate
def test_from_a_folder_to_samples(folder, tmp_path):
    """One recipe: the numbers are read, scaled, dropped and asked for."""
    run, flags = tmp_path / "run", ("--data.conditions", "size", "angle")
    done = feller("train", "images/folder", "--data.root", folder, *flags, "--out", run, *TINY)
    assert done.code == 0, done.err
    model = load(str(run))
    codec = model.codec
    assert codec.numbers == ("size", "angle") and model.config.network.condition_size == 2
    assert codec.means == pytest.approx((104.5, 0.45))
    scaled = model.labels(1, [104.5 + codec.stds[0], 0.45])
    assert scaled.flatten().tolist() == pytest.approx([1.0, 0.0], abs=1e-4)
    out = tmp_path / "a.npz"
    ask = ("sample", run, "-n", 2, "--steps", 1, "--out", out)
    assert feller(*ask, "--condition", 101, 0.3, "--guidance", 2).code == 0
    out.unlink()
    assert complaint(*ask, "--condition", 101).startswith(
        "feller sample: the condition is 2 numbers"
    )
    assert complaint(*ask, "--label", "a") == (
        "feller sample: --label: the model takes numbers (size, angle): give --condition"
    )
    assert "--guidance needs --condition" in complaint(*ask, "--guidance", 2)
    shown = feller(
        "evaluate", run, "-n", 4, "--steps", 1, "--likelihood-n", 1, "--likelihood-steps", 1
    )
    assert shown.code == 0 and "bits per dimension" in shown.out


@pytest.mark.parametrize("header", ["{'descr': '<f8',", "{'shape': (99999999999999999999, 2),"])
def test_arrays_whose_header_is_damaged(folder, header):
    """numpy parses it as Python, with errors that are no ValueError."""
    (folder / "metadata.csv").unlink()
    text = header.encode().ljust(118) + b"\n"
    (folder / "conditions.npy").write_bytes(b"\x93NUMPY\x01\x00" + b"\x77\x00" + text)
    with pytest.raises(DataError, match=r"conditions\.npy is not a readable array"):
        data(folder, "all")
