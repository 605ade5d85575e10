"""Break a line of the packages at a time, and see that the tests of its file notice.

    uv run python tools/mutants.py           # all of mutants.toml; minutes
    uv run python tools/mutants.py 0 10      # the first ten

Its package is copied into a folder that comes first on the path: the working tree is not touched.
A mutant that is said to have survived needs a test of what is true there.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
OTHERS = "not slow and not compile and not wheel"


@dataclass(frozen=True)
class Mutant:
    """A line of a package, and how it is broken.

    Attributes:
        file: In the package.
        old: A part of its text that stands there once.
        new: What stands there instead.
        test: The file of tests that has to fail, in those of the package; by default that of the
            module.
        package: The package.
    """

    file: str
    old: str
    new: str
    test: str = ""
    package: str = "core"

    @property
    def source(self) -> Path:
        """The folder of the package's sources."""
        return ROOT / "packages" / self.package / "src"

    @property
    def tests(self) -> Path:
        """The file of tests."""
        module = Path(self.file)
        tests = ROOT / "tests" / self.package
        return tests / (self.test or module.with_name(f"test_{module.name}"))

    def broken(self) -> str:
        """Return the text of the file with the line broken.

        Raises:
            ValueError: When what is to be broken does not stand there once.
        """
        text = self._within(self.source).read_text(encoding="utf-8")
        if text.count(self.old) != 1:
            raise ValueError(f"{self.file} has {self.old!r} {text.count(self.old)} times, not once")
        return text.replace(self.old, self.new)

    def is_caught(self) -> bool:
        """Say whether the tests fail of it."""
        with tempfile.TemporaryDirectory() as folder:
            shutil.copytree(self.source, folder, dirs_exist_ok=True)
            self._within(Path(folder)).write_text(self.broken())
            options = ("-x", "-q", "-n", "0", "-p", "no:cacheprovider", "-m", OTHERS)
            command = [sys.executable, "-m", "pytest", *options, str(self.tests)]
            done = subprocess.run(
                command,
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": folder},
                capture_output=True,
                check=False,
            )
        if done.returncode not in (0, 1):
            raise RuntimeError(f"pytest {self.tests} ended with {done.returncode}")
        return done.returncode == 1

    def _within(self, folder: Path) -> Path:
        return folder / "feller" / self.package / self.file


def mutants() -> list[Mutant]:
    """Return all mutants."""
    listed = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
    return [Mutant(**fields) for fields in listed["mutant"]]


def main(first: int = 0, last: int | None = None) -> int:
    """Try some mutants; return 1 when one survives."""
    survivors = 0
    for number, mutant in enumerate(mutants()[first:last], first):
        caught = mutant.is_caught()
        survivors += not caught
        print(
            f"{number:3} {'caught  ' if caught else 'SURVIVED'} {mutant.file}: {mutant.new}",
            flush=True,
        )
    return min(survivors, 1)


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
