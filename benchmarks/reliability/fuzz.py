"""Whether damaged input is refused in one line, in a second and a gigabyte, by every reader.

    python benchmarks/reliability/fuzz.py --inputs 100000 [--only pdb]

Each reader gets valid input that was damaged at random: bits flipped, bytes cut out, put in,
repeated or taken from elsewhere, words of JSON and numbers exchanged for odd ones. It may return
something, or raise a ValueError or an OSError of one line. All else is a fault: another error, an
end of the process, more than a second of processor time, more than a gigabyte. An input depends on
its reader's name and its number alone: `--only NAME --first NUMBER --inputs 1` makes it again. The
exit code is 1 where there are faults.
"""

import argparse
import multiprocessing
import os
import random
import re
import resource
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from readers import READERS, Reader

from feller.core.domains import RegistryError

SECONDS, BYTES = 1.0, 10**9
STUCK = 60.0
"""Seconds of the clock after which a process is ended."""
PORTION = 2000
"""Inputs of a process: what libraries keep of each is gone with it."""

VALUE = re.compile(rb'"[^"\\\n]*"|-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?|true|false|null')
ODD = (
    *(b"0", b"-1", b"1", b"2", b"0.5", b"1e400", b"-1e400", b"NaN", b"99999999999999999999"),
    *(b"1" * 5000, b"4294967296", b"65536", b"null", b"true", b"[]", b"{}", b'""', b'"\\ud800"'),
    *(b"[[]]", b'{"a": 1}', b'"x"', b"[" * 5000, b"\x00", b"\xff", b"\n", b",", b'"', b"'"),
)


def damaged(valid: Sequence[bytes], rng: random.Random) -> bytes:
    """Return one of some valid inputs with one or several of its parts damaged."""
    data = bytearray(rng.choice(valid))
    for _ in range(min(8, 1 + int(rng.expovariate(0.7)))):
        rng.choice((_flip, _set, _cut, _end, _insert, _repeat, _splice, _odd, _odd))(
            data, valid, rng
        )
    return bytes(data)


def _flip(data: bytearray, valid: Sequence[bytes], rng: random.Random) -> None:
    if data:
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def _set(data: bytearray, valid: Sequence[bytes], rng: random.Random) -> None:
    start, count = rng.randrange(len(data) + 1), rng.choice((1, 1, 2, 4, 8))
    data[start : start + count] = bytes([rng.choice((0, 1, 127, 128, 255))]) * count


def _cut(data: bytearray, valid: Sequence[bytes], rng: random.Random) -> None:
    start = rng.randrange(len(data) + 1)
    del data[start : start + rng.choice((1, 2, 8, 64, 512, 4096))]


def _end(data: bytearray, valid: Sequence[bytes], rng: random.Random) -> None:
    if rng.random() < 0.3:
        del data[rng.randrange(len(data) + 1) :]


def _insert(data: bytearray, valid: Sequence[bytes], rng: random.Random) -> None:
    start = rng.randrange(len(data) + 1)
    data[start:start] = rng.randbytes(rng.choice((1, 2, 8, 64)))


def _repeat(data: bytearray, valid: Sequence[bytes], rng: random.Random) -> None:
    start, count = rng.randrange(len(data) + 1), rng.choice((1, 8, 80, 512))
    data[start:start] = data[start : start + count] * rng.choice((1, 2, 50))


def _splice(data: bytearray, valid: Sequence[bytes], rng: random.Random) -> None:
    other = rng.choice(valid)
    start, there = rng.randrange(len(data) + 1), rng.randrange(len(other) + 1)
    count = rng.choice((1, 8, 64, 512))
    data[start : start + count] = other[there : there + count]


def _odd(data: bytearray, valid: Sequence[bytes], rng: random.Random) -> None:
    """Put an odd value in the place of one of JSON, or of a number of any text."""
    start = rng.randrange(len(data) + 1)
    if found := VALUE.search(data, start) or VALUE.search(data):
        data[slice(*found.span())] = rng.choice(ODD)


