"""`feller demo` on images."""

import numpy as np
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
    shown = commands.demo(tmp_path)
    assert listed == ["images/*"]
    assert [(one.title, one.caption) for one in shown] == [
        ("images/tiny", "Heun, 78 network calls, guidance 2."),
        ("images/free", "Heun, 39 network calls."),
    ]
    layouts = ((3, 4, pictures.CLASSES), (8, 4, ()))  # a column a class, or eight
    for one, (columns, rows, names) in zip(shown, layouts, strict=True):
        (film,) = one.parts
        assert (film.width, film.height) == (10 * columns + 2, 10 * rows + 2)
        assert (film.columns, film.count) == (names, 21)
        with Image.open(tmp_path / film.file) as picture:
            assert picture.size == (film.width, film.height * film.count)
            pixels = np.asarray(picture).reshape(film.count, film.height, film.width)
        assert (pixels[0] != pixels[-1]).any()
    assert "sampling images/tiny" in capsys.readouterr().err
