"""A headless Chromium that is told what to do through a pipe, by the DevTools protocol.

Unlike `browser.visit` it opens addresses of a server, in real time, at any width.
"""

import base64
import contextlib
import io
import json
import os
import shutil
import subprocess
import time

import numpy as np
import pytest
from browser import NAMES
from PIL import Image

FLAGS = (
    *("--headless", "--no-sandbox", "--remote-debugging-pipe", "--hide-scrollbars"),
    *("--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--no-first-run"),
)
LIMIT = 120


class Browser:
    """One page of a Chromium.

    Attributes:
        complaints: Errors of the page, and what it could not fetch.
        asked: The addresses it asked for.
    """

    def __init__(self, send, receive):
        self._send, self._receive, self._held, self._number = send, receive, b"", 0
        self.complaints, self.asked = [], []
        self._session = None
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def open(self, address, width, height=900):
        """Open an address in a window of so many pixels."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.call("Emulation.setDeviceMetricsOverride", **size)
        self.call("Page.navigate", url=address)
        self.wait("location.href !== 'about:blank' && document.readyState === 'complete'")

    def run(self, script):
        """Run the body of an asynchronous function in the page; return what it returns."""
        made = {"expression": f"(async () => {{ {script} }})()", "awaitPromise": True}
        found = self.call("Runtime.evaluate", returnByValue=True, **made)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def wait(self, condition, seconds=LIMIT):
        """Wait until an expression is true in the page."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.run(f"return !!({condition})"):
                return
            time.sleep(0.1)
        raise AssertionError(
            f"never true: {condition}; {self.run('return document.body.innerText')}"
        )

    def choose(self, label, option):
        """Choose from a menu of Gradio."""
        self.run(
            f"""const menu = document.querySelector('input[aria-label="{label}"]');
            menu.focus(); menu.click();
            for (let i = 0; i < 100; i++) {{
              const found = [...document.querySelectorAll('[role=option]')]
                .find((one) => one.textContent.includes("{option}"));
              if (found) {{
                found.dispatchEvent(new MouseEvent("mousedown", {{ bubbles: true }}));
                return;
              }}
              await new Promise((done) => setTimeout(done, 50));
            }}
            throw new Error("no such option");"""
        )

    def type(self, label, number):
        """Type a number beside a slider of Gradio whose label begins so."""
        self.run(
            f"""const box = [...document.querySelectorAll('input[type=number]')]
              .find((one) => one.getAttribute('aria-label').includes("{label}"));
            box.value = "{number}";
            for (const kind of ["input", "change", "blur"])
              box.dispatchEvent(new Event(kind, {{ bubbles: true }}));
            await new Promise((done) => setTimeout(done, 500));"""
        )

    def paints(self):
        """Return when something was first shown, and the largest picture or text, in ms."""
        return self.run(
            """return new Promise((done) => {
              const first = () => performance.getEntriesByName("first-contentful-paint")[0];
              const seen = (list) => done([first().startTime, list.getEntries().at(-1).startTime]);
              new PerformanceObserver(seen)
                .observe({ type: "largest-contentful-paint", buffered: true });
            })"""
        )

    def shades(self, file=None):
        """Return how many greys a screenshot has; write it where a file is named."""
        data = base64.b64decode(self.call("Page.captureScreenshot")["data"])
        if file is not None:
            file.write_bytes(data)
        with Image.open(io.BytesIO(data)) as image:
            return len(np.unique(np.asarray(image.convert("L"))))

    def call(self, method, **parameters):
        """Call a method and return its result; what happens meanwhile is kept."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        self._send.write(json.dumps(message).encode() + b"\0")
        self._send.flush()
        while True:
            answer = self._next()
            if answer.get("id") == self._number:
                assert "error" not in answer, answer["error"]
                return answer["result"]
            self._see(answer.get("method"), answer.get("params", {}))

    def _next(self):
        while b"\0" not in self._held:
            part = self._receive.read(65536)
            assert part, "the browser left"
            self._held += part
        line, _, self._held = self._held.partition(b"\0")
        return json.loads(line)

    def _see(self, method, what):
        if method == "Runtime.exceptionThrown":
            self.complaints.append(what["exceptionDetails"].get("text", "") + str(what)[:400])
        elif method == "Runtime.consoleAPICalled" and what["type"] in ("error", "warning"):
            self.complaints.append(str([a.get("value", a) for a in what["args"]]))
        elif method == "Log.entryAdded" and what["entry"]["level"] in ("error", "warning"):
            self.complaints.append(f"{what['entry']['text']} {what['entry'].get('url', '')}")
        elif method == "Network.requestWillBeSent":
            self.asked.append(what["request"]["url"])


@contextlib.contextmanager
def chromium(folder):
    """Start a Chromium with its profile in a folder; skips where there is none."""
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        pytest.skip(f"no browser to open the page in: none of {', '.join(NAMES)} is installed")
    read_3, write_3 = os.pipe()
    read_4, write_4 = os.pipe()

    def numbered():  # Chromium reads 3 and writes 4
        read, write = os.dup(read_3), os.dup(write_4)
        os.dup2(read, 3)
        os.dup2(write, 4)

    command = [program, *FLAGS, f"--user-data-dir={folder / 'profile'}"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    running = subprocess.Popen(command, preexec_fn=numbered, close_fds=False, **quiet)
    os.close(read_3)
    os.close(write_4)
    try:
        with os.fdopen(write_3, "wb") as send, os.fdopen(read_4, "rb", buffering=0) as receive:
            yield Browser(send, receive)
    finally:
        running.terminate()
        running.wait(30)
