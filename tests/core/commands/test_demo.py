"""`feller demo`: a page of what every bundled model draws."""

import re
from html.parser import HTMLParser

import pytest
from PIL import Image
from terminal import complaint, feller

from feller.core.commands import demo
from feller.core.domains import Domain, domains, list_models, resolve


def picture(out):
    Image.new("L", (2, 2)).save(out / "a.png")
    return [("images/<a>", "a.png", "Two & two.")]


@pytest.fixture(autouse=True)
def domain(monkeypatch):
    """Two domains, of which one makes pictures."""
    toys = Domain(name="toys", package="feller.images", demo="toys:demo")
    silent = Domain(name="silent", package="feller.images")
    monkeypatch.setattr(demo, "domains", lambda: {"toys": toys, "silent": silent})
    monkeypatch.setattr(demo, "list_models", lambda: ["toys/a"])
    monkeypatch.setattr(demo, "resolve", {"toys:demo": picture}.__getitem__)


def pictures_of(page):
    """The images that a page shows; fails where a tag is not closed."""
    found, opened = [], []

    class Reader(HTMLParser):
        def handle_starttag(self, tag, attributes):
            if tag == "img":
                found.append(dict(attributes))
            if tag not in ("img", "meta"):
                opened.append(tag)

        def handle_endtag(self, tag):
            assert opened.pop() == tag

    Reader().feed(page)
    assert opened == []
    return found


def test_a_page_and_its_pictures(tmp_path):
    out = tmp_path / "deep" / "demo"
    assert feller("demo", "--out", out) == (0, f"open {out / 'index.html'}\n", "")
    page = (out / "index.html").read_text(encoding="utf-8")
    assert pictures_of(page) == [{"src": "a.png", "alt": "images/<a>"}]
    assert "<figcaption>Two &amp; two.</figcaption>" in page
    assert "http" not in page  # nothing is fetched
    assert {file.name for file in out.iterdir()} == {"a.png", "index.html"}


def test_images_come_first(tmp_path, monkeypatch):
    names = ("text", "toys", "proteins", "images")
    found = {name: Domain(name=name, package="p", demo=name) for name in names}
    monkeypatch.setattr(demo, "domains", lambda: found)
    figure = "{0} model", "{0}.png", "of {0}"
    monkeypatch.setattr(
        demo, "resolve", lambda name: lambda out: [tuple(part.format(name) for part in figure)]
    )
    assert feller("demo", "--out", tmp_path / "demo").code == 0
    page = (tmp_path / "demo" / "index.html").read_text()
    assert re.findall("<h2>(.*) model", page) == ["images", "text", "proteins", "toys"]


def test_a_demo_is_written_anew(tmp_path):
    (tmp_path / "demo").mkdir()
    for _ in range(2):
        assert feller("demo", "--out", tmp_path / "demo").code == 0
    assert "a.png" in (tmp_path / "demo" / "index.html").read_text()


def test_a_demo_that_was_interrupted_is_written_anew(tmp_path, monkeypatch):
    def fail(out):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(demo, "resolve", lambda reference: fail)
        assert feller("demo", "--out", tmp_path / "demo").code == 130
    assert feller("demo", "--out", tmp_path / "demo").code == 0


@pytest.mark.parametrize("file", ["thesis.tex", "index.html"])
def test_the_folders_of_others_are_left_alone(file, tmp_path):
    (tmp_path / file).write_text("<title>years of work</title>")
    assert complaint("demo", "--out", tmp_path) == (
        f"feller demo: {tmp_path} exists and is not a demo: choose another --out"
    )
    assert "choose another" in complaint("demo", "--out", tmp_path / file)
    assert [path.name for path in tmp_path.iterdir()] == [file]


def test_without_models_there_is_nothing_to_show(tmp_path, monkeypatch):
    monkeypatch.setattr(demo, "list_models", list)
    assert complaint("demo", "--out", tmp_path / "a").endswith("pip install feller-images")
    assert not (tmp_path / "a").exists()


def test_every_domain_with_models_has_a_demo(monkeypatch):
    monkeypatch.undo()
    with_models = [domain for domain in domains().values() if domain.models()]
    assert {name.split("/")[0] for name in list_models()} == {d.name for d in with_models}
    assert all(callable(resolve(domain.demo)) for domain in with_models)


@pytest.mark.slow
def test_bundled_models_are_shown(tmp_path, monkeypatch):
    monkeypatch.undo()
    assert list_models()
    assert feller("demo", "--out", tmp_path / "demo").code == 0
    shown = pictures_of((tmp_path / "demo" / "index.html").read_text())
    assert {one["alt"].split(":")[0] for one in shown} == set(list_models())
    for one in shown:
        with Image.open(tmp_path / "demo" / one["src"]) as image:
            assert image.size[0] > 300
