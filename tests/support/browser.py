"""A headless Chromium, where there is one: it opens a page, clicks, and says what it saw.

No driver is needed: a copy of the page gets a script that acts in it and writes what it finds into
the document, which Chromium then prints.
"""

import json
import re
import shutil
import subprocess
from html import unescape
from typing import NamedTuple
from urllib.parse import quote

import numpy as np
import pytest
from PIL import Image

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu-sandbox", "--hide-scrollbars"),
    *("--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--virtual-time-budget=15000"),
    *("--enable-logging=stderr", "--allow-file-access-from-files", "--no-first-run"),
)
WATCH = """<script>
const complaints = [];
const complain = (event) => complaints.push(String(event.message || event.target.src));
addEventListener("error", complain, true);
addEventListener("securitypolicyviolation", (event) => complaints.push(event.blockedURI));
</script>"""
ACT = """<script>
addEventListener("load", async () => {
  const wait = (time) => new Promise((done) => setTimeout(done, time));
  let found = null;
  try { found = await (async () => { %s })(); } catch (error) { complaints.push(String(error)); }
  const wide = document.documentElement.scrollWidth;
  const seen = { found, complaints, wide, window: innerWidth };
  parent.postMessage(JSON.stringify(seen), "*");
});
</script>"""
# Chromium's windows are at least 500 pixels wide, phones are not: a frame is as wide as asked.
FRAME = """<!doctype html><body style="margin:0"><script>
addEventListener("message", (event) => { document.body.dataset.seen = event.data; });
</script><iframe src="%s" style="border:0;width:%dpx;height:900px"></iframe>"""


class Seen(NamedTuple):
    """What a page showed.

    Attributes:
        found: What the script returned.
        complaints: Errors, and what the page was not allowed to fetch.
        console: What Chromium says that the console holds.
        wide: Pixels across, of the content and of the window.
        shades: How many colours a screenshot has.
    """

    found: object
    complaints: list
    console: list
    wide: tuple
    shades: int


def visit(page, width, script):
    """Open a page in a window and run the body of an asynchronous function in it.

    Skips the test where no Chromium is installed.
    """
    chromium = next(filter(None, map(shutil.which, NAMES)), None)
    if chromium is None:
        pytest.skip(f"no browser to open the page in: none of {', '.join(NAMES)} is installed")
    copy = page.with_name(f"watched-{page.name}")
    text = page.read_text(encoding="utf-8")
    copy.write_text(text.replace("<head>", "<head>" + WATCH) + ACT % script, encoding="utf-8")
    picture = page.parent.parent / f"{page.stem}-{width}.png"
    frame = page.with_name(f"frame-{page.name}")
    frame.write_text(FRAME % (quote(copy.name), width), encoding="utf-8")
    window = (
        f"--window-size={max(width, 500)},900",
        f"--user-data-dir={page.parent.parent / 'profile'}",
    )
    runs = [
        subprocess.run(
            [chromium, *FLAGS, *window, what, frame.as_uri()],
            capture_output=True,
            text=True,
            timeout=240,
            check=True,
        )
        for what in ("--dump-dom", f"--screenshot={picture}")
    ]
    copy.unlink()
    frame.unlink()
    held = re.search('data-seen="([^"]*)"', runs[0].stdout)
    assert held, "the script of the test did not end"
    seen = json.loads(unescape(held[1]))
    console = [line for run in runs for line in run.stderr.splitlines() if "CONSOLE" in line]
    with Image.open(picture) as image:
        shades = len(np.unique(np.asarray(image.convert("L").crop((0, 0, width, 900)))))
    return Seen(seen["found"], seen["complaints"], console, (seen["wide"], seen["window"]), shades)
