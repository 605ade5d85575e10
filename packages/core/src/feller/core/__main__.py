"""`python -m feller.core` is the command `feller`, for launchers that take a module."""

import sys

from feller.core.cli import main

if __name__ == "__main__":
    sys.exit(main())
