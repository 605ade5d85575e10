"""Outputs of an imported model beside those of the original, noted for a table where one asks.

With `FELLER_PARITY=FILE` in the environment each comparison adds a line of JSON to the file;
`tools/imported_families.py` makes `docs/imported-families.md` of them.
"""

import json
import os
from pathlib import Path

LIMIT = 1e-5


def same_outputs(family, found, right, *, oracle, relative=False):
    """Hold outputs against those of the original.

    Args:
        family: What was imported.
        found: Ours.
        right: Theirs, which are not all alike.
        oracle: What computed them: a public package, or a forward that stands in the test.
        relative: Whether the difference is over the norm of theirs: where they are large.
    """
    assert right.std() > 0.01
    most = float((found - right).abs().max())
    norm = float((found - right).norm() / right.norm())
    if file := os.environ.get("FELLER_PARITY"):
        row = {"family": family, "oracle": oracle, "most": most, "relative": norm}
        with Path(file).open("a") as stream:
            stream.write(json.dumps(row) + "\n")
    assert (norm if relative else most) < LIMIT
