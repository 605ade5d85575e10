"""`feller demo`: a page of what every bundled model draws."""

import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from urllib.parse import unquote

import numpy as np
import pytest
from browser import visit
from devtools import chromium
from PIL import Image
from terminal import complaint, feller

from feller.core.commands import demo
from feller.core.domains import Domain, domains, list_models, resolve
from feller.core.exhibits import Exhibit, Film, Page, Writing

LONG = "a_very_long_word_without_a_space" * 8
CLICKS = """
const films = [...document.querySelectorAll(".film, .writing")];
const of = (film) => film.querySelector("output").textContent;
const first = films.map((film) => {
  film.querySelector("input").value = 0;
  film.querySelector("input").dispatchEvent(new Event("input"));
  return [of(film), film.querySelector("pre")?.textContent.slice(-1)];
});
films.forEach((film) => film.querySelector("button").click());
const playing = films.map((film) => film.querySelector("button").textContent);
await wait(6000);
const last = films.map((film) => [of(film), film.querySelector("pre")?.textContent.slice(-1)]);
const frame = document.querySelector("iframe");
frame.scrollIntoView();
await wait(1000);
return { first, playing, last, frame: frame.contentDocument.body.textContent };
"""


def picture(out):
    """A film, a text and a page."""
    noise = np.random.default_rng(0).integers(0, 255, (3 * 20, 30), dtype=np.uint8)
    Image.fromarray(noise).save(out / "a.png")
    (out / "a.html").write_text("<!doctype html><body>a page</body>")
    film = Film(file="a.png", width=30, height=20, count=3, columns=("x", "y"))
    text = Writing(steps=(((LONG, 0.0), ("_", 0.0)), ((LONG, 0.0), ("c", 0.5))), hidden="_")
    parts = film, text, Page(file="a.html", name="its page")
    return [Exhibit(title="images/<a>", parts=parts, caption="Two & two.")]


@pytest.fixture(autouse=True)
def domain(monkeypatch):
    """Two domains, of which one makes pictures."""
    toys = Domain(name="toys", package="feller.images", demo="toys:demo")
    silent = Domain(name="silent", package="feller.images")
    monkeypatch.setattr(demo, "domains", lambda: {"toys": toys, "silent": silent})
    monkeypatch.setattr(demo, "list_models", lambda: ["toys/a"])
    monkeypatch.setattr(demo, "resolve", {"toys:demo": picture}.__getitem__)


class Parts(HTMLParser):
    """The files that a page asks for, and its scripts; fails where a tag is not closed."""

    def __init__(self, page):
        super().__init__()
        self.files, self.scripts, self.opened = [], [], []
        self.feed(page)
        assert self.opened == []

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.files += [given[name] for name in ("src", "href") if name in given]
        self.files += re.findall(r"url\('(.*?)'\)", given.get("style", ""))
        if tag not in ("img", "meta", "input", "link"):
            self.opened.append(tag)
        if tag == "script":
            self.scripts.append([given.get("type"), ""])

    def handle_endtag(self, tag):
        assert self.opened.pop() == tag

    def handle_data(self, data):
        if self.opened and self.opened[-1] == "script":
            self.scripts[-1][1] += data


def files_of(out):
    """The files that a demo shows, of which each exists; its scripts are scripts."""
    page = Parts((out / "index.html").read_text(encoding="utf-8"))
    files = {unquote(file) for file in page.files} - {"data:,"}
    assert not [file for file in files if ":" in file or not (out / file).is_file()]
    for kind, script in page.scripts:
        if kind == "application/json":
            json.loads(script)
        elif node := shutil.which("node"):
            command = [node, "--input-type=commonjs", "--check", "-"]
            subprocess.run(command, input=script, text=True, check=True)
    return files


def test_a_page_and_what_it_shows(tmp_path):
    out = tmp_path / "deep" / "demo"
    assert feller("demo", "--out", out) == (0, f"open {out / 'index.html'}\n", "")
    page = (out / "index.html").read_text(encoding="utf-8")
    assert files_of(out) == {"a.png", "a.html"}
    assert "<figcaption>Two &amp; two.</figcaption>" in page
    assert not re.search("https?:|//[a-z]+[.]", page)  # nothing is fetched
    assert "prefers-color-scheme: dark" in page
    assert {file.name for file in out.iterdir()} == {"a.png", "a.html", "index.html"}


@pytest.mark.slow
@pytest.mark.parametrize("width", [400, 1200])
def test_the_page_is_clicked_in_a_browser(width, tmp_path):
    assert feller("demo", "--out", tmp_path / "demo").code == 0
    seen = visit(tmp_path / "demo" / "index.html", width, CLICKS)
    assert seen.complaints == seen.console == []
    assert seen.wide == (width, width)
    assert seen.shades > 20
    assert seen.found == {
        "first": [["1 / 3", None], ["1 / 2", "_"]],
        "playing": ["Stop", "Stop"],
        "last": [["3 / 3", None], ["2 / 2", "c"]],
        "frame": "a page",
    }


def test_images_come_first(tmp_path, monkeypatch):
    names = ("text", "toys", "proteins", "images")
    found = {name: Domain(name=name, package="p", demo=name) for name in names}
    monkeypatch.setattr(demo, "domains", lambda: found)
    monkeypatch.setattr(
        demo,
        "resolve",
        lambda name: lambda out: [Exhibit(title=f"{name} model", parts=(), caption="")],
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
@pytest.mark.timeout(1800)
def test_bundled_models_are_shown(tmp_path, monkeypatch):
    monkeypatch.undo()
    assert list_models()
    out = tmp_path / "demo"
    assert feller("demo", "--out", out).code == 0
    page = (out / "index.html").read_text(encoding="utf-8")
    assert {title.split(":")[0] for title in re.findall("<h2>(.*)</h2>", page)} == {*list_models()}
    assert "\ufffd" not in page
    for file in files_of(out):
        if file.endswith(".png"):
            with Image.open(out / file) as image:
                assert image.size[0] > 240
    for width in (400, 1200):
        with chromium(tmp_path / str(width)) as browser:
            browser.open((out / "index.html").as_uri(), width)
            first, largest = browser.paints()
            assert largest - first < 1000  # on a free core both are there within a second
    seen = visit(out / "index.html", 400, "await wait(5000); return 0")
    assert seen.complaints == seen.console == []
    assert seen.wide == (400, 400)
