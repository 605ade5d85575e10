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
         "Heun, 78 network calls, guidance 2. Rows: cat, dog, Big Bird."),
        ("images/free", "images-free.png", "Heun, 39 network calls."),
    ]  # fmt: skip
    for (_, file, _), rows in zip(figures, (3, 4), strict=True):
        with Image.open(tmp_path / file) as picture:
            assert picture.size == (8 * 82, 8 * (10 * rows + 2))
    assert "sampling images/tiny" in capsys.readouterr().err
