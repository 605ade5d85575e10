"""`feller demo` on images."""

import pictures
from PIL import Image

from feller.images.commands import demo as commands


def test_the_demo_draws_every_model(tmp_path, monkeypatch, capsys):
    folders = {
        "images/tiny": pictures.save(tmp_path / "tiny"),
        "images/free": pictures.save(tmp_path / "free", pictures.UNCONDITIONAL),
    }
    listed, load = [], commands.load
    monkeypatch.setattr(commands, "list_models", lambda pattern: listed.append(pattern) or folders)
    monkeypatch.setattr(commands, "load", lambda name, device: load(str(folders[name])))
    figures = commands.demo(tmp_path)
    assert listed == ["images/*"]
    assert figures == [
        ("images/tiny", "images-tiny.png",
         "Heun, 78 network calls, guidance 2."),
        ("images/free", "images-free.png", "Heun, 39 network calls."),
    ]  # fmt: skip
    columns = ((3, 8, 18), (8, 4, 0))  # the classes, with their names over them
    for (_, file, _), (count, rows, head) in zip(figures, columns, strict=True):
        with Image.open(tmp_path / file) as picture:
            assert picture.size == (8 * (10 * count + 2), 8 * (10 * rows + 2) + head)
    assert "sampling images/tiny" in capsys.readouterr().err
