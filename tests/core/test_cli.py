"""The command line as a whole: quick, without torch where it can, and with errors of one line."""

import gc
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import warnings
from importlib.metadata import version
from pathlib import Path

import pytest
import torch
from terminal import complaint, feller

from feller.core.cards import CardError
from feller.core.cli import COMMANDS, main
from feller.core.commands import show
from feller.core.training.stopping import Stopped


def python(*argv, **options):
    return subprocess.run(
        [sys.executable, *argv],
        capture_output=True, text=True, timeout=60, check=False, **options,
    )  # fmt: skip


@pytest.mark.parametrize("argv", [(), ("-h",), ("--help",)])
def test_without_a_command_it_names_them(argv):
    code, out, err = feller(*argv)
    assert code == 0
    assert err == ""
    assert out.startswith("usage: feller COMMAND ...")
    for name in COMMANDS:
        assert f"\n  {name} " in out


def test_the_version_is_that_of_every_package_of_feller():
    code, out, err = feller("--version")
    assert (code, err) == (0, "")
    packages = ["feller-core", "feller-images", "feller-proteins", "feller-text"]
    assert out == ", ".join(f"{name} {version(name)}" for name in packages) + "\n"


def test_an_unknown_command_is_refused():
    said = complaint("lst")
    assert said == f"feller: unknown command 'lst'; there are {', '.join(COMMANDS)}"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_says_how_it_is_called(name):
    code, out, err = feller(name, "--help")
    assert code == 0
    assert err == ""
    assert out.startswith(f"usage: feller {name} ")


def test_what_torch_calls_old_within_itself_is_not_told(monkeypatch):
    def warn(_):
        warnings.warn("`torch.jit.script` is deprecated. Please", FutureWarning, stacklevel=1)
        warnings.warn("of the user's own", FutureWarning, stacklevel=1)

    monkeypatch.setattr(show, "run", warn)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        assert main(["show"]) == 0
    assert [str(one.message) for one in told] == ["of the user's own"]


@pytest.mark.parametrize("argv", [["list"], ["list", "--json"], ["list", "images/*"]])
def test_list_needs_no_torch_and_little_time(argv):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = python("-X", "importtime", "-m", "feller.core", *argv)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0
    assert "images/drawn-flow" in done.stdout
    imported = {line.rsplit("|", 1)[-1].strip() for line in done.stderr.splitlines()}
    assert "feller.core.registry" in imported
    assert not imported & {"torch", "numpy", "tyro", "huggingface_hub"}
    # Time of the processor, as others share the machine.
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 0.4


def test_the_program_is_installed():
    program = shutil.which("feller", path=str(Path(sys.executable).parent))
    done = subprocess.run([program, "list", "--json"], capture_output=True, check=True, timeout=60)
    assert "images/drawn-flow" in json.loads(done.stdout)["recipes"]


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("argv", ["list", "--help", "--version", "list --help", ""])
def test_a_reader_may_leave(argv, unbuffered):
    done = subprocess.run(
        f"{sys.executable} -m feller.core {argv} | true; echo ${{PIPESTATUS[0]}}",
        shell=True, executable="/bin/bash", capture_output=True, text=True, check=True, timeout=60,
        env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
    )  # fmt: skip
    assert done.stdout == "0\n"
    assert done.stderr == ""


def test_a_full_disk_behind_the_output_is_one_line():
    done = subprocess.run(
        f"{sys.executable} -m feller.core list > /dev/full",
        shell=True, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 2
    assert re.fullmatch(r"feller( list)?: \[Errno 28\] No space left on device\n", done.stderr)


@pytest.mark.parametrize(
    ("error", "code"),
    [(KeyboardInterrupt(), 130), (Stopped(signal.SIGTERM), 143), (Stopped(signal.SIGHUP), 129)],
)
def test_an_end_that_was_asked_for_has_the_code_of_its_signal(error, code, monkeypatch):
    monkeypatch.setattr(show, "run", raising(error))
    assert feller("show", "x") == (code, "", "")


def raising(error):
    def run(argv):
        raise error

    return run


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("no such colour"), "feller show: no such colour"),
        (ValueError("Error(s):\n\tfirst\n\n  second"), "feller show: Error(s): first  second"),
        (FileNotFoundError(2, "No such file or directory", "a.png"), "feller show: [Errno 2] "),
    ],
)
def test_an_error_is_one_line(error, line, monkeypatch):
    monkeypatch.setattr(show, "run", raising(error))
    assert complaint("show", "x").startswith(line)
    monkeypatch.setenv("FELLER_TRACEBACK", "1")
    with pytest.raises(type(error)):
        main(["show", "x"])


class _Unreadable(torch.utils.data.Dataset):
    def __init__(self, error):
        self.error = error

    def __getitem__(self, i):
        raise self.error

    def __len__(self):
        return 1


@pytest.mark.gate
@pytest.mark.parametrize("error", [CardError("3.png: no image"), ValueError("3.png: no image")])
def test_of_an_error_in_a_worker_of_a_loader_only_its_message_is_told(error, monkeypatch):
    # PyTorch waits so long, 5 s, for a worker that had an error.
    monkeypatch.setattr(torch.utils.data._utils, "MP_STATUS_CHECK_INTERVAL", 0.1)
    load = torch.utils.data.DataLoader
    monkeypatch.setattr(show, "run", lambda argv: list(load(_Unreadable(error), num_workers=1)))
    assert complaint("show", "x") == "feller show: 3.png: no image"
    gc.collect()  # it waits now, and not where PyTorch's own wait is back


@pytest.mark.parametrize("error", [KeyError("x"), IndexError("x"), RuntimeError("x")])
def test_a_mistake_of_ours_keeps_its_traceback(error, monkeypatch):
    monkeypatch.setattr(show, "run", raising(error))
    with pytest.raises(type(error)):
        main(["show", "x"])


def test_ctrl_c_is_no_error(monkeypatch):
    monkeypatch.setattr(show, "run", raising(KeyboardInterrupt()))
    assert feller("show", "x") == (130, "", "")


@pytest.mark.gate
def test_the_exit_code_reaches_the_shell():
    done = python("-m", "feller.core", "show", "images/nothing")
    assert done.returncode == 2
    assert done.stderr.startswith("feller show: unknown model 'images/nothing'; ")
    assert done.stderr.count("\n") == 1


@pytest.mark.skipif(os.name != "posix", reason="closes a stream in a shell")
@pytest.mark.parametrize("closed", ["1>&-", "2>&-"])
@pytest.mark.parametrize(("command", "code"), [("list", 0), ("lst", 2)])
def test_a_closed_terminal_is_no_error(closed, command, code):
    """`feller list >&-`: Python has None where a stream was closed."""
    line = f'"$0" -m feller.core {command} {closed}'
    done = subprocess.run(["sh", "-c", line, sys.executable], capture_output=True, timeout=60)
    assert done.returncode == code
    assert b"Traceback" not in done.stderr
