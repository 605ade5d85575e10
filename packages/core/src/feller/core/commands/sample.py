"""`feller sample MODEL`: draw from a model into files. Each domain has its own flags.

Several processes share the work, and draw what one does:
`accelerate launch -m feller.core sample MODEL ...`.
"""

from collections.abc import Sequence

from feller.core.commands.dispatch import domain_command
from feller.core.processes import together

__all__ = ["run"]


def run(argv: Sequence[str]) -> None:
    """Hand over to the model's domain."""
    with together():
        domain_command("sample", argv)
