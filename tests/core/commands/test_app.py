"""`feller app`: models that are watched in a browser."""

import contextlib
import subprocess
import sys
import time

import pytest
from devtools import chromium
from terminal import complaint

from feller.core.commands import app
from feller.core.domains import domains, list_models, resolve

BUTTON = "[...document.querySelectorAll('button')].find((b) => b.textContent.trim() === 'Sample')"
CAPTION = "document.querySelector('#stage figcaption')?.textContent"
# What is shown of each domain, and what is true at the end.
STAGES = {
    "images": ("img", f"{CAPTION}?.startsWith('step 20 of 20')"),
    "text": (
        "pre .came",
        "document.querySelector('#stage pre') && !document.querySelector('#stage pre .hidden')",
    ),
    "proteins": (".traces line", "document.querySelector('#stage iframe')"),
}
OWN = ("data:", "blob:", "about:")


def test_every_domain_with_models_can_be_watched():
    with_models = [domain for domain in domains().values() if domain.models()]
    assert with_models
    assert all(callable(resolve(domain.app)) for domain in with_models)


def test_without_gradio_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr(app, "find_spec", lambda name: None)
    assert complaint("app") == "feller app: the page needs Gradio: pip install 'feller-core[app]'"


def test_models_that_are_not_there_are_refused_before_gradio_is_imported(monkeypatch):
    monkeypatch.setattr(app, "list_models", lambda: ["images/a", "others/b"])
    assert complaint("app", "others/b").endswith("others/b cannot be watched; there are images/a")
    monkeypatch.setattr(app, "list_models", lambda: ["others/b"])
    assert complaint("app").endswith("pip install feller-images")
    assert "gradio" not in sys.modules


@contextlib.contextmanager
def served(name):
    """The address of a page that begins with a model."""
    pytest.importorskip("gradio")
    command = [sys.executable, "-m", "feller.core", "app", name, "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            said = server.stdout.readline()
            assert said.startswith("open http://127.0.0.1:")
            yield said.split()[1]
        finally:
            server.terminate()


def watch(browser, picture, last):
    """Click on Sample; return the captions seen while there was a picture, until the last one."""
    browser.wait(BUTTON)
    browser.run(f"await new Promise((done) => setTimeout(done, 500)); {BUTTON}.click();")
    seen = set()
    end = time.monotonic() + 300
    while time.monotonic() < end:
        shown, caption, done = browser.run(
            f"return [!!document.querySelector('#stage {picture}'), {CAPTION}, !!({last})];"
        )
        if shown:
            seen.add(caption)
        if done:
            return seen
    raise AssertionError(f"not done: {caption}")


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("domain", STAGES)
def test_a_model_is_watched_in_a_browser(domain, tmp_path):
    with served(list_models(f"{domain}/*")[0]) as address:
        for width in (400, 1200):
            with chromium(tmp_path / str(width)) as browser:
                browser.open(address, width)
                assert len(watch(browser, *STAGES[domain])) > 5
                browser.run("document.querySelector('#stage').scrollIntoView()")
                assert browser.shades(tmp_path / f"{width}.png") > 50
                assert browser.run("return document.documentElement.scrollWidth") == width
                assert browser.complaints == []
                assert [a for a in browser.asked if not a.startswith((address, *OWN))] == []


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_another_model_is_chosen_and_its_controls_turned(tmp_path):
    with served("images/fashion-flow") as address, chromium(tmp_path) as browser:
        browser.open(address, 1200)
        browser.wait(BUTTON)
        browser.choose("Model", "images/fashion-joint")
        browser.wait("document.body.innerText.includes('Weight of the jump')")
        browser.type("Steps", "3")
        browser.type("Weight of the jump", "0")
        seen = watch(browser, "img", f"{CAPTION}?.startsWith('step 3 of 3')")
        assert {caption.rsplit(", ")[-1] for caption in seen} == {"heun"}  # all of it flows
        assert browser.complaints == []
