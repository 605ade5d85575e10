"""Waiting without an end: longer than a barrier of the process group allows."""

import subprocess
import threading
import time

import pytest
from launching import ENVIRONMENT, launched

from feller.core.waiting import alone, saying

WAITER = r"""
import sys, time
from datetime import timedelta
from accelerate import Accelerator, InitProcessGroupKwargs
from feller.core.waiting import main_first

short = InitProcessGroupKwargs(timeout=timedelta(seconds=2))
accelerator = Accelerator(cpu=True, kwargs_handlers=[short])
with main_first(accelerator):
    if accelerator.is_main_process:
        time.sleep(5)
    print(f"{accelerator.process_index} {time.time()}\n", end="", flush=True)
print("done\n", end="", flush=True)
"""


@pytest.mark.slow
def test_a_process_waits_longer_than_its_group_allows(tmp_path):
    (tmp_path / "waiter.py").write_text(WAITER)
    command = launched(2, tmp_path / "waiter.py")
    found = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    lines = found.stdout.splitlines()
    assert lines.count("done") == 2
    when = dict(line.split() for line in lines if line != "done")
    assert float(when["0"]) <= float(when["1"])


def test_one_works_at_a_time_and_the_other_says_that_it_waits(tmp_path, capfd):
    order, inside = [], threading.Event()

    def first():
        with alone(tmp_path / "a", "the corpus is cut"):
            inside.set()
            time.sleep(0.2)
            order.append("first")

    thread = threading.Thread(target=first)
    thread.start()
    inside.wait()
    with alone(tmp_path / "a", "the corpus is cut"):
        order.append("second")
    thread.join()
    assert order == ["first", "second"]
    assert "waiting until the corpus is cut by another process" in capfd.readouterr().err


def test_what_is_quick_is_not_spoken_of(tmp_path, capfd):
    with alone(tmp_path, "it is cut"), saying("waiting"), saying("waiting", first=0.0, quiet=True):
        pass
    assert capfd.readouterr().err == ""
