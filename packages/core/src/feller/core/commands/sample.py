"""`feller sample MODEL`: draw from a model into files. Each domain has its own flags."""

from collections.abc import Sequence

from feller.core.commands.dispatch import domain_command

__all__ = ["run"]


def run(argv: Sequence[str]) -> None:
    """Hand over to the model's domain."""
    domain_command("sample", argv)