def fault_of(reader: Reader, data: bytes) -> str:
    """Read some input, and return what is wrong with how that goes; nothing where it is well."""
    Path("/proc/self/clear_refs").write_text("5")  # the peak of memory is that of now
    before, began, said = _status("VmRSS"), time.process_time(), ""
    try:
        reader.read(data)
    except (ValueError, OSError, RegistryError) as error:  # what the command line says in a line
        text = str(error)
        if len(text.splitlines()) != 1:
            said = f"{len(text.splitlines())} lines: {_where(error)}"
    except Exception as error:
        said = f"{type(error).__name__}: {_where(error)}"
    spent, grown = time.process_time() - began, _status("VmHWM") - before
    if not said and spent > SECONDS:
        return "more than a second"
    return said or ("more than a gigabyte" if grown > BYTES else "")


def _where(error: BaseException) -> str:
    """Return the last line of feller that an error passed."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "/feller/" in frame.filename] or frames
    return f"{Path(own[-1].filename).name}:{own[-1].lineno}"


def _status(key: str) -> int:
    found = re.search(rf"^{key}:\s+(\d+)", Path("/proc/self/status").read_text(), re.M)
    return int(found[1]) * 1024 if found else 0


def _work(name: str, reader: Reader, numbers: range, at: Any, found: Any) -> None:
    """Read inputs in this process, which has limits and says nothing."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    room = _status("VmSize") + 4 * BYTES
    resource.setrlimit(resource.RLIMIT_AS, (room, room))
    warnings.simplefilter("ignore")
    for number in numbers:
        at.value = number
        if fault := fault_of(reader, damaged(reader.valid, random.Random(f"{name} {number}"))):
            found.put((number, fault))
    at.value = numbers.stop


def faults_of(name: str, numbers: range) -> Iterator[tuple[int, str]]:
    """Give a reader many inputs, in processes of their own; yield their numbers and faults."""
    context = multiprocessing.get_context("fork")
    shm = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=shm if shm.is_dir() else None) as home:
        reader, start = READERS[name](Path(home)), numbers.start
        for number, data in enumerate(reader.valid):
            try:
                reader.read(data)
            except Exception as error:
                raise SystemExit(f"{name} refuses valid input {number}: {error!r}") from error
        while start < numbers.stop:
            at, found = context.Value("q", start), context.SimpleQueue()
            portion = range(start, min(start + PORTION, numbers.stop))
            process = context.Process(target=_work, args=(name, reader, portion, at, found))
            process.start()
            ended = _ended(process, at, found)
            yield from ended
            if (start := at.value) < portion.stop:
                process.kill()
                process.join()
                yield start, f"the process ends with {process.exitcode}"
                start += 1


def _ended(process: Any, at: Any, found: Any) -> list[tuple[int, str]]:
    """Wait for a process, unless it is stuck; return what it found."""
    seen, since, faults = at.value, time.monotonic(), []
    while process.is_alive() and time.monotonic() - since < STUCK:
        process.join(0.05)
        while not found.empty():
            faults.append(found.get())
        if at.value != seen:
            seen, since = at.value, time.monotonic()
    while not found.empty():
        faults.append(found.get())
    return faults


def main() -> int:
    """Give each reader its inputs, and say what was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="*", default=list(READERS), choices=list(READERS))
    parser.add_argument("--inputs", type=int, default=100_000, help="of a reader (default: 1e5)")
    parser.add_argument("--first", type=int, default=0, help="the first number (default: 0)")
    parser.add_argument("--seconds", type=float, default=1e9, help="of a reader, at most, about")
    asked, wrong = parser.parse_args(), False
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    for name in asked.only:
        began, groups, count = time.monotonic(), defaultdict(list), 0
        used = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
        while count < asked.inputs and time.monotonic() - began < asked.seconds:
            first = asked.first + count
            numbers = range(first, first + min(PORTION, asked.inputs - count))
            for number, fault in faults_of(name, numbers):
                groups[fault].append(number)
            count += len(numbers)
        used = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - used
        several = sum(map(len, groups.values()))
        each = f"{1000 * used / count:.2f} ms each"
        print(f"{name}: {count:,} inputs, {several} faults, {each}", flush=True)
        for fault, those in groups.items():
            print(f"  {len(those)} x {fault} (first: {those[0]})", flush=True)
        wrong |= bool(groups)
    return wrong


if __name__ == "__main__":
    sys.exit(main())
