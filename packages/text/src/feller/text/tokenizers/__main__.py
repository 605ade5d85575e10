"""`python -m feller.text.tokenizers`."""

import sys

from feller.text.tokenizers.training import main

if __name__ == "__main__":
    sys.exit(main())
