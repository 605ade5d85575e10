"""`feller evaluate MODEL`: measure a model against data. Each domain has its own flags.

Where a domain measures files, `feller evaluate FOLDER` measures a folder of them. Several processes
share the drawing of samples: `accelerate launch -m feller.core evaluate MODEL ...`.
"""

from collections.abc import Sequence

from feller.core.commands.dispatch import domain_command, measured_by
from feller.core.domains import resolve
from feller.core.processes import together

__all__ = ["run"]


def run(argv: Sequence[str]) -> None:
    """Hand over to the domain of the model, or of the files."""
    domain = measured_by(argv[0]) if argv else None
    with together():
        if domain is None:
            domain_command("evaluate", argv)
        else:
            resolve(domain.commands["evaluate"])(argv[0], argv[1:])
