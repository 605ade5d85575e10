"""Keep `uv.lock` free of index addresses.

uv writes the address of the index that it resolved against into every line of its lock. The
committed lock names none, so that it serves whichever index its reader has:

- `registry = "ADDRESS"` becomes `registry = "index"`;
- the `url = "ADDRESS/NAME"` of a source distribution or wheel becomes `path = "NAME"`; its hash
  stays;
- the `[manifest]` table goes. Without it, `uv sync` and `uv run` resolve again with the locked
  versions as pins, and write a local lock with addresses.

Usage:
    python tools/neutral_lock.py            rewrite uv.lock in place (twice is the same as once)
    python tools/neutral_lock.py --check    exit 1 if what git holds names an index
    python tools/neutral_lock.py --filter   from stdin to stdout, as a git clean filter does

`--check` reads what git has staged (in a fresh clone: the commit), since uv may have rewritten
the file on disk; without git it reads the file. If the file on disk holds addresses, every other
staged file is searched for their hosts too. Python 3.11 and its standard library are enough.
"""

import argparse
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

REGISTRY = re.compile(r'(?<=\bregistry = )"[^"]*"')
ARTIFACT = re.compile(r'^(sdist = \{ |\s+\{ )url = "([^"]*)"', re.MULTILINE)
MANIFEST = re.compile(r"^\[{1,2}manifest\b.*?(?=^\[(?!\[?manifest\b)|\Z)", re.MULTILINE | re.DOTALL)
ADDRESS = re.compile(r'"(\w+://[^"]*)"')


def neutral(lock: str) -> str:
    """Return the text of a lock with every index address taken out."""
    lock = MANIFEST.sub("", lock)
    lock = REGISTRY.sub('"index"', lock)
    return ARTIFACT.sub(lambda found: f'{found[1]}path = "{file_name(found[2])}"', lock)


def file_name(address: str) -> str:
    """Return the last part of an address, without query and fragment."""
    return urlsplit(address).path.rpartition("/")[2]


def hosts(lock: str) -> set[str]:
    """Return the hosts of a lock's registries and files; none if the lock is neutral."""
    sources = REGISTRY.findall(lock) + [f'"{found[1]}"' for found in ARTIFACT.findall(lock)]
    found = {urlsplit(source.strip('"')).hostname for source in sources}
    return {host for host in found if host}


def git(folder: Path, *arguments: str) -> str | None:
    """Run git in a folder; return its output, or None if it fails or is not installed."""
    try:
        done = subprocess.run(["git", "-C", folder, *arguments], capture_output=True, check=False)
    except FileNotFoundError:
        return None
    return done.stdout.decode() if done.returncode == 0 else None


def faults(path: Path) -> list[str]:
    """Return one line for each thing in git that names an index.

    Args:
        path: The lock on disk. Its staged copy is judged, itself only where git has none.
    """
    on_disk = path.read_text() if path.exists() else ""
    staged = git(path.parent, "show", f":./{path.name}")
    lock = on_disk if staged is None else staged
    lines = []
    if neutral(lock) != lock:
        lines.append(f"{path} names an index; run: python tools/neutral_lock.py, then git add it")
    elif left := ADDRESS.search(lock):
        lines.append(f"{path} holds the address {left[1]}, which this tool cannot make neutral")
    known = hosts(on_disk) | hosts(lock)
    return lines + [f"{name} names an index host" for name in naming(path, known)]


def naming(path: Path, known: set[str]) -> list[str]:
    """Return the staged files, beside the lock itself, that name one of the known hosts."""
    if not known:
        return []
    patterns = [part for host in sorted(known) for part in ("-e", host)]
    top = [":/", f":(exclude){path.name}"]
    found = git(path.parent, "grep", "--cached", "-lFI", *patterns, "--", *top)
    return (found or "").splitlines()


def check(path: Path) -> int:
    """Print the faults in one line each; return the exit status."""
    lines = faults(path)
    print("\n".join(lines), end="\n" if lines else "", file=sys.stderr)
    return 1 if lines else 0


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(description="Keep uv.lock free of index addresses.")
    parser.add_argument("path", nargs="?", type=Path, default=Path("uv.lock"))
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--check", action="store_true", help="exit 1 if git holds an index address")
    mode.add_argument("--filter", action="store_true", help="from stdin to stdout")
    options = parser.parse_args(arguments)
    if options.filter:
        sys.stdout.write(neutral(sys.stdin.read()))
    elif options.check:
        return check(options.path)
    else:
        options.path.write_text(neutral(options.path.read_text()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
