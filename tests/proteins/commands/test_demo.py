"""`feller demo` on proteins."""

import tiny_proteins
from PIL import Image

from feller.proteins.commands import demo as commands
from feller.proteins.structure.reading import read_chains


def test_the_demo(tmp_path, monkeypatch):
    monkeypatch.setattr(commands, "list_models", lambda pattern: ["toys/tiny"])
    monkeypatch.setattr(commands, "load", lambda name, device: tiny_proteins.model())
    monkeypatch.setattr(commands, "DEMO_STEPS", 3)
    (shown,) = commands.demo(tmp_path)
    page, picture = shown.parts
    assert (shown.title, page.file) == ("toys/tiny", "toys-tiny.html")
    with Image.open(tmp_path / picture.file) as image:
        assert image.width > 300
    assert "3 network calls each" in shown.caption
    assert "toys-tiny/ in PDB" in shown.caption
    assert len(list(read_chains(tmp_path / "toys-tiny"))) == 4
    assert (tmp_path / page.file).stat().st_size > 100_000


def test_without_a_bundled_model_there_is_no_demo(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(commands, "list_models", lambda pattern: [])
    assert commands.demo(tmp_path) == []
    assert capsys.readouterr().err == "no protein model is bundled: the demo shows none\n"
    assert not list(tmp_path.iterdir())
